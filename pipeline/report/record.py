"""What lies in a run folder, read for its report: each part alone, since any may be missing."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from wavepipe.pipeline.errors import RunFolderError
from wavepipe.pipeline.history import Session, read_history
from wavepipe.pipeline.provenance import fingerprint
from wavepipe.pipeline.run_folder import RunFolder
from wavepipe.pipeline.status import State, state_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wavepipe.pipeline.earth_model import EarthModel
    from wavepipe.pipeline.job import Job
    from wavepipe.pipeline.shots import Survey


@dataclass(frozen=True)
class Record:
    """A run as its folder tells it."""

    folder: RunFolder

    def check(self) -> None:
        """Refuse the folder of a later version, whose files may mean something else.

        Raises
        ------
        RunFolderError
            It is one.
        """
        theirs, ours = str(self.versions.get("wavepipe", "")), version("wavepipe")
        if _numbers(theirs) > _numbers(ours):
            raise RunFolderError(
                f"{self.folder.path} was written by wavepipe {theirs}, and this is {ours}. Use "
                "that version, or a later one."
            )

    @cached_property
    def sessions(self) -> list[Session]:
        """From every start or resumption to where it ended."""
        return read_history(self.folder.read_events())

    @property
    def last(self) -> Session | None:
        """Session."""
        return self.sessions[-1] if self.sessions else None

    @cached_property
    def owner(self) -> str:
        """Who is at work; empty if nobody is."""
        return self.folder.owner()

    @property
    def state(self) -> State:
        """How the run is doing."""
        return state_of(self.last, self.owner)

    @property
    def kind(self) -> str:
        """model, rtm or fwi."""
        return self.last.kind if self.last else str(self.settings.get("kind", "run"))

    @cached_property
    def job_text(self) -> str:
        """The resolved job; empty if it is not there."""
        try:
            return self.folder.resolved_job.read_text(encoding="utf-8")
        except OSError:
            return ""

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The resolved job as plain values."""
        import yaml

        try:
            found = yaml.safe_load(self.job_text)
        except yaml.YAMLError:
            found = None
        return found if isinstance(found, dict) else {}

    @cached_property
    def job(self) -> Job:
        """The resolved job."""
        from wavepipe.pipeline.job import read_job

        return read_job(self.folder.resolved_job)

    @cached_property
    def plan(self) -> Mapping[str, Any]:
        """What was fixed before the work started; empty if it is not there."""
        return _json(self.folder.plan.read_text)

    @cached_property
    def provenance(self) -> Mapping[str, Any]:
        """Versions, machine and inputs; empty if they are not there."""
        return _json(self.folder.provenance.read_text)

    @property
    def versions(self) -> Mapping[str, Any]:
        """Of the packages that the run was made with."""
        found = self.provenance.get("versions")
        return found if isinstance(found, dict) else {}

    @cached_property
    def survey(self) -> Survey:
        """Shots and traces."""
        from wavepipe.pipeline.shots import Survey

        return Survey.load(self.folder.survey)

    @property
    def arrays(self) -> set[str]:
        """Names in results.zarr."""
        if not self.folder.results.is_dir():
            return set()
        return {path.name for path in self.folder.results.iterdir() if path.is_dir()}

    def array(self, name: str, part: Any = ...) -> NDArray[Any]:
        """An array of results.zarr, or a part of it.

        A driver may be cutting or making it just now, so its own metadata count.
        """
        import zarr

        return np.asarray(zarr.open_array(self.folder.results / name, mode="r")[part])

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        """Of results.zarr."""
        import zarr

        group = zarr.open_group(self.folder.results, mode="r", use_consolidated=False)
        return dict(group.attrs)

    @cached_property
    def earth(self) -> EarthModel:
        """The earth model that the run started from.

        Of an inversion it is in the results. Else it is read again, if its files are what they
        were; or, of an image, only its grid is known and its values are NaN.
        """
        from wavepipe.pipeline.earth_model import EarthModel

        if self.kind == "fwi" and "vp" in self.arrays:
            start = self.array("vp", 0)
            if np.isfinite(start).any():
                return EarthModel({"vp": start}, *self._grid(start.shape))
        try:
            return self._earth_read_again()
        except (OSError, ValueError) as error:
            if "image" not in self.arrays:
                raise
            logging.getLogger(__name__).debug("%s", error)
            unknown = np.full(self.array("image").shape, np.nan, np.float32)
            return EarthModel({"vp": unknown}, *self._grid(unknown.shape))

    def _earth_read_again(self) -> EarthModel:
        """From the job's files, which must have the content that they had."""
        from wavepipe.pipeline.earth_model import load_earth_model

        job = self.job
        then = {one["path"]: one for one in self.provenance.get("inputs", [])}
        for parameter in job.earth_model.given.values():
            if parameter.path is None:
                continue
            path = job.resolve(parameter.path)
            known = then.get(str(path))
            if known is not None and _content(known) != _content(fingerprint(path)):
                raise RunFolderError(f"{path} has changed since the run read it.")
        return load_earth_model(job)

    def _grid(self, shape: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Spacing and origin, from the coordinates in the results."""
        axes = ("z", "x") if len(shape) == 2 else ("z", "y", "x")
        nodes = [self.array(axis) for axis in axes]
        spacing = tuple(float(x[1] - x[0]) if len(x) > 1 else 1.0 for x in nodes)
        return spacing, tuple(float(x[0]) for x in nodes)


def _json(read: Callable[[], str]) -> Mapping[str, Any]:
    """Content of a JSON file; nothing if it is not there or no such file."""
    try:
        found = json.loads(read())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _content(fingerprint: Mapping[str, Any]) -> list[Any]:
    """What does not depend on where a file lies and when it was written."""
    return [fingerprint.get(key) for key in ("bytes", "sha256", "sha256_sampled")]


def _numbers(text: str) -> tuple[int, ...]:
    """The release numbers that a version starts with.

    Examples
    --------
    >>> _numbers("0.10.2") > _numbers("0.9.0rc1")
    True
    """
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
