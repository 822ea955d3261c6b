"""Turn pydantic's findings into one message in the house's words.

A message says what is wrong, the value, the limit and the remedy, and names section, key, file
and line. Only the first finding is shown; fixing it may well clear the others.
"""

import difflib
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wavepipe.pipeline.job.file import KeyPath, Plain, RawJob, dotted


def job_message(error: ValidationError, root: type[BaseModel], raw: RawJob) -> str:
    """One message for the most useful finding of `error`.

    Parameters
    ----------
    error
        What pydantic found.
    root
        The model that was validated.
    raw
        The values as written, with their lines.
    """
    by_path: dict[KeyPath, list[ErrorDetails]] = {}
    for finding in error.errors(include_url=False):
        by_path.setdefault(_data_path(finding, raw.values), []).append(finding)
    # A misspelt key also leaves the right one missing: the spelling is the cause.
    unknown = [path for path, found in by_path.items() if found[0]["type"] == "extra_forbidden"]
    path = unknown[0] if unknown else next(iter(by_path))
    # Of the branches of a union, the one that was understood furthest is the one that was meant.
    inside = [other for other in by_path if len(other) > len(path) and other[: len(path)] == path]
    path = max(inside, key=len, default=path)
    findings = by_path[path]
    place = raw.place(path)
    return _sentence(path, findings, root, raw) + (f" ({place})" if place else "")


def _sentence(
    path: KeyPath, findings: list[ErrorDetails], root: type[BaseModel], raw: RawJob
) -> str:
    """The message without its place."""
    kind = findings[0]["type"]
    file = raw.path.name
    name = dotted(path)
    if kind == "extra_forbidden":
        return unknown_key_message(str(path[-1]), dotted(path[:-1]), _keys(root, path[:-1]), file)
    description = _description(root, path)
    meaning = f" ({description})" if description else ""
    if kind == "missing":
        section = f"section {dotted(path[:-1])} of {file}" if path[:-1] else file
        remedy = f" ({description})" if description else ""
        return f"{section} has no {str(path[-1])!r}{remedy}; add it."
    checked = [finding for finding in findings if finding["type"] == "value_error"]
    if checked:  # of a union, the branch whose keys were right
        text = str(checked[0]["ctx"]["error"])
        return f"{f'{name} of {file}' if name else file}: {text}."
    value = _value_at(raw.values, path)
    rules = list(dict.fromkeys(_rule(finding) for finding in findings))
    if len(rules) == 1 and findings[0]["type"] in _SINGLE and "," not in rules[0]:
        rules[0] += ", the only choice"
    return f"{name} of {file} is {_shown(value)}; it must be {_join(rules, 'or')}{meaning}."


def unknown_key_message(key: str, section: str, valid: Iterable[str], file: str) -> str:
    """Message for a key that does not exist, with the nearest one that does."""
    valid = list(valid)
    where = f"in section {section} of {file}" if section else f"in {file}"
    near = difflib.get_close_matches(key.lower(), valid, n=1, cutoff=0.6)
    if near:
        return f"unknown key {key!r} {where}; did you mean {near[0]!r}?"
    return f"unknown key {key!r} {where}; valid keys are {_join(sorted(valid), 'and')}."


def _data_path(finding: ErrorDetails, values: Plain) -> KeyPath:
    """The finding's place in the data: pydantic's location without its union branches."""
    path: list[str | int] = []
    current: Plain = values
    for part in finding["loc"]:
        if isinstance(current, Mapping) and part in current:
            current = current[str(part)]
        elif isinstance(current, list) and isinstance(part, int) and part < len(current):
            current = current[part]
        elif finding["type"] == "missing" and part == finding["loc"][-1]:
            pass
        else:
            continue
        path.append(part)
    return tuple(path)


def _value_at(values: Plain, path: KeyPath) -> Plain:
    """The value at `path` of the data."""
    current: Any = values
    for part in path:
        current = current[part]
    return current  # type: ignore[no-any-return]


_RULES: dict[str, str] = {
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number less than {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "finite_number": "a finite number",
}
_TYPES: dict[str, str] = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a section with keys",
    "model_type": "a section with keys",
    "model_attributes_type": "a section with keys",
    "none_required": "null",
}


_SINGLE = ("literal_error", "none_required")


def _rule(finding: ErrorDetails) -> str:
    """What the value must be, as the end of 'it must be ...'."""
    kind = finding["type"]
    context = finding.get("ctx", {})
    if kind == "literal_error":
        choices = context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    if kind in _RULES:
        return _RULES[kind].format(**context)
    return _TYPES.get(kind, finding["msg"][:1].lower() + finding["msg"][1:])


def _join(parts: list[str], word: str) -> str:
    """Commas, and `word` before the last part."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def _shown(value: Plain) -> str:
    """A value in a message: short, as YAML writes it."""
    if value is None:
        return "empty (null)"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _models_at(annotation: object, path: KeyPath) -> list[type[BaseModel]]:
    """The section classes that the value at `path` below `annotation` may have."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _models_at(get_args(annotation)[0], path)
    if origin in (Union, UnionType):
        return [model for arg in get_args(annotation) for model in _models_at(arg, path)]
    if origin is tuple and path and isinstance(path[0], int):
        return _models_at(get_args(annotation)[0], path[1:])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not path:
            return [annotation]
        field = annotation.model_fields.get(str(path[0]))
        return _models_at(field.annotation, path[1:]) if field else []
    return []


def _keys(root: type[BaseModel], path: KeyPath) -> list[str]:
    """Valid keys of the section at `path`."""
    return [key for model in _models_at(root, path) for key in model.model_fields]


def _description(root: type[BaseModel], path: KeyPath) -> str:
    """What the key at `path` means, from the section's class."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    for model in _models_at(root, path[:-1]) if path else []:
        field = model.model_fields.get(str(path[-1]))
        if field is not None and field.description:
            return field.description
    return ""
