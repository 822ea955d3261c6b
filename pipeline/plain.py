"""Frozen dataclasses from what JSON makes of them: tuples are lists there, nan is null."""

import math
import types
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_plain(kind: type[T], content: Any) -> T:
    """An object of a dataclass from the plain content that `dataclasses.asdict` made of one.

    Parameters
    ----------
    kind
        Its fields are numbers, texts, tuples, mappings and dataclasses of such.
    content
        As JSON gives it back.

    Raises
    ------
    KeyError
        A field is missing.
    """
    hints = get_type_hints(kind)
    given = {f.name: _value(hints[f.name], content[f.name]) for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**given)


def _value(hint: Any, content: Any) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        return from_plain(hint, content)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if content is None:
            return None
        return _value(next(one for one in inner if one is not types.NoneType), content)
    if origin is tuple:
        kinds = inner[:1] * len(content) if inner[-1] is ... else inner
        return tuple(_value(k, one) for k, one in zip(kinds, content, strict=True))
    if origin is not None and origin is not Literal and issubclass(origin, dict):
        return {key: _value(inner[1], one) for key, one in content.items()}
    return math.nan if hint is float and content is None else content
