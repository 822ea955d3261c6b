"""Read a job file: YAML with line numbers, overrides and environment variables.

What comes out is plain Python (dict, list, str, numbers) and, for every value, where it was
written, so that a message can name the line. Nothing here knows which keys exist.
"""

import os
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import yaml

from wavepipe.pipeline.errors import JobError

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
KeyPath: TypeAlias = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_SCALAR_FLOAT = re.compile(
    r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
)


@dataclass(frozen=True, slots=True)
class RawJob:
    """The content of a job file, before any key is checked."""

    path: Path
    """The job file."""

    values: dict[str, Plain]
    """The file's content with the overrides applied."""

    places: dict[KeyPath, str] = field(default_factory=dict)
    """Where each key was written: ``line 12`` or ``--set a.b=1``."""

    def place(self, path: KeyPath) -> str:
        """Where the value at `path`, or the closest section around it, was written."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return ""


class _JobLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice and reads 1e-3 as a number."""


_JobLoader.add_implicit_resolver("tag:yaml.org,2002:float", _SCALAR_FLOAT, list("-+0123456789."))


def _construct_mapping(loader: _JobLoader, node: yaml.MappingNode) -> dict[Hashable, object]:
    """Build a dict; a repeated key is an error at its line."""
    first_lines: dict[Hashable, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, Hashable) and key in first_lines:
            problem = f"key {key!r} is written twice, first on line {first_lines[key] + 1}"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        first_lines[key] = key_node.start_mark.line
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_JobLoader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def read_job_file(path: Path, overrides: Sequence[str] = ()) -> RawJob:
    """Content of a job file with overrides applied and ``${VARIABLE}`` replaced.

    Parameters
    ----------
    path
        The YAML file.
    overrides
        ``section.key=value``; the value is read as YAML, a number in the path is a list index.

    Raises
    ------
    JobError
        The file is missing, not YAML or not a mapping; an override does not fit; a variable
        is not set.
    """
    text = _read_text(path)
    values, places = _parse(text, path)
    for override in overrides:
        _apply_override(values, places, override, path.name)
    expanded = _expand(values, (), RawJob(path, values, places))
    if not isinstance(expanded, dict):  # pragma: no cover - _expand keeps the type
        raise TypeError(expanded)
    return RawJob(path, expanded, places)


def _read_text(path: Path) -> str:
    """The file's text, or a JobError that says why there is none."""
    if not path.exists():
        msg = (
            f"job file {path} does not exist (looked in {path.absolute().parent}). "
            "'wavepipe init model|rtm|fwi' writes one to start from."
        )
        raise JobError(msg)
    if path.is_dir():
        msg = f"{path} is a folder, not a job file. Name the YAML file inside it."
        raise JobError(msg)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        msg = f"{path} is not a text file (byte {error.start} is not UTF-8), so not a job file."
        raise JobError(msg) from error
    except OSError as error:
        msg = f"cannot read job file {path}: {error.strerror}."
        raise JobError(msg) from error


def _parse(text: str, path: Path) -> tuple[dict[str, Plain], dict[KeyPath, str]]:
    """Values of the YAML text and the line each was written on."""
    try:
        values = yaml.load(text, Loader=_JobLoader)
        node = yaml.compose(text, Loader=_JobLoader)
    except yaml.MarkedYAMLError as error:
        raise JobError(_syntax_message(error, path)) from error
    except yaml.YAMLError as error:
        msg = f"{path} is not YAML: {error}."
        raise JobError(msg) from error
    if values is None:
        msg = f"job file {path} is empty. 'wavepipe init model|rtm|fwi' writes one to start from."
        raise JobError(msg)
    if not isinstance(values, dict):
        msg = (
            f"job file {path} holds a {type(values).__name__}, not sections. "
            "It must start with keys such as 'kind: model' and 'earth_model:'."
        )
        raise JobError(msg)
    places: dict[KeyPath, str] = {}
    _record_lines(node, (), places)
    return values, places


def _syntax_message(error: yaml.MarkedYAMLError, path: Path) -> str:
    """One sentence with file:line:column for a YAML error."""
    mark = error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
    problem = error.problem or error.context or "not YAML"
    if "cannot start any token" in problem and "\\t" in problem:
        problem = "a tab is used for indentation; YAML needs spaces"
    context = ""
    if error.context and error.context_mark and error.problem:
        context = f" ({error.context} that starts on line {error.context_mark.line + 1})"
    return f"{where}: {problem}{context}."


def _record_lines(node: yaml.Node | None, path: KeyPath, places: dict[KeyPath, str]) -> None:
    """Note the line of every key and list item below `node`."""
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key = (*path, str(key_node.value))
            places[key] = f"line {key_node.start_mark.line + 1}"
            _record_lines(value_node, key, places)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            places[(*path, index)] = f"line {item.start_mark.line + 1}"
            _record_lines(item, (*path, index), places)


def _apply_override(
    values: dict[str, Plain], places: dict[KeyPath, str], override: str, file: str
) -> None:
    """Set one ``section.key=value`` in place."""
    name, equals, text = override.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts):
        msg = f"--set {override!r} is not KEY=VALUE; write for example --set fwi.smoothing=30."
        raise JobError(msg)
    try:
        value: Plain = yaml.load(text, Loader=_JobLoader)
    except yaml.YAMLError as error:
        msg = f"--set {override!r}: the value {text!r} is not YAML. Quote it for the shell."
        raise JobError(msg) from error
    container: Plain = values
    path: KeyPath = ()
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(container, list):
            index = _list_index(part, container, ".".join(parts[:depth]), override)
            path = (*path, index)
            if last:
                container[index] = value
            container = container[index]
        elif isinstance(container, dict):
            path = (*path, part)
            if last:
                container[part] = value
            elif container.get(part) is None:
                container[part] = {}
            container = container[part]
        else:
            msg = (
                f"--set {override!r}: {'.'.join(parts[:depth])} of {file} is {container!r}, "
                f"which has no key {part!r}. Set {'.'.join(parts[:depth])} as a whole."
            )
            raise JobError(msg)
    for known in [key for key in places if key[: len(path)] == path]:
        del places[known]
    places[path] = f"--set {override}"


def _list_index(part: str, items: list[Plain], name: str, override: str) -> int:
    """`part` as an index of `items`."""
    if part.isdigit() and int(part) < len(items):
        return int(part)
    msg = (
        f"--set {override!r}: {name} is a list of {len(items)}, so {part!r} is no item of it. "
        f"Use a number from 0 to {len(items) - 1}."
    )
    raise JobError(msg)


def _expand(value: Plain, path: KeyPath, raw: RawJob) -> Plain:
    """`value` with every ``${VARIABLE}`` replaced from the environment."""
    if isinstance(value, dict):
        return {str(key): _expand(item, (*path, str(key)), raw) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, (*path, index), raw) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        variable = match.group(1)
        if variable in os.environ:
            return os.environ[variable]
        place = raw.place(path)
        msg = (
            f"environment variable {variable!r} in {dotted(path)} of {raw.path.name} is not set"
            f"{f' ({place})' if place else ''}. Set it, or write the value in the job file."
        )
        raise JobError(msg)

    expanded = _VARIABLE.sub(replace, value)
    if expanded != value and re.fullmatch(r"[-+.\deE]+", expanded):
        number: Plain = yaml.load(expanded, Loader=_JobLoader)
        return number
    return expanded


def dotted(path: KeyPath) -> str:
    """A key path as it is written in messages.

    >>> dotted(("fwi", "stages", 0, "iterations"))
    'fwi.stages[0].iterations'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
