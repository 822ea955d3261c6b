"""The two codes behind one interface: the same case in, a gather and a gradient out."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from benchmarks.cases import PML_WIDTH, SPACING, Case, make_inputs

FORCE_DENSITY = 1e7
"""Peak force on an elastic medium, N/m3: particle velocities of about 1 m/s, far from underflow."""


class Result(NamedTuple):
    """What a run gives."""

    gather: torch.Tensor
    """(n_shots, n_receivers, nt)."""

    gradient: torch.Tensor | None
    """(n_parameters, *shape of the earth model), None in a forward case."""


class Code(ABC):
    """A code that has loaded a case and can run it again and again.

    `run` is what is timed: from numbers in torch tensors to the gather or the gradient.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.inputs = make_inputs(case)
        self.dt = self.inputs.dt
        self.models = {name: torch.from_numpy(one) for name, one in self.inputs.models.items()}
        self.sources = torch.from_numpy(self.inputs.sources)
        self.receivers = torch.from_numpy(self.inputs.receivers)
        self.taper = torch.from_numpy(self.inputs.taper)
        self.strength = FORCE_DENSITY if case.physics == "elastic" else 1.0
        self.chosen: dict[str, Any] = {}
        """What the code chose for itself in the last run: steps per sample, back-end, stride."""

    @abstractmethod
    def propagate(self, models: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Gather (n_shots, n_receivers, nt).

        Pressure of a source of pressure (scalar: f in lap p - p_tt / vp**2 = f; acoustic: a rate
        of volume per volume), or vertical velocity of a vertical force per volume (elastic).
        """

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Version of every library that matters."""

    def run(self) -> Result:
        """Gather and, in a gradient case, the gradient of half the gather's tapered energy."""
        if self.case.kind == "forward":
            with torch.no_grad():
                return Result(self.propagate(self.models), None)
        models = {name: one.detach().requires_grad_() for name, one in self.models.items()}
        gather = self.propagate(models)
        # The taper ends the adjoint source smoothly, as in an inversion.
        misfit = 0.5 * (gather * self.taper).square().sum()
        gradients = torch.autograd.grad(misfit, list(models.values()))
        return Result(gather.detach(), torch.stack(gradients))


class Deepwave(Code):
    """The peer."""

    def __init__(self, case: Case) -> None:
        import deepwave

        super().__init__(case)
        self._deepwave = deepwave
        # On the staggered grid, a source of volume acts half a sample later than ours and a
        # velocity is recorded half a sample earlier: either way it needs the later wavelet.
        wavelet = self.inputs.later_wavelet if case.staggered else self.inputs.wavelet
        self._amplitudes = torch.from_numpy(wavelet) * self.strength

    def propagate(self, models: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """See `Code`."""
        options: dict[str, Any] = {
            "accuracy": self.case.order,
            "pml_width": PML_WIDTH,
            "pml_freq": self.case.peak_frequency,
            "max_vel": self.inputs.velocity_bound,
        }
        if self.case.kept == "disk":
            # Its 8 bits a value are slower than files without, and lose a fiftieth of a gradient.
            options |= {"storage_mode": "disk", "storage_path": tempfile.gettempdir()}
        parameters = tuple(models.values())
        physics = self.case.physics
        if physics == "scalar":
            output = self._deepwave.scalar(
                *parameters,
                SPACING,
                self.dt,
                source_amplitudes=self._amplitudes,
                source_locations=self.sources,
                receiver_locations=self.receivers,
                **options,
            )
            gather: torch.Tensor = output[-1]
        else:
            # Its axes are named from the last: the first is y in 2-D.
            vertical = "y" if self.case.ndim == 2 else "z"
            source, receiver = "volume_rate", "p"
            if physics == "elastic":
                source = receiver = vertical
                parameters = self._deepwave.vpvsrho_to_lambmubuoyancy(*parameters)
            output = getattr(self._deepwave, physics)(
                *parameters,
                SPACING,
                self.dt,
                sources={source: (self._amplitudes, self.sources)},
                receivers={receiver: self.receivers},
                **options,
            )
            gather = output.receivers[receiver]
        info = output.info
        self.chosen = {"steps_per_sample": info.step_ratio, "backend": info.backend}
        return gather

    def versions(self) -> dict[str, str]:
        """Deepwave and its torch."""
        version = str(self._deepwave.__version__)
        return {"deepwave": version, "deepwave_torch": torch.__version__}


class Wavepipe(Code):
    """Ours.

    Parameters
    ----------
    storage
        Options of `Storage`; as the case says if None.
    """

    def __init__(self, case: Case, storage: Mapping[str, Any] | None = None) -> None:
        from wavepipe.propagators import Boundary, Storage, propagate

        super().__init__(case)
        self._propagate = propagate
        self._boundary = Boundary(pml_width=PML_WIDTH, pml_frequency=case.peak_frequency)
        if storage is None:
            on_disk = {"mode": "disk", "compression": "auto"}
            storage = on_disk if case.kept == "disk" else {}
        self._storage = Storage(**storage)
        # The peer's sources are densities per cell: ours are points, with this factor the same.
        # The scalar equation is the peer's with the opposite sign.
        sign = 1.0 if case.staggered else -1.0
        self._amplitudes = torch.from_numpy(self.inputs.wavelet) * (
            sign * self.strength * SPACING**case.ndim
        )
        self._source, self._receiver = "pressure", "pressure"
        half = torch.zeros(case.ndim, dtype=torch.float64)
        if case.physics == "elastic":
            self._source, self._receiver = "fz", "vz"
            half[0] = 0.5  # the node of a vertical component
        self._source_positions = (self.sources + half) * SPACING
        self._receiver_positions = (self.receivers + half) * SPACING

    def propagate(self, models: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """See `Code`."""
        recording = self._propagate(
            self.case.physics,
            models,
            SPACING,
            self.dt,
            sources={self._source: (self._amplitudes, self._source_positions)},
            receivers={self._receiver: self._receiver_positions},
            order=self.case.order,
            boundary=self._boundary,
            velocity_bound=self.inputs.velocity_bound,
            time_step=self.dt,
            correct_time_dispersion=False,
            storage=self._storage,
        )
        info = recording.info
        self.chosen = {
            "steps_per_sample": round(self.dt / info.time_step, 6),
            "n_steps": info.n_steps,
            "backend": info.backend,
            "stride": info.stride,
            "mode": info.mode,
            "method": info.method,
            "compression": info.compression,
            "kept_bytes": info.bytes,
            "disk_bytes": info.disk_bytes,
        }
        gather: torch.Tensor = recording[self._receiver]
        return gather

    def versions(self) -> dict[str, str]:
        """Wavepipe and its torch."""
        from importlib.metadata import version

        return {"wavepipe": version("wavepipe"), "torch": torch.__version__}


CODES: dict[str, type[Code]] = {"ours": Wavepipe, "deepwave": Deepwave}
