"""The sections of a job file, by topic in the modules below, together for those who read them."""

from wavepipe.pipeline.job.cluster import ClusterSection
from wavepipe.pipeline.job.earth_model import EarthModelSection, EarthParameter
from wavepipe.pipeline.job.imaging import (
    FwiSection,
    Mute,
    OptimizerSection,
    RtmSection,
    Stage,
)
from wavepipe.pipeline.job.parameters import ParameterUpdate
from wavepipe.pipeline.job.section import PhysicsName, Section
from wavepipe.pipeline.job.storage import StorageSection
from wavepipe.pipeline.job.survey import Components, SurveySection, WaveletSection
from wavepipe.pipeline.job.work import (
    OutputSection,
    PropagatorSection,
    RunSection,
)

__all__ = [
    "ClusterSection",
    "Components",
    "EarthModelSection",
    "EarthParameter",
    "FwiSection",
    "Mute",
    "OptimizerSection",
    "OutputSection",
    "ParameterUpdate",
    "PhysicsName",
    "PropagatorSection",
    "RtmSection",
    "RunSection",
    "Section",
    "Stage",
    "StorageSection",
    "SurveySection",
    "WaveletSection",
]
