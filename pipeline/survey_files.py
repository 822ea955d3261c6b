"""Which files a survey is made of: one, a glob, a list, or these by component."""

from collections import Counter
from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path

from wavepipe.pipeline.errors import SurveyError

Files = str | Path | Sequence[str | Path] | Mapping[str, str | Path | Sequence[str | Path]]
"""A file, a glob, a list of them, or these by component: {'vz': 'vz.sgy', 'vx': 'vx.sgy'}."""


def expand_files(files: Files, folder: Path | None) -> tuple[list[str], tuple[str, ...], list[int]]:
    """List the files and the component each holds.

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
    components : tuple of str
    component_of_file : list of int
        Index into `components`, per path.
    """
    by_component = files if isinstance(files, Mapping) else {"pressure": files}
    paths: list[str] = []
    component_of_file: list[int] = []
    for index, (component, given) in enumerate(by_component.items()):
        patterns = [given] if isinstance(given, (str, Path)) else list(given)
        found = [path for pattern in patterns for path in _expand_pattern(pattern, folder)]
        if not found:
            message = f"survey.data names no file for {component}."
            raise SurveyError(message)
        paths += found
        component_of_file += [index] * len(found)
    if not paths:
        message = "survey.data names no file."
        raise SurveyError(message)
    path, times = Counter(paths).most_common(1)[0]
    if times > 1:
        message = f"survey.data names {path} {times} times; name each file once."
        raise SurveyError(message)
    return paths, tuple(by_component), component_of_file


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
