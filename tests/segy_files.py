"""Small SEG-Y files with chosen headers, for tests."""

from pathlib import Path

import numpy as np

from wavepipe.pipeline.segy.headers import (
    BINARY_FIELDS,
    TRACE_FIELDS,
    binary_header_dtype,
    trace_header_dtype,
)
from wavepipe.pipeline.segy.samples import FORMATS, encode_ibm
from wavepipe.pipeline.shots import Survey

SOURCES = np.array([100, 300, 500])
RECEIVERS = np.array([0, 50, 100, 150])

_KINDS = {2: "i4", 3: "i2", 5: "f4", 6: "f8", 8: "i1", 10: "u4", 11: "u2", 16: "u1"}


def write_segy(
    path: Path,
    samples: np.ndarray,
    headers: dict[str, object] | None = None,
    binary: dict[str, object] | None = None,
    *,
    byte_order: str = ">",
    text: bytes = b"",
    extended: bytes = b"",
) -> Path:
    """Write samples (n_traces, n_samples) with trace and binary header fields as given."""
    n_traces, n_samples = samples.shape
    fields = {"interval": 4000, "n_samples": n_samples, "format": 5, **(binary or {})}
    record = np.zeros(1, dtype=binary_header_dtype(byte_order))
    for name, value in fields.items():
        assert name in BINARY_FIELDS
        record[name] = value
    code = int(fields["format"])
    if code == 1:
        data = encode_ibm(samples.astype(np.float32)).reshape(n_traces, n_samples, 4)
        data = data if byte_order == ">" else data[..., ::-1]
        data = data.reshape(n_traces, -1)
    else:
        data = samples.astype(byte_order + _KINDS[code]).view(np.uint8)
    traces = np.zeros(n_traces, dtype=trace_header_dtype(byte_order, TRACE_FIELDS))
    for name, value in {"n_samples": n_samples, "interval": 4000, **(headers or {})}.items():
        traces[name] = value
    assert data.shape[1] == n_samples * FORMATS[code].bytes
    body = np.concatenate([traces.view(np.uint8).reshape(n_traces, 240), data], axis=1)
    path.write_bytes(text.ljust(3200, b" ") + record.tobytes() + extended + body.tobytes())
    return path


def line_headers(sources: np.ndarray, receivers: np.ndarray, **fields: object) -> dict[str, object]:
    """Headers of shots along X: every source is recorded by every receiver."""
    n_shots, n_receivers = len(sources), len(receivers)
    return {
        "field_record": np.repeat(np.arange(1, n_shots + 1), n_receivers),
        "source_x": np.repeat(sources, n_receivers),
        "receiver_x": np.tile(receivers, n_shots),
        **fields,
    }


def noise(n_traces: int, n_samples: int = 20, seed: int = 0) -> np.ndarray:
    """Random samples (n_traces, n_samples)."""
    return np.random.default_rng(seed).standard_normal((n_traces, n_samples)).astype(np.float32)


def write_line(path: Path, seed: int = 0, **fields: object) -> np.ndarray:
    """Write three shots along X with four receivers each; return their samples."""
    binary = fields.pop("binary", None)
    samples = noise(len(SOURCES) * len(RECEIVERS), seed=seed)
    write_segy(path, samples, line_headers(SOURCES, RECEIVERS, **fields), binary)
    return samples


def said(survey: Survey, words: str) -> bool:
    """Whether an assumption of a survey says something."""
    return any(words in sentence for sentence in survey.assumptions)
