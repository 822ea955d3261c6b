"""Which files a survey is made of: one, a glob, a list, or these by component."""

from collections import Counter
from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.segy.file_format import SegyFile
from wavepipe.pipeline.segy.headers import TRACE_KINDS

Files = str | Path | Sequence[str | Path] | Mapping[str, str | Path | Sequence[str | Path]]
"""A file, a glob, a list of them, or these by component: {'vz': 'vz.sgy', 'vx': 'vx.sgy'}."""


def expand_files(files: Files, folder: Path | None) -> tuple[list[str], list[str | None]]:
    """List the files and the component each is said to hold.

    Parameters
    ----------
    files : path, glob, list, or mapping by component
        A glob's files come sorted by name.
    folder : path or None
        Where relative paths start.

    Returns
    -------
    paths : list of str
        Absolute paths.
    stated : list of str or None
        Component per path; None where the headers are to say it.
    """
    named: list[tuple[str | None, str | Path | Sequence[str | Path]]]
    named = [*files.items()] if isinstance(files, Mapping) else [(None, files)]
    paths: list[str] = []
    stated: list[str | None] = []
    for component, given in named:
        if component is not None and component not in TRACE_KINDS:
            message = f"survey.data names {component!r}; components are {', '.join(TRACE_KINDS)}."
            raise SurveyError(message)
        patterns = [given] if isinstance(given, (str, Path)) else list(given)
        found = [path for pattern in patterns for path in _expand_pattern(pattern, folder)]
        if not found:
            message = f"survey.data names no file{f' for {component}' if component else ''}."
            raise SurveyError(message)
        paths += found
        stated += [component] * len(found)
    if not paths:
        message = "survey.data names no file."
        raise SurveyError(message)
    path, times = Counter(paths).most_common(1)[0]
    if times > 1:
        message = f"survey.data names {path} {times} times; name each file once."
        raise SurveyError(message)
    return paths, stated


def component_of_file(file: SegyFile, kinds: NDArray[np.integer], stated: str | None) -> str:
    """Component a file holds: as stated, as its trace headers declare, else pressure.

    Parameters
    ----------
    file : SegyFile
    kinds : integer array, (n_traces,)
        Trace identification codes (bytes 29-30).
    stated : str or None
        What the job says.

    Raises
    ------
    SurveyError
        The headers declare several components, or another one than stated.
    """
    declared = []
    if file.revision[0] >= 1:  # revision 0 leaves these codes to anybody
        declared = [name for name, code in TRACE_KINDS.items() if np.any(kinds == code)]
    if len(declared) > 1:
        message = (
            f"{file.path} holds {' and '.join(declared)} together, as the trace identification "
            "codes (bytes 29-30) say. Write each component to a file of its own."
        )
        raise SurveyError(message)
    if not declared:
        return stated or "pressure"
    if stated not in (None, declared[0]):
        message = (
            f"survey.data names {file.path} for {stated}, but its trace identification code "
            f"(bytes 29-30) is {TRACE_KINDS[declared[0]]}: {declared[0]}. Correct survey.data, or "
            "the headers."
        )
        raise SurveyError(message)
    return declared[0]


def _expand_pattern(pattern: str | Path, folder: Path | None) -> list[str]:
    path = (folder or Path()) / Path(pattern).expanduser()
    if path.exists() or not any(sign in str(pattern) for sign in "*?["):
        return [str(path.absolute())]
    found = sorted(
        name
        for name in glob(str(path), recursive=True)  # noqa: PTH207 - it may be absolute
        if Path(name).is_file()
    )
    if not found:
        message = f"survey.data {pattern} matches no file in {path.parent}."
        raise SurveyError(message)
    return [str(Path(name).absolute()) for name in found]
