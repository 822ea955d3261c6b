"""The job: a YAML file read, checked and frozen.

`read_job` refuses what it does not know, so that a misspelt key cannot be ignored, and imports
nothing heavy, so that the refusal comes at once.
"""

from __future__ import annotations

import warnings
from glob import glob
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import yaml
from pydantic import Field, PrivateAttr, ValidationError, model_validator

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.job.checks import check_sections
from wavepipe.pipeline.job.file import read_job_file
from wavepipe.pipeline.job.messages import job_message
from wavepipe.pipeline.job.sections import (
    ClusterSection,
    Components,
    EarthModelSection,
    FwiSection,
    OutputSection,
    PhysicsName,
    PropagatorSection,
    RtmSection,
    RunSection,
    Section,
    StorageSection,
    SurveySection,
    WaveletSection,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["model", "rtm", "fwi"]

LONGEST_USUAL_DT = 0.1
"""s; surveys are sampled ten to a thousand times finer, so more is a slip of the unit."""


class Job(Section):
    """A checked job; the attributes are the keys of the job file."""

    kind: Kind = Field(description="model, rtm or fwi")
    physics: PhysicsName = Field(default="scalar", description="the wave equation")
    earth_model: EarthModelSection = Field(description="the medium")
    survey: SurveySection = Field(description="sources, receivers and data")
    wavelet: WaveletSection = Field(description="the source time function")
    propagator: PropagatorSection = Field(
        default=PropagatorSection(), description="how waves are computed"
    )
    storage: StorageSection = Field(default=StorageSection(), description="how wavefields are kept")
    rtm: RtmSection = Field(default=RtmSection(), description="options of rtm")
    fwi: FwiSection | None = Field(default=None, description="options of fwi")
    cluster: ClusterSection = Field(default=ClusterSection(), description="workers")
    run: RunSection = Field(default=RunSection(), description="failures and chance")
    output: OutputSection = Field(default=OutputSection(), description="what is written")

    _path: Path = PrivateAttr(default=Path("job.yaml"))

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_sections(self)
        return self

    @property
    def path(self) -> Path:
        """The job file, absolute."""
        return self._path

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from."""
        return self._path.parent

    @property
    def output_folder(self) -> Path:
        """The run folder, absolute."""
        return self.resolve(self.output.folder or f"runs/{self._path.stem}")

    def resolve(self, path: str) -> Path:
        """`path` of the job file as an absolute path."""
        return (self.folder / Path(path).expanduser()).resolve()

    def data_files(self) -> tuple[Path, ...]:
        """The SEG-Y files of ``survey.data``, with patterns expanded, sorted within each.

        Raises
        ------
        SurveyError
            A file does not exist or a pattern matches none.
        """
        return tuple(path for paths in self._files().values() for path in paths)

    def survey_files(self) -> tuple[Path, ...] | dict[str, tuple[Path, ...]]:
        """As `data_files`, by component where the job names them so."""
        by_component = isinstance(self.survey.data, Components)
        return self._files() if by_component else self.data_files()

    def _files(self) -> dict[str, tuple[Path, ...]]:
        """The SEG-Y files of ``survey.data`` by component; under "" where none is named."""
        data = self.survey.data
        named = data.given if isinstance(data, Components) else {"": data or ()}
        return {
            component: tuple(
                path
                for name in ((given,) if isinstance(given, str) else given)
                for path in _matching(self.resolve(name), name)
            )
            for component, given in named.items()
        }

    def resolved(self) -> dict[str, object]:
        """Every key with its value: defaults filled in, paths absolute, plain types."""
        values = self.model_dump(mode="json", exclude_none=True)
        for parameter in values["earth_model"].values():
            if isinstance(parameter, dict) and "path" in parameter:
                parameter["path"] = str(self.resolve(parameter["path"]))
        survey = values["survey"]
        if "data" in survey:
            files = {name: [str(path) for path in paths] for name, paths in self._files().items()}
            survey["data"] = files.get("", files)
        if "table" in survey.get("layout", {}):
            survey["layout"]["table"] = str(self.resolve(survey["layout"]["table"]))
        if "path" in values["wavelet"]:
            values["wavelet"]["path"] = str(self.resolve(values["wavelet"]["path"]))
        if self.storage.folder is not None:
            values["storage"]["path"] = str(self.resolve(self.storage.folder))
        values["output"]["folder"] = str(self.output_folder)
        return values

    def resolved_yaml(self) -> str:
        """The job as a file that reruns as it is, from any folder."""
        return yaml.safe_dump(self.resolved(), sort_keys=False, default_flow_style=None, width=100)


def read_job(path: Path | str, overrides: Sequence[str] = ()) -> Job:
    """The job in a YAML file.

    Parameters
    ----------
    path
        The job file. Relative paths inside it are relative to its folder.
    overrides
        ``section.key=value`` pairs that replace what the file says; values are YAML, and a
        number in the path is a list index: ``fwi.stages.0.iterations=2``.

    Returns
    -------
    Job
        Frozen; absent sections and keys have their defaults.

    Raises
    ------
    JobError
        Anything wrong, as one message with section, key, file and line.
    """
    path = Path(path)
    raw = read_job_file(path, overrides)
    # 'rtm:' with nothing below it means its defaults.
    values = {
        key: {} if value is None and _has_defaults(key) else value
        for key, value in raw.values.items()
    }
    try:
        job = Job.model_validate(values)
    except ValidationError as error:
        raise JobError(job_message(error, Job, raw)) from None
    job._path = path.absolute()
    _hint_at_milliseconds(job)
    return job


def _hint_at_milliseconds(job: Job) -> None:
    """Warn of a sample interval that looks as if it were not in seconds."""
    dt = job.survey.dt
    if dt is not None and dt > LONGEST_USUAL_DT:
        warnings.warn(
            f"survey.dt of {job.path.name} is {dt:g} s, a rare sample interval; it is in seconds, "
            f"so write {dt / 1000:g} if {dt:g} ms is meant.",
            stacklevel=3,
        )


def _has_defaults(key: str) -> bool:
    """Whether a section may be left empty."""
    return key in ("propagator", "storage", "rtm", "cluster", "run", "output")


def check_kind(job: Job, command: Kind) -> None:
    """JobError if `job` is not for the command that was called."""
    if job.kind != command:
        msg = (
            f"{job.path.name} has kind {job.kind!r}, and the command is 'wavepipe {command}'. "
            f"Run 'wavepipe {job.kind} {job.path.name}', or add --set kind={command}."
        )
        raise JobError(msg)


def check_files(job: Job) -> None:
    """Refuse a job that names a file which is missing, empty, or SEG-Y that is cut short.

    Only the first headers of SEG-Y files are read, so that the answer comes before anything heavy
    starts.

    Raises
    ------
    JobError, SurveyError, SegyError
        Naming the key, the file and what is wrong with it.
    """
    named = {
        f"earth_model.{name}.path": parameter.path
        for name, parameter in job.earth_model.given.items()
    }
    named["wavelet.path"] = job.wavelet.path
    named["survey.layout.table"] = job.survey.layout.table if job.survey.layout else None
    if job.output.dask_report and find_spec("bokeh") is None:
        msg = f"output.dask_report of {job.path.name} needs bokeh: pip install bokeh"
        raise JobError(msg)
    for key, name in named.items():
        if name is None:
            continue
        path = job.resolve(name)
        if not path.exists():
            msg = f"{key} of {job.path.name}: {path} does not exist. Correct the path."
            raise JobError(msg)
        if path.is_file() and path.stat().st_size == 0:
            msg = f"{key} of {job.path.name}: {path} is empty (0 bytes). Write it again."
            raise JobError(msg)
    for path in job.data_files():
        _check_segy(path)


def _check_segy(path: Path) -> None:
    """SegyError unless `path` is SEG-Y of whole traces."""
    from wavepipe.pipeline.errors import SegyError
    from wavepipe.pipeline.segy.file_format import open_segy

    file = open_segy(path)
    whole = file.first_trace + file.n_traces * file.trace_bytes
    if file.size > whole:
        msg = (
            f"{path} is cut short: after {file.n_traces} whole traces of {file.n_samples} samples, "
            f"{file.size - whole} bytes are left over. Copy the file again, or cut it to its whole "
            f"traces ({whole} bytes)."
        )
        raise SegyError(msg)


def _matching(path: Path, name: str) -> list[Path]:
    """The files that `path`, which may be a pattern, stands for."""
    from wavepipe.pipeline.errors import SurveyError

    if any(character in name for character in "*?["):
        # Path.glob takes no absolute pattern.
        found = [Path(match) for match in sorted(glob(str(path)))]  # noqa: PTH207
        if not found:
            msg = f"survey.data: no file matches {path}. Correct the pattern."
            raise SurveyError(msg)
    elif not path.exists():
        msg = f"survey.data: {path} does not exist. Correct the path."
        raise SurveyError(msg)
    else:
        found = [path]
    for file in found:
        if file.is_dir():
            msg = f"survey.data: {file} is a folder. Name a SEG-Y file or a pattern such as *.sgy."
            raise SurveyError(msg)
        if file.stat().st_size == 0:
            msg = f"survey.data: {file} is empty (0 bytes), so not a SEG-Y file."
            raise SurveyError(msg)
    return found


def make_wavelet(
    wavelet: WaveletSection, dt: float, nt: int, folder: Path | None = None
) -> NDArray[np.float64]:
    """The source time function (nt,) sampled at `dt`.

    Parameters
    ----------
    wavelet
        The job's section.
    dt : s
        Sample interval of the result.
    nt
        Number of samples of the result.
    folder
        Where a relative path of the section starts; see `Job.folder`.

    Raises
    ------
    JobError
        The file cannot be read, has NaN, or another sample interval than `dt`.
    """
    from wavepipe.pipeline.wavelet_file import read_wavelet
    from wavepipe.propagators.wavelets import ormsby, ricker

    if wavelet.ricker is not None:
        samples = ricker(wavelet.ricker.peak_frequency, dt, nt, wavelet.ricker.delay)
    elif wavelet.ormsby is not None:
        delay = wavelet.ormsby.delay
        f1, f2, f3, f4 = wavelet.ormsby.frequencies
        samples = ormsby(f1, f2, f3, f4, dt, nt, delay)
    else:
        path = Path(wavelet.path or "")
        samples = read_wavelet(path if folder is None else folder / path, wavelet.dt, dt, nt)
    return wavelet.amplitude * samples
