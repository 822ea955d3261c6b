"""The CUDA back-end: kernels emitted for a program, launched step by step."""

from wavepipe.propagators.backends.cuda_execution import CudaExecution, Device, state_bytes
from wavepipe.propagators.backends.layout import rounded
from wavepipe.propagators.backends.sweep import Sweep, SweepResult


class Cuda:
    """Emitted CUDA; all shots of a batch in every launch."""

    name = "cuda"

    def __init__(self, itemsize: int, device: Device) -> None:
        self._itemsize, self._device = itemsize, device

    def padded(self, cells: int) -> int:
        """Rows of a history slot are whole vectors."""
        return rounded(cells, self._itemsize)

    def run(self, sweep: Sweep) -> SweepResult:
        """All steps of a sweep."""
        execution = self.start(sweep)
        execution.advance(0, sweep.n_steps)
        return execution.result()

    def start(self, sweep: Sweep) -> CudaExecution:
        """A sweep in front of its first step."""
        return CudaExecution(sweep, self._device)

    def state_bytes(self, sweep: Sweep) -> int:
        """Lasting fields with their halos."""
        return state_bytes(sweep.programs, sweep.n_shots, self._itemsize)
