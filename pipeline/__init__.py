"""Surveys, files, Dask and the three jobs: modelling, migration, inversion.

Names load on first use, so that reading a job needs neither torch nor Dask.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavepipe.pipeline.earth_model import EarthModel, load_earth_model
    from wavepipe.pipeline.execution import Outcome
    from wavepipe.pipeline.inversion import invert_survey
    from wavepipe.pipeline.job import Job, read_job
    from wavepipe.pipeline.migration import migrate_survey
    from wavepipe.pipeline.modelling import model_survey
    from wavepipe.pipeline.shots import Survey
    from wavepipe.pipeline.survey import read_survey

__all__ = [
    "EarthModel",
    "Job",
    "Outcome",
    "Survey",
    "invert_survey",
    "load_earth_model",
    "migrate_survey",
    "model_survey",
    "read_job",
    "read_survey",
]

_HOMES = {
    "EarthModel": "earth_model",
    "Job": "job",
    "Outcome": "execution",
    "Survey": "shots",
    "invert_survey": "inversion",
    "load_earth_model": "earth_model",
    "migrate_survey": "migration",
    "model_survey": "modelling",
    "read_job": "job",
    "read_survey": "survey",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
