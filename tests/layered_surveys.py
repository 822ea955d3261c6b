"""A layered medium with an anomaly, and two shots over it."""

import numpy as np
import torch
from waves import quiet

from wavepipe.propagators import Boundary, acquisition, scalar
from wavepipe.propagators.wavelets import ricker

DT, NT, PEAK, SPACING = 1e-3, 600, 12.0, 10.0
SHAPE = (60, 90)


def survey(dtype=torch.float32):
    """A layered medium, two shots near the top, a line of receivers."""
    vp = torch.full(SHAPE, 1800.0, dtype=dtype)
    vp[30:] = 2300.0
    vp[40:50, 40:60] += 150.0
    wavelet = torch.tensor(ricker(PEAK, DT, NT, 0.13), dtype=dtype)
    receivers = np.stack([np.full(40, 20.0), np.arange(40) * 20.0 + 50.0], axis=-1)
    return vp, {
        "source_amplitudes": wavelet.expand(2, 1, NT).contiguous(),
        "source_positions": np.array([[[20.0, 200.0]], [[20.0, 600.0]]]),
        "receiver_positions": np.stack([receivers, receivers]),
        "boundary": Boundary(15, PEAK),
        "velocity_bound": 2600.0,
    }


def error(found, expected):
    """Relative, root mean square."""
    return float((found - expected).norm() / expected.norm())


def gradients_where_one_wave_is_nan(monkeypatch, storage):
    """Of two shots in models of their own; the first has NaN in its wavelet, past the checks."""
    monkeypatch.setattr(acquisition, "checked_amplitudes", lambda amplitudes, *_: amplitudes)
    vp, settings = survey()
    settings["source_amplitudes"][0, 0, NT // 3] = float("nan")
    model = vp.expand(2, -1, -1).clone().requires_grad_()
    with quiet():
        gather = scalar(model, SPACING, DT, time_step=DT, storage=storage, **settings)["pressure"]
        gather.backward(torch.linspace(0, 1, NT).expand_as(gather))
    return model.grad
