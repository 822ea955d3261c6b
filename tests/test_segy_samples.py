"""Sample formats, scalars and byte layouts of SEG-Y."""

import struct

import numpy as np
import pytest

from wavepipe.pipeline.segy.headers import (
    TRACE_FIELDS,
    apply_scalar,
    binary_header_dtype,
    choose_scalar,
    to_header_integers,
    trace_header_dtype,
)
from wavepipe.pipeline.segy.raw_reader import contiguous_runs
from wavepipe.pipeline.segy.samples import FORMATS, decode_ibm, encode_ibm


def _ibm_value(word: int) -> float:
    sign = -1.0 if word >> 31 else 1.0
    return float(sign * (word & 0xFFFFFF) / 2**24 * 16.0 ** ((word >> 24 & 0x7F) - 64))


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (0x00000000, 0.0),
        (0x41100000, 1.0),
        (0xC276A000, -118.625),
        (0x46000001, 1.0),  # not normalised: leading hexadecimal digits are zero
        (0x40000001, 2.0**-24),
    ],
)
def test_ibm_floats_decode_to_their_definition(word, value):
    raw = np.frombuffer(struct.pack(">I", word), dtype=np.uint8)
    assert decode_ibm(raw, ">")[0] == value
    assert decode_ibm(raw[::-1].copy(), "<")[0] == value


def test_every_ibm_exponent_decodes_exactly_or_saturates():
    words = np.array(
        [
            exponent << 24 | fraction
            for exponent in range(256)
            for fraction in (1, 0x123456, 0xFFFFFF)
        ]
    )
    found = decode_ibm(words.astype(">u4").view(np.uint8), ">")
    exact = np.array([_ibm_value(int(word)) for word in words])
    largest = float(np.finfo(np.float32).max)
    with np.errstate(under="ignore"):
        np.testing.assert_array_equal(found, np.clip(exact, -largest, largest).astype(np.float32))


def test_ibm_encoding_keeps_twenty_one_bits():
    samples = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    samples[:4] = [0.0, 1.0, -1.0, np.float32(1) - np.float32(2) ** -24]
    back = decode_ibm(encode_ibm(samples), ">")
    # A hexadecimal digit can leave three leading zero bits of the 24.
    np.testing.assert_allclose(back, samples, rtol=2.0**-21)
    assert back[0] == 0.0


@pytest.mark.parametrize("code", sorted(FORMATS))
@pytest.mark.parametrize("byte_order", [">", "<"])
def test_each_format_decodes_small_integers_in_both_byte_orders(code, byte_order):
    fmt = FORMATS[code]
    plain = {
        2: "i4",
        3: "i2",
        5: "f4",
        6: "f8",
        8: "i1",
        9: "i8",
        10: "u4",
        11: "u2",
        12: "u8",
        16: "u1",
    }
    values = np.array([0, 1, 100, 3])
    if code in plain:
        raw = values.astype(byte_order + plain[code]).view(np.uint8)
    elif code == 1:
        raw = encode_ibm(values.astype(np.float32)).reshape(-1, 4)
        raw = (raw if byte_order == ">" else raw[:, ::-1]).reshape(-1)
    else:
        raw = values.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:]
        raw = (raw if byte_order == ">" else raw[:, ::-1]).reshape(-1)
    np.testing.assert_array_equal(fmt.decode(np.ascontiguousarray(raw), byte_order), values)


def test_three_byte_integers_have_a_sign():
    raw = np.array([0xFF, 0xFF, 0xFE], dtype=np.uint8)
    assert FORMATS[7].decode(raw, ">")[0] == -2
    assert FORMATS[15].decode(raw, ">")[0] == 2**24 - 2


@pytest.mark.parametrize("scalar", [-10000, -1000, -100, -10, -1, 0, 1, 10, 100])
def test_scalars_multiply_divide_or_leave(scalar):
    factor = scalar if scalar > 0 else 1 / -scalar if scalar < 0 else 1
    assert apply_scalar([7], [scalar])[0] == pytest.approx(7 * factor, rel=1e-15)


@pytest.mark.parametrize(
    ("values", "scalar"),
    [([100, 2000], 1), ([12.5, 7], -10), ([0.25], -100), ([1 / 3], -10000), ([5e8, 0.1], 1)],
)
def test_the_scalar_is_as_fine_as_the_values_need_and_four_bytes_allow(values, scalar):
    assert choose_scalar(values) == scalar
    back = apply_scalar(to_header_integers(values, scalar), scalar)
    np.testing.assert_allclose(back, values, atol=0.5 / max(-scalar, 1))


def test_coordinates_too_large_for_four_bytes_are_multiplied():
    values = [3e9, 0.0]
    scalar = choose_scalar(values)
    assert scalar == 10
    assert apply_scalar(to_header_integers(values, scalar), scalar).tolist() == values


def test_header_tables_do_not_overlap():
    for dtype in (trace_header_dtype(">", TRACE_FIELDS), binary_header_dtype(">")):
        used = np.zeros(dtype.itemsize, dtype=int)
        for kind, offset in (dtype.fields[name][:2] for name in dtype.names):
            used[offset : offset + kind.itemsize] += 1
        assert used.max() == 1


def test_runs_of_consecutive_traces_are_found():
    assert contiguous_runs(np.array([], dtype=np.int64)) == []
    assert contiguous_runs(np.array([3, 2, 3, 4])) == [(0, 1), (1, 4)]
