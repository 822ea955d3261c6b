"""The sample formats of SEG-Y: their sizes, and what their bytes mean."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.segy.headers import ByteOrder

Decoder = Callable[[NDArray[np.uint8], ByteOrder], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """One code of the sample format field (bytes 3225-3226)."""

    code: int
    """Value of the field."""

    name: str
    """What it stands for."""

    bytes: int
    """Size of a sample."""

    decode: Decoder
    """Bytes (..., n_samples * bytes) and their byte order to samples (..., n_samples)."""


# Scale of the 24-bit fraction by the leading byte of an IBM float: sign and power of 16.
_IBM_SCALE = np.ldexp(1.0, 4 * ((np.arange(256) & 0x7F) - 64) - 24) * np.where(
    np.arange(256) < 128, 1.0, -1.0
)


def decode_ibm(raw: NDArray[np.uint8], byte_order: ByteOrder) -> NDArray[np.float32]:
    """Decode IBM hexadecimal floats; exact, since the 24-bit fraction fits float32.

    Values beyond float32 saturate at its largest finite value.

    Examples
    --------
    >>> decode_ibm(np.array([0xC2, 0x76, 0xA0, 0x00], dtype=np.uint8), ">").tolist()
    [-118.625]
    """
    words = raw.view(byte_order + "u4")
    value = _IBM_SCALE[(words >> 24).astype(np.intp)] * (words & 0x00FFFFFF)
    largest = float(np.finfo(np.float32).max)
    return np.asarray(np.clip(value, -largest, largest), dtype=np.float32)


def encode_ibm(samples: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Encode float32 as big-endian IBM floats, rounded to the 21 to 24 bits they keep."""
    value = np.abs(samples.astype(np.float64))
    _, exponent2 = np.frexp(value)
    exponent16 = -(-exponent2 // 4)
    fraction = np.rint(np.ldexp(value, 24 - 4 * exponent16)).astype(np.int64)
    carried = fraction >> 24 > 0
    fraction = np.where(carried, fraction >> 4, fraction)
    exponent = np.clip(exponent16 + carried + 64, 0, 127)
    words = (exponent << 24 | fraction) * (value > 0) | (np.signbit(samples).astype(np.int64) << 31)
    return np.asarray(words.astype(">u4").view(np.uint8))


def _plain(kind: str) -> Decoder:
    def decode(raw: NDArray[np.uint8], byte_order: ByteOrder) -> NDArray[np.float32]:
        values = raw.view(byte_order + kind)
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(np.float32)

    return decode


def _three_bytes(signed: bool) -> Decoder:
    def decode(raw: NDArray[np.uint8], byte_order: ByteOrder) -> NDArray[np.float32]:
        parts = raw.reshape(*raw.shape[:-1], -1, 3).astype(np.int32)
        high, middle, low = (0, 1, 2) if byte_order == ">" else (2, 1, 0)
        value = parts[..., high] << 16 | parts[..., middle] << 8 | parts[..., low]
        if signed:
            value = np.where(value >= 1 << 23, value - (1 << 24), value)
        return value.astype(np.float32)

    return decode


FORMATS: dict[int, SampleFormat] = {
    fmt.code: fmt
    for fmt in (
        SampleFormat(1, "4-byte IBM float", 4, decode_ibm),
        SampleFormat(2, "4-byte signed integer", 4, _plain("i4")),
        SampleFormat(3, "2-byte signed integer", 2, _plain("i2")),
        SampleFormat(5, "4-byte IEEE float", 4, _plain("f4")),
        SampleFormat(6, "8-byte IEEE float", 8, _plain("f8")),
        SampleFormat(7, "3-byte signed integer", 3, _three_bytes(signed=True)),
        SampleFormat(8, "1-byte signed integer", 1, _plain("i1")),
        SampleFormat(9, "8-byte signed integer", 8, _plain("i8")),
        SampleFormat(10, "4-byte unsigned integer", 4, _plain("u4")),
        SampleFormat(11, "2-byte unsigned integer", 2, _plain("u2")),
        SampleFormat(12, "8-byte unsigned integer", 8, _plain("u8")),
        SampleFormat(15, "3-byte unsigned integer", 3, _three_bytes(signed=False)),
        SampleFormat(16, "1-byte unsigned integer", 1, _plain("u1")),
    )
}
"""Formats that are read; 4 (fixed point with gain) is obsolete and is refused."""
