"""What can go wrong in a job, one class per cause."""

from wavepipe.propagators.errors import WavepipeError

STOPPED = 75
"""Exit code of a run that was stopped from outside after its work had started, and can go on."""


class JobError(WavepipeError, ValueError):
    """The job file is wrong: unknown key, bad value, contradiction."""


class SurveyError(WavepipeError, ValueError):
    """The acquisition geometry cannot be used."""


class SegyError(WavepipeError, ValueError):
    """A SEG-Y file is missing, cut short or not SEG-Y."""


class RunFolderError(WavepipeError, ValueError):
    """The output folder cannot be used."""


class DiskFullError(WavepipeError, RuntimeError):
    """There is no room left where results are written."""


class ClusterError(WavepipeError, RuntimeError):
    """The Dask cluster cannot be reached or started."""


class LedgerError(WavepipeError, RuntimeError):
    """What a run had made safe is there no more."""
