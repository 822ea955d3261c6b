"""``wavepipe inspect``: what is in a file, and what was assumed while reading it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

_LINE = 120
"""Characters; longer parts are put on lines of their own."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(file: Path, as_json: bool) -> None:
    """Describe FILE: SEG-Y, an earth model, results.zarr, a run folder or a job file."""
    from wavepipe.pipeline.descriptions import describe_path

    described = describe_path(file)
    if as_json:
        click.echo(json.dumps(_strict(described), indent=2, default=str))
    elif described["what"] == "segy":
        from wavepipe.pipeline.segy.inspect import describe

        click.echo(describe(described))
    else:
        click.echo("\n".join(_lines(described)))


def _strict(value: Any) -> Any:
    """`value` with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _lines(described: dict[str, Any]) -> list[str]:
    """A description as text: values first, then nested parts, then what was assumed."""
    assumptions = described.pop("assumptions", [])
    lines = [f"{described.pop('path')} ({described.pop('what')})", *_section(described, 1)]
    if assumptions:
        lines += ["Assumed:", *(f"  - {text}" for text in assumptions)]
    return lines


def _section(values: dict[str, Any], depth: int) -> list[str]:
    """Indented ``key: value`` lines."""
    lines = []
    for key, value in values.items():
        if _is_nothing(value):
            continue
        name = "  " * depth + str(key)
        if isinstance(value, list) and len(_shown(value)) > _LINE and not _is_numbers(value):
            value = {f"[{number}]": item for number, item in enumerate(value)}
        if isinstance(value, dict) and _is_flat(value):
            lines.append(f"{name}: {_flat(value)}")
        elif isinstance(value, dict):
            lines += [f"{name}:", *_section(value, depth + 1)]
        else:
            lines.append(f"{name}: {_shown(value)}")
    return lines


def _is_numbers(values: list[Any]) -> bool:
    """Whether a list is better read on one line, however long."""
    return all(isinstance(value, (int, float)) for value in values)


def _is_flat(values: dict[str, Any]) -> bool:
    """Whether a dict is short enough for one line."""
    nested = any(isinstance(value, dict) for value in values.values())
    return not nested and len(_flat(values)) <= _LINE


def _flat(values: dict[str, Any]) -> str:
    """A dict on one line; what is absent is left out."""
    given = {key: value for key, value in values.items() if not _is_nothing(value)}
    return ", ".join(f"{key} {_shown(value)}" for key, value in given.items())


def _is_nothing(value: object) -> bool:
    """Whether there is nothing to say: what has no value, or an empty text or list."""
    return value is None or value in ("", [], {})


def _shown(value: object) -> str:
    """A value as a person writes it."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, dict):
        return f"({_flat(value)})"
    if isinstance(value, list):
        return "(" + ", ".join(_shown(item) for item in value) + ")"
    return str(value)
