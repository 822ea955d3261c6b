"""The two codes behind one interface: the same case in, a gather and a gradient out."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch

from benchmarks.cases import PML_WIDTH, SPACING, Case, make_inputs


class Result(NamedTuple):
    """What a run gives."""

    gather: torch.Tensor
    """(n_shots, n_receivers, nt)."""

    gradient: torch.Tensor | None
    """Shape of the earth model, None in a forward case."""


class Code(ABC):
    """A code that has loaded a case and can run it again and again.

    `run` is what is timed: from numbers in torch tensors to the gather or the gradient.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        inputs = make_inputs(case)
        self.dt = inputs.dt
        self.velocity_bound = inputs.velocity_bound
        self.vp = torch.from_numpy(inputs.vp)
        self.wavelet = torch.from_numpy(inputs.wavelet)
        self.sources = torch.from_numpy(inputs.sources)
        self.receivers = torch.from_numpy(inputs.receivers)
        self.taper = torch.from_numpy(inputs.taper)
        self.chosen: dict[str, Any] = {}
        """What the code chose for itself in the last run: steps per sample, back-end, stride."""

    @abstractmethod
    def propagate(self, vp: torch.Tensor) -> torch.Tensor:
        """Gather (n_shots, n_receivers, nt) of the solution of lap p - p_tt / vp**2 = f."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Version of every library that matters."""

    def run(self) -> Result:
        """Gather and, in a gradient case, the gradient of half the gather's tapered energy."""
        if self.case.kind == "forward":
            with torch.no_grad():
                return Result(self.propagate(self.vp), None)
        vp = self.vp.detach().requires_grad_()
        gather = self.propagate(vp)
        # The taper ends the adjoint source smoothly, as in an inversion.
        misfit = 0.5 * (gather * self.taper).square().sum()
        (gradient,) = torch.autograd.grad(misfit, vp)
        return Result(gather.detach(), gradient)


class Deepwave(Code):
    """The peer."""

    def __init__(self, case: Case) -> None:
        import deepwave

        super().__init__(case)
        self._scalar = deepwave.scalar
        self._version = str(deepwave.__version__)

    def propagate(self, vp: torch.Tensor) -> torch.Tensor:
        """See `Code`."""
        output = self._scalar(
            vp,
            SPACING,
            self.dt,
            source_amplitudes=self.wavelet,
            source_locations=self.sources,
            receiver_locations=self.receivers,
            accuracy=self.case.order,
            pml_width=PML_WIDTH,
            pml_freq=self.case.peak_frequency,
            max_vel=self.velocity_bound,
        )
        info = output.info
        self.chosen = {"steps_per_sample": info.step_ratio, "backend": info.backend}
        gather: torch.Tensor = output[-1]
        return gather

    def versions(self) -> dict[str, str]:
        """Deepwave and its torch."""
        return {"deepwave": self._version, "deepwave_torch": torch.__version__}


class Wavepipe(Code):
    """Ours."""

    def __init__(self, case: Case, stride: int | None = None) -> None:
        from wavepipe.propagators import Boundary, Storage, scalar

        super().__init__(case)
        self._scalar = scalar
        self._boundary = Boundary(pml_width=PML_WIDTH, pml_frequency=case.peak_frequency)
        self._storage = Storage() if stride is None else Storage(stride=stride)
        # The peer's f is a density per cell: a point source of ours, divided by the cell's
        # volume and of the opposite sign, becomes the same with this factor.
        self._amplitudes = -(SPACING**case.ndim) * self.wavelet
        self._source_positions = self.sources.double() * SPACING
        self._receiver_positions = self.receivers.double() * SPACING

    def propagate(self, vp: torch.Tensor) -> torch.Tensor:
        """See `Code`."""
        recording = self._scalar(
            vp,
            SPACING,
            self.dt,
            source_amplitudes=self._amplitudes,
            source_positions=self._source_positions,
            receiver_positions=self._receiver_positions,
            order=self.case.order,
            boundary=self._boundary,
            velocity_bound=self.velocity_bound,
            time_step=self.dt,
            correct_time_dispersion=False,
            storage=self._storage,
        )
        info = recording.info
        self.chosen = {
            "steps_per_sample": round(self.dt / info.time_step, 6),
            "backend": info.backend,
            "stride": info.stride,
            "method": info.method,
        }
        gather: torch.Tensor = recording["pressure"]
        return gather

    def versions(self) -> dict[str, str]:
        """Wavepipe and its torch."""
        from importlib.metadata import version

        return {"wavepipe": version("wavepipe"), "torch": torch.__version__}


CODES: dict[str, type[Code]] = {"ours": Wavepipe, "deepwave": Deepwave}
