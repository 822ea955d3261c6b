"""The CUDA back-end: kernels emitted for a program, launched step by step."""

from wavepipe.propagators.backends.card import Card
from wavepipe.propagators.backends.cuda_execution import CudaExecution
from wavepipe.propagators.backends.sweep import Sweep
from wavepipe.propagators.backends.vectorised import Vectorised


class Cuda(Vectorised):
    """Emitted CUDA; all shots of a batch in every launch."""

    name = "cuda"
    card: Card

    def __init__(self, itemsize: int, card: Card) -> None:
        super().__init__(itemsize)
        self.card = card

    def start(self, sweep: Sweep) -> CudaExecution:
        """A sweep in front of its first step."""
        return CudaExecution(sweep, self.card)
