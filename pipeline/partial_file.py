"""A partial as bytes: a line of JSON, the arrays, and a digest of both."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

import numpy as np

from wavepipe.pipeline.partial import Failure, Partial
from wavepipe.pipeline.windows import Window

MAGIC = b"wavepipe partial 1\n"
_DIGEST = 16


def to_bytes(partial: Partial) -> list[bytes | memoryview]:
    """Pieces that make the file of a partial; arrays are not copied."""
    arrays = {name: np.ascontiguousarray(values) for name, values in partial.arrays.items()}
    header = {
        "shots": partial.shots,
        "failures": [asdict(failure) for failure in partial.failures],
        "window": None if partial.window is None else asdict(partial.window),
        "arrays": {name: [values.dtype.str, values.shape] for name, values in arrays.items()},
        "scalars": dict(partial.scalars),
    }
    pieces: list[bytes | memoryview] = [MAGIC, json.dumps(header).encode() + b"\n"]
    pieces += [values.reshape(-1).view(np.uint8).data for values in arrays.values()]
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for piece in pieces:
        digest.update(piece)
    return [*pieces, digest.digest()]


def from_bytes(content: bytes) -> Partial:
    """The partial in the bytes of its file.

    Raises
    ------
    ValueError
        They are not those that were written.
    """
    body, digest = content[:-_DIGEST], content[-_DIGEST:]
    if not body.startswith(MAGIC) or hashlib.blake2b(body, digest_size=_DIGEST).digest() != digest:
        raise ValueError("other bytes than were written")
    line_end = body.index(b"\n", len(MAGIC))
    header = json.loads(body[len(MAGIC) : line_end])
    arrays, begin = {}, line_end + 1
    for name, (kind, shape) in header["arrays"].items():
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        # A copy: arrays from bytes are read-only, and where a header ends is no place for floats.
        arrays[name] = np.frombuffer(body, dtype, count, begin).reshape(shape).copy()
        begin += count * dtype.itemsize
    return Partial(
        shots=tuple(header["shots"]),
        failures=tuple(Failure(**failure) for failure in header["failures"]),
        window=_window(header["window"]),
        arrays=arrays,
        scalars=header["scalars"],
    )


def _window(fields: dict[str, Any] | None) -> Window | None:
    if fields is None:
        return None
    return Window(**{name: tuple(values) for name, values in fields.items()})
