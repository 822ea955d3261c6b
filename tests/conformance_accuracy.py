"""What every physics must do ever better on finer grids, and at the right time."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from analytic import Array, homogeneous_2d, ricker_signal
from analytic_elastic import Clock, Medium, whole_space
from random_surveys import Models, at_reference, uniform
from torch import Tensor
from waves import quiet

from wavepipe.propagators import Boundary, propagate
from wavepipe.propagators.physics.catalogue import PHYSICS
from wavepipe.propagators.physics.names import receiver_names, source_names
from wavepipe.propagators.wavelets import ricker

COARSE = 12.0
"""m; the other grids have spacings of a third and a ninth, which keep nodes and half cells."""

FREQUENCY = {2: 8.0, 4: 14.0, 6: 18.0, 8: 22.0}
"""Hz, by order: the error on the finer grid is neither large nor rounding."""

TOLERANCE = {2: 0.3, 4: 0.3, 6: 0.4, 8: 0.8}
"""Of the order of convergence; at order 8 the coarse grid has 7.6 points a wavelength."""

OF_A_SOLID_AT_ORDER_8 = 16.0
"""Hz: its S waves have 5.5 points a wavelength then; at 22 Hz they would have 4."""

AT_A_SOLID_FACE = {2: 1.9, 4: 3.9, 6: 3.0, 8: 3.0}
"""Least order of convergence beside it: of differences exact for degrees 1, 2, 3 and 3, whose
errors fall with that order or the next (2.0, 3.9, 3.0 and 3.3 in pressure, velocities' faster)."""

PEAK, CLOCK = 10.0, Clock(2e-3, 320, 50.0)
"""Hz, and the samples of the arrivals that are timed."""

ENDS = ((16.3, 14.6), (44.8, 40.4))
"""Source and receiver, cells."""

SLOW = pytest.mark.slow


class Accuracy:
    """In every physics, in 2-D."""

    physics: ClassVar[str]

    @pytest.mark.parametrize("free", [(), pytest.param(("z0",), marks=SLOW)], ids=["inside", "z0"])
    @pytest.mark.parametrize("order", [4, *(pytest.param(n, marks=SLOW) for n in (2, 6, 8))])
    def test_errors_fall_with_the_order_of_the_differences(self, order, free):
        """From a grid to one three times finer, against order 8 on that or a third, same steps.

        Nothing comes back from the edges of the model in time.
        """
        solid = PHYSICS[self.physics].solid
        peak = OF_A_SOLID_AT_ORDER_8 if solid and order == 8 else FREQUENCY[order]
        exact = self.on_a_grid(9 if order == 8 or (free and solid) else 3, 8, peak, free)
        coarse, fine = (self.on_a_grid(ratio, order, peak, free) for ratio in (1, 3))
        for name, one in exact.items():
            errors = [float((grid[name] - one).norm()) for grid in (coarse, fine)]
            slope = np.log(errors[0] / errors[1]) / np.log(3)
            if free and solid:
                assert slope > AT_A_SOLID_FACE[order], name
            else:
                assert slope == pytest.approx(order, abs=TOLERANCE[order]), name

    def on_a_grid(
        self, ratio: int, order: int, peak: float, free: tuple[str, ...]
    ) -> dict[str, Tensor]:
        """Gathers of a force, or of pressure, in the middle or beside the free face."""
        cells, dt, row = 44, 1e-3, 2.0 if free else 22.0
        shape = (cells * ratio + 1,) * 2
        kind = "fz" if PHYSICS[self.physics].staggered else "pressure"

        def at(name: str, *place: float) -> list[float]:
            letter = name[1] if name[0] in "fv" else ""
            return [COARSE * (x + 0.5 * (a == letter)) for x, a in zip(place, "zx", strict=True)]

        wavelet = torch.tensor(ricker(peak, dt, 240, 1.5 / peak))[None, None]
        receivers = {
            name: np.array([[at(name, row + 2, 25), at(name, row + 6, 22)]])
            for name in receiver_names(self.physics, 2)
        }
        with quiet():
            recording = propagate(
                self.physics,
                plain(self.physics, shape),
                COARSE / ratio,
                dt,
                sources={kind: (wavelet, np.array([[at(kind, row, 20)]]))},
                receivers=receivers,
                order=order,
                boundary=Boundary(0, peak, free),
                velocity_bound=2500.0,
                time_step=1.25e-4,
                **at_reference(self.physics, peak),
            )
        return {name: one[0, :, :220] for name, one in recording.items()}

    def test_arrivals_keep_time_whatever_the_step(self):
        """All gathers of all sources, with three time steps, to a thousandth of a period.

        Against the exact wave where there is one here, else against the shortest step.
        """
        if PHYSICS[self.physics].lossy:
            pytest.skip("a physics with losses limits its step instead")
        for kind in kinds(self.physics):
            runs = [self.at_a_distance(kind, part) for part in (3.0, 1.7, 1.0)]
            exact = self.exactly(kind) or runs[0]
            for recording in runs:
                for name, trace in recording.items():
                    loudest = max(np.linalg.norm(e) for n, e in exact.items() if n[0] == name[0])
                    if np.linalg.norm(exact[name]) > 0.1 * loudest:
                        assert abs(delay(trace, exact[name])) < 1e-3 / PEAK, (kind, name)

    def at_a_distance(self, kind: str, part: float) -> dict[str, Array]:
        """Traces by component, at a step of a part of the sample interval."""
        models = plain(self.physics, (64, 74))
        spacing = float(models.get("vs", models["vp"]).min()) / PEAK / 12
        wavelet = torch.tensor(ricker_signal(PEAK, 1.5 / PEAK)(CLOCK.t))[None, None]
        start = np.array([[ENDS[0]]]) * spacing
        receivers = dict.fromkeys(receiver_names(self.physics, 2), np.array([[ENDS[1]]]) * spacing)
        with quiet():
            recording = propagate(
                self.physics,
                models,
                spacing,
                CLOCK.dt,
                sources={name: (wavelet * (name == kind), start) for name in kinds(self.physics)},
                receivers=receivers,
                order=8,
                boundary=Boundary(20, PEAK),
                time_step=CLOCK.dt / part,
            )
        return {name: one[0, 0].numpy() for name, one in recording.items()}

    def exactly(self, kind: str) -> dict[str, Array]:
        """The same in closed form; empty where there is none."""
        if self.physics not in ("scalar", "acoustic", "elastic"):
            return {}
        values = {name: float(one[0, 0]) for name, one in uniform(self.physics, (1, 1)).items()}
        vp, vs = values["vp"], values.get("vs", 0.0)
        signal = ricker_signal(PEAK, 1.5 / PEAK)
        source, receiver = np.array(ENDS) * ((vs or vp) / PEAK / 12)
        if self.physics == "scalar":
            distance = float(np.linalg.norm(receiver - source))
            return {"pressure": homogeneous_2d(CLOCK.t, distance, vp, signal, CLOCK.highest)}
        medium = Medium(vp, vs, values["rho"])
        found = whole_space(CLOCK, signal, source, receiver, medium, kind)
        return {name: one[0] for name, one in found.items()}


def kinds(physics: str) -> list[str]:
    """Sources that need no tensor."""
    return [name for name in source_names(physics, 2) if name != "moment"]


def plain(physics: str, shape: tuple[int, int]) -> Models:
    """A homogeneous model; of elliptical anisotropy, without the slow waves it has otherwise."""
    models = uniform(physics, shape)
    return models | ({"delta": models["epsilon"]} if "delta" in models else {})


def delay(trace: Array, exact: Array) -> float:
    """By how much a trace is late, s."""
    rate = np.gradient(exact, CLOCK.dt)
    return float(rate @ (exact - trace) / (rate @ rate))
