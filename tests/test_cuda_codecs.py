"""Codecs on a card write the bytes that the processor's write, and read them alike."""

import numpy as np
import pytest
import torch
from conformance_exactness import F32, F64
from emulated_cuda import EmulatedCard, find_compiler

from wavepipe.propagators.storage.card_codecs import on_card
from wavepipe.propagators.storage.codecs import NAMES, codec_named
from wavepipe.propagators.storage.codecs_cosine import front_of

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C++ compiler here")

COSINES = [name for name in NAMES if name.startswith("cosine")]

SHAPE = (7, 13, 16)
"""Blocks of 64 and of 256 values end in the middle."""


def slots(dtype: torch.dtype) -> torch.Tensor:
    """Of three shots: large and small values, tiny ones, and what is not finite."""
    random = np.random.default_rng(0)
    exponents = random.uniform(-3, 3, (3, *SHAPE))
    exponents[:, 2] -= 42  # below the smallest number with a leading bit, some of them
    values = random.standard_normal((3, *SHAPE)) * 10.0**exponents
    values[:, 3] = 0.0
    values[1, 5, 2, 3:5] = np.nan, -np.inf
    return torch.from_numpy(values).to(dtype)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in COSINES])
def test_the_bytes_are_the_same(name, dtype):
    """Of every shot, and so are the values that come back."""
    codec, values = codec_named(name), slots(dtype)
    card = on_card(codec, EmulatedCard(), dtype)
    size = card.size(SHAPE)
    found = torch.zeros(3, size, dtype=torch.uint8)
    card.encode(values, found)
    back = torch.full_like(values, 7.0)
    card.decode(found, back)
    for shot in range(3):
        expected = np.empty(size, np.uint8)
        codec.encode(values[shot : shot + 1].numpy(), expected)
        np.testing.assert_array_equal(found[shot].numpy(), expected)
        decoded = np.empty((1, *SHAPE), values.numpy().dtype)
        codec.decode(expected, decoded)
        np.testing.assert_array_equal(back[shot : shot + 1].numpy(), decoded)


def test_shots_may_lie_apart():
    """As the slots of a history do."""
    values = slots(F32)
    history = torch.zeros(3, 4, *SHAPE)
    history[:, 2] = values
    card = on_card(codec_named("block8"), EmulatedCard(), F32)
    there, here = (torch.zeros(3, card.size(SHAPE), dtype=torch.uint8) for _ in range(2))
    card.encode(history[:, 2], there)
    card.encode(values, here)
    assert torch.equal(there, here)


SMOOTH = {2: (70, 93), 3: (21, 37, 45)}
"""Blocks stick out of it, and so do tiles."""


def waves(ndim: int, dtype: torch.dtype) -> torch.Tensor:
    """Of two shots, loud and faint, ahead of which it is quiet."""
    places = np.meshgrid(*(np.linspace(0, 6, n) for n in SMOOTH[ndim]), indexing="ij")
    distance = np.sqrt(sum((one - 2.0) ** 2 for one in places))
    values = np.sin(5 * distance) * np.exp(-((distance - 1.5) ** 2)) * (distance < 4)
    return torch.from_numpy(np.stack([values, 1e-12 * values])).to(dtype)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", ["cosine6", "cosine2"])
def test_cosine_codecs_read_each_other(name, ndim, dtype):
    """Within the bound, here as on the CPU; what each has written the other reads alike."""
    codec, values = codec_named(name), waves(ndim, dtype)
    card = on_card(codec, EmulatedCard(), dtype)
    found = torch.full((2, card.size(SMOOTH[ndim])), 7, dtype=torch.uint8)
    card.encode(values, found)
    for shot in (0, 1):
        one, largest = values[shot : shot + 1].numpy(), float(values[shot].abs().max())
        theirs, back = np.empty_like(one), torch.empty_like(values)
        codec.decode(found[shot].numpy(), theirs)
        card.decode(found, back)
        assert np.abs(theirs - one).max() <= codec.bound(one)
        assert np.abs(back[shot].numpy() - theirs[0]).max() < 1e-6 * largest
        encoded = torch.empty(2, len(found[0]), dtype=torch.uint8)
        for row in encoded:
            codec.encode(one, row.numpy())
        codec.decode(encoded[0].numpy(), theirs)
        card.decode(encoded, back)
        assert np.abs(back[1].numpy() - theirs[0]).max() < 1e-6 * largest
        # Steps and codes: every class is as loud, but for rounding to a quarter of an octave.
        front = front_of(SMOOTH[ndim])
        theirs, ours = (one[0, :front].numpy().astype(int) for one in (encoded, found[shot:]))
        assert np.abs(theirs[64:] - ours[64:]).max() <= 1
        assert np.mean(theirs == ours) > 0.98


def test_what_is_not_finite_is_not_hidden():
    """Its blocks come back as NaN, the others as they were."""
    values = waves(3, F32)
    values[0, 3, 5, 7] = np.inf
    card = on_card(codec_named("cosine4"), EmulatedCard(), F32)
    found = torch.empty(2, card.size(SMOOTH[3]), dtype=torch.uint8)
    back = torch.empty_like(values)
    card.encode(values, found)
    card.decode(found, back)
    assert back[0, 3, 5, 7].isnan()
    assert back[1].isfinite().all()
    assert back[0].isfinite().any()
