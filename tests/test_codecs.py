"""Codecs of the history: their bounds hold, nothing is hidden, and threads change no bits."""

from itertools import pairwise

import numpy as np
import pytest

from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.storage.codecs import NAMES, codec_named

LOSSY = [name for name in NAMES if name != "none"]
COSINE = [name for name in NAMES if name.startswith("cosine")]

SHAPES = [(37, 48), (8, 16), (1, 16), (70, 13), (5, 9, 16), (20, 33, 32), (1, 1, 16)]
"""Whole vectors along x as a history has them, and two that have not; thin and small ones."""

GUARD = 171


def smooth(shape, seed=0):
    """Waves of a dozen points a wavelength that fade to 1e-4 of their amplitude along z."""
    rng = np.random.default_rng(seed)
    grids = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij", sparse=True)
    field = np.zeros(shape)
    for _ in range(6):
        field += np.cos(sum(rng.normal(0, 0.25) * g for g in grids) + rng.uniform(0, 6))
    return field * 10.0 ** (-4 * grids[0] / shape[0])


def spiky(shape, seed=0):
    """Noise with a spike a thousand times larger."""
    field = np.random.default_rng(seed).normal(size=shape)
    field[tuple(n // 2 for n in shape)] = 1e3
    return field


def rough(shape, seed=0):
    """Every value anywhere between 1e-9 and 1."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1, 1], shape) * 10 ** rng.uniform(-9, 0, shape)


FIELDS = {"smooth": smooth, "spiky": spiky, "rough": rough}


def round_trip(codec, slot, threads=1):
    """What comes back of a slot, and its bytes; those around them must stay as they were."""
    size = codec.size(slot.shape, slot.itemsize)
    assert size % 64 == 0
    memory = np.full(size + 128, GUARD, np.uint8)
    codec.encode(slot[None], memory[64:-64], threads)
    assert (memory[:64] == GUARD).all()
    assert (memory[-64:] == GUARD).all()
    around = np.full(slot.size + 32, 7, slot.dtype)
    found = around[16:-16].reshape(1, *slot.shape)
    codec.decode(memory[64:-64], found, threads)
    assert (around[:16] == 7).all()
    assert (around[-16:] == 7).all()
    return found[0], memory[64:-64]


def error(found, expected):
    return np.abs(found.astype(float) - expected.astype(float)).max()


def relative(found, expected):
    expected = expected.astype(float)
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_no_value_is_further_off_than_the_bound(name, shape, dtype):
    codec = codec_named(name)
    for kind, field in FIELDS.items():
        slot = field(shape).astype(dtype)
        found, _ = round_trip(codec, slot)
        bound = codec.bound(slot[None])
        assert error(found, slot) <= bound, kind
        assert bound <= np.abs(slot).max() * (30 if name in COSINE else 4e-3)


@pytest.mark.parametrize("unit", [2.0**-80, 1e-30, 1e12, 2.0**80, 1e30])
@pytest.mark.parametrize("name", LOSSY)
def test_units_do_not_matter(name, unit):
    """The sums of wavefields have arbitrary units: half precision alone ends at 65504."""
    codec = codec_named(name)
    slot = smooth((40, 48)).astype(np.float32)
    scaled = slot * np.float32(unit)
    found, _ = round_trip(codec, scaled)
    assert error(found, scaled) <= codec.bound(scaled[None])
    if np.log2(unit) % 1 == 0:
        assert np.array_equal(found, round_trip(codec, slot)[0] * np.float32(unit))


@pytest.mark.parametrize("name", NAMES)
def test_zeros_come_back_as_zeros(name):
    for slot in (np.zeros((20, 16), np.float32), np.zeros((9, 9, 16))):
        found, _ = round_trip(codec_named(name), slot)
        assert not found.any()
        assert codec_named(name).bound(slot[None]) < 1e-30


@pytest.mark.parametrize("name", LOSSY)
def test_values_that_single_precision_hardly_holds_become_small_or_zero(name):
    slot = np.full((16, 16), 3e-39, np.float32)
    slot[8:] = 1e-45
    found, _ = round_trip(codec_named(name), slot)
    assert np.abs(found).max() <= 3.1e-39


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(40, 48), (17, 20, 32)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_is_not_hidden(name, shape, value):
    codec = codec_named(name)
    for place in (0, 100, -1):
        slot = smooth(shape).astype(np.float32)
        slot.ravel()[place] = value
        found, _ = round_trip(codec, slot)
        assert not np.isfinite(found.ravel()[place])
        assert codec.bound(slot[None]) == (0.0 if name == "none" else np.inf)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_spoils_but_its_neighbours(name):
    """Those of its row, or of 16 blocks of 8 x 8."""
    slot = smooth((70, 128)).astype(np.float32)
    slot[3, 5] = np.nan
    found, _ = round_trip(codec_named(name), slot)
    near = np.zeros(slot.shape, bool)
    if name in COSINE:
        near[:32, :32] = True
    else:
        near[3, :64] = True
    assert np.isfinite(found[~near]).all()
    assert relative(found[~near], slot[~near]) < 0.1


@pytest.mark.parametrize("name", LOSSY)
def test_double_precision_beyond_single_is_seen(name):
    """It is not finite any more, which is not hidden either."""
    slot = np.ones((16, 16))
    slot[3, 4] = 1e200
    found, _ = round_trip(codec_named(name), slot)
    assert not np.isfinite(found[3, 4])


@pytest.mark.parametrize("name", NAMES)
def test_the_largest_numbers_are_right_or_not_finite(name):
    """Sums over a block of them may be beyond single precision."""
    for size in (6e36, 3.3e38):
        slot = np.full((16, 16), size, np.float32)
        found, _ = round_trip(codec_named(name), slot)
        assert not np.isfinite(found).any() or error(found, slot) <= codec_named(name).bound(
            slot[None]
        )
        assert np.isfinite(found).all() or size > 7e36


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(120, 144), (41, 34, 48)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_threads_and_old_memory_change_no_bits(name, shape, dtype):
    codec = codec_named(name)
    slot = smooth(shape).astype(dtype)
    slot[:, :20] = 0
    alone, data = round_trip(codec, slot)
    for threads in (2, 3):
        found, again = round_trip(codec, slot, threads)
        assert np.array_equal(found, alone)
        assert np.array_equal(data, again)
    fresh = np.zeros_like(data)
    codec.encode(slot[None], fresh)
    assert np.array_equal(fresh, data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_is_lost_without_compression(dtype):
    slot = spiky((9, 11, 16)).astype(dtype)
    slot[2, 3, 4] = np.nan
    found, data = round_trip(codec_named("none"), slot)
    assert found.tobytes() == slot.tobytes()
    assert data.size == -(-slot.nbytes // 64) * 64


def test_a_block_of_eight_bits_has_its_own_scale():
    """An error of 1/254 of the largest of 64 neighbours, however loud the others are."""
    slot = rough((30, 64)).astype(np.float32) * 10.0 ** np.arange(-10, 20)[:, None]
    slot = slot.astype(np.float32)
    found, _ = round_trip(codec_named("block8"), slot)
    limit = np.abs(slot).max(axis=1) / 254 * (1 + 1e-6)  # single precision
    assert (np.abs(found - slot).max(axis=1) <= limit).all()


def test_half_precision_keeps_eleven_bits():
    slot = (smooth((30, 64)) * 1e7).astype(np.float32)
    found, _ = round_trip(codec_named("float16"), slot)
    assert (np.abs(found - slot) <= np.abs(slot) * 2.0**-11 + np.abs(slot).max() * 2.0**-39).all()
    found, _ = round_trip(codec_named("bfloat16"), slot)
    assert (np.abs(found - slot) <= np.abs(slot) * 2.0**-8).all()


def test_single_precision_is_rounded_as_ieee_half_precision():
    """Against numpy's conversion, in a block whose scale is 1."""
    slot = rough((4, 64)).astype(np.float32)
    slot[0, 0] = 2.0**14
    found, _ = round_trip(codec_named("float16"), slot)
    assert np.array_equal(found, slot.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("shape", [(150, 208), (48, 48, 64)], ids=str)
def test_a_quarter_of_the_bits_is_as_good_on_waves(shape):
    """On smooth fields 2 bits transformed beat 8 bits that are not; more bits are better."""
    slot = smooth(shape).astype(np.float32)
    errors = {name: relative(round_trip(codec_named(name), slot)[0], slot) for name in NAMES}
    assert errors["cosine2"] < errors["block8"]
    assert errors["cosine6"] < errors["float16"]
    for more, fewer in pairwise(COSINE):
        assert errors[more] < errors[fewer]


def test_faint_waves_are_kept_beside_loud_ones():
    """A thousand times fainter, in the very next block: an even step would leave nothing."""
    slot = smooth((64, 64)).astype(np.float32)
    slot /= 10.0 ** (-4 * np.arange(64)[:, None] / 64)
    slot[:32] *= 1e3
    found, _ = round_trip(codec_named("cosine4"), slot)
    assert relative(found[:32], slot[:32]) < 1e-3
    assert relative(found[32:], slot[32:]) < 5e-2


@pytest.mark.parametrize("shape", [(600, 640), (200, 200, 224)], ids=str)
def test_sizes_are_what_the_names_say(shape):
    bits = {"none": 32, "float16": 16.1, "bfloat16": 16, "block8": 8.51}
    for name in NAMES:
        expected = bits.get(name) or int(name.removeprefix("cosine"))
        found = codec_named(name).size(shape, 4) * 8 / np.prod(shape)
        assert found == pytest.approx(expected, rel=0.01)


def test_an_unknown_codec_is_refused_with_a_list():
    with pytest.raises(OptionError, match="'zip' does not exist; use 'none', 'float16'"):
        codec_named("zip")


@pytest.mark.parametrize("name", NAMES)
def test_memory_that_does_not_fit_is_refused(name):
    codec = codec_named(name)
    slot = np.zeros((1, 16, 16), np.float32)
    size = codec.size((16, 16), 4)
    with pytest.raises(ValueError, match=f"are {size} contiguous bytes"):
        codec.encode(slot, np.zeros(size - 64, np.uint8))
    with pytest.raises(ValueError, match="C-contiguous"):
        codec.decode(np.zeros(size, np.uint8), np.zeros((1, 16, 32), np.float32)[..., ::2])
    with pytest.raises(ValueError, match="not int32"):
        codec.encode(slot.astype(np.int32), np.zeros(size, np.uint8))
    with pytest.raises(ValueError, match="one by one"):
        codec.encode(np.zeros((2, 16, 16), np.float32), np.zeros(size, np.uint8))


@pytest.mark.parametrize("name", COSINE)
def test_a_slot_has_two_or_three_axes(name):
    with pytest.raises(ValueError, match="two or three axes"):
        codec_named(name).size((64,), 4)
