"""The sections of a job file, by topic in the modules below, together for those who read them."""

from wavepipe.pipeline.job_cluster import ClusterSection
from wavepipe.pipeline.job_earth_model import EarthModelSection, EarthParameter
from wavepipe.pipeline.job_imaging import (
    FwiSection,
    Mute,
    OptimizerSection,
    RtmSection,
    Stage,
)
from wavepipe.pipeline.job_parameters import ParameterUpdate
from wavepipe.pipeline.job_section import PhysicsName, Section
from wavepipe.pipeline.job_storage import StorageSection
from wavepipe.pipeline.job_survey import Components, SurveySection, WaveletSection
from wavepipe.pipeline.job_work import (
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
