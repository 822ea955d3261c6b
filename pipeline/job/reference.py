"""Every key of a job file with its values, default and meaning, from the sections themselves."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from wavepipe.pipeline.job import Job
from wavepipe.pipeline.job.section import PARAMETER_NAMES

_TYPES = {
    float: "number",
    int: "whole number",
    str: "text",
    bool: "true or false",
    types.NoneType: "null",
}

_REPEATED = (*PARAMETER_NAMES[1:], "y", "depth", "receivers", "nodes")
"""Sections with the keys of one listed before: vp, x, sources and fixed_spread."""

Row = tuple[str, str, str, str]
"""Key, values, default, meaning."""


def job_keys() -> list[Row]:
    """One row per key, in the order of the file; keys in lists have ``[]``."""
    return list(_rows(Job, ""))


def job_reference() -> str:
    """The rows of `job_keys` as a Markdown page."""
    lines = [
        "# Keys of a job file",
        "",
        "SI units throughout; lists over space are in axis order, (z, x) or (z, y, x). Relative",
        "paths start at the job file, `${VARIABLE}` is replaced from the environment, and",
        "`--set section.key=value` replaces a value. `wavepipe init --keys` prints this table.",
        "",
        "| key | values | default | meaning |",
        "|---|---|---|---|",
    ]
    for row in job_keys():
        key, values, default, meaning = (cell.replace("|", "\\|") for cell in row)
        lines.append(f"| `{key}` | {values} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[Row]:
    """Rows of one section and the sections inside it."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        annotation: Any = field.annotation
        for meta in field.metadata:
            annotation = Annotated[annotation, meta]
        values = [word for word in _values(annotation) if word != "null"] or ["null"]
        yield key, " or ".join(values), _default(field), field.description or ""
        if name in _REPEATED:
            continue
        for section, suffix in _sections(field.annotation):
            yield from _rows(section, f"{key}{suffix}.")


def _default(field: FieldInfo) -> str:
    """The default as YAML writes it, or that the key is required."""
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        given = [name for name, part in value if isinstance(part, BaseModel)]
        return given[0] if len(given) == 1 and len(type(value).model_fields) > 1 else ""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return "[]" if value == () else f"{value:g}" if isinstance(value, float) else str(value)


def _values(annotation: Any) -> list[str]:
    """What a value may be, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _values(arguments[0])
    if origin in (Union, types.UnionType):
        words = [word for part in arguments for word in _values(part)]
        return list(dict.fromkeys(words))
    if origin is Literal:
        return [str(value) for value in arguments]
    if origin is tuple:
        parts = [part for part in arguments if part is not Ellipsis]
        return [f"list of {' or '.join(_values(parts[0]))}"]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return ["section"]
    return [_TYPES.get(annotation, "section")]


def _sections(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """The section classes inside an annotation, and what their keys have before the dot."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
    for part in get_args(annotation):
        for section, suffix in _sections(part):
            yield section, ("[]" if get_origin(annotation) is tuple else "") + suffix
