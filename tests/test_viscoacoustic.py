"""Viscoacoustic: amplitude and phase of a standard linear solid, exactly known."""

import numpy as np
import pytest
import torch
from scipy.special import hankel2

from wavepipe.propagators import propagate
from wavepipe.propagators.errors import ModelError
from wavepipe.propagators.wavelets import ricker

VP, RHO, REFERENCE = 2000.0, 1800.0, 15.0
SHAPE, SPACING, DT, NT = (61, 141), 10.0, 1e-3, 900


def record(q, source, receivers, **options):
    wavelet = torch.as_tensor(ricker(15.0, DT, NT), dtype=torch.float32)[None, None]
    models = {"vp": torch.full(SHAPE, VP), "rho": torch.full(SHAPE, RHO), "q": q}
    return propagate(
        "viscoacoustic",
        models,
        SPACING,
        DT,
        sources={"pressure": (wavelet, source)},
        receivers={"pressure": receivers},
        order=8,
        reference_frequency=REFERENCE,
        **options,
    )["pressure"]


def wavenumber(frequency, q):
    """Of ``M = k (1 + i w te) / (1 + i w ts)``, with phase velocity VP and 1/q at REFERENCE."""

    def slowness(f):
        te, ts = ((np.sqrt(1 + q**-2) + s / q) / (2 * np.pi * REFERENCE) for s in (1, -1))
        return np.sqrt((1 + 2j * np.pi * f * ts) / (1 + 2j * np.pi * f * te))

    return 2 * np.pi * frequency * slowness(frequency) / (VP * slowness(REFERENCE).real)


@pytest.mark.parametrize("q", [20.0, 60.0])
def test_spectra_decay_and_disperse_as_they_should(q):
    """Ratio of spectra at two distances against the line source's Hankel functions, to 1 %."""
    source = np.array([[[300.0, 200.0]]])
    distances = np.array([200.0, 800.0])
    receivers = np.array([[[300.0, 200.0 + r] for r in distances]])
    traces = record(torch.full(SHAPE, q), source, receivers, time_step=2e-4)
    near, far = traces[0].double().numpy()
    length = 8 * NT
    frequency = np.fft.rfftfreq(length, DT)
    used = (frequency > 6) & (frequency < 28)
    found = (np.fft.rfft(far, length) / np.fft.rfft(near, length))[used]
    k = wavenumber(frequency[used], q)
    expected = hankel2(0, k * distances[1]) / hankel2(0, k * distances[0])
    assert np.abs(found / expected - 1).max() < 0.01


def test_without_losses_it_is_acoustic():
    """Q of ten million: the acoustic wavefield, but for the time dispersion left in."""
    source, receivers = np.array([[[300.0, 200.0]]]), np.array([[[200.0, 700.0]]])
    lossless = record(torch.full(SHAPE, 1e7), source, receivers, time_step=1e-4)
    wavelet = torch.as_tensor(ricker(15.0, DT, NT), dtype=torch.float32)[None, None]
    plain = propagate(
        "acoustic",
        {"vp": torch.full(SHAPE, VP), "rho": torch.full(SHAPE, RHO)},
        SPACING,
        DT,
        sources={"pressure": (wavelet, source)},
        receivers={"pressure": receivers},
        order=8,
    )["pressure"]
    assert float((lossless - plain).norm() / plain.norm()) < 2e-3


def test_a_quality_factor_is_positive():
    """Zero would lose everything."""
    with pytest.raises(ModelError, match="q is 0 1 at cell"):
        record(torch.zeros(SHAPE), np.array([[[300.0, 200.0]]]), np.array([[[200.0, 700.0]]]))
