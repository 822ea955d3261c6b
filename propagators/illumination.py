"""Energy of the source wavefield, as the earth model meets it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from wavepipe.propagators.backends.sweep import History, Sweep
from wavepipe.propagators.stencil.program import Program


class Illumination:
    """The energy of stored sums, added up as they are made.

    Parameters
    ----------
    names
        Of the sums.
    program
        The step that stores them: beyond a sum's box nothing is written.
    sweep
        Whose shots they are.
    """

    def __init__(self, names: Sequence[str], program: Program, sweep: Sweep) -> None:
        boxes = {name: program.fields[name] for name in sorted(names)}
        self._inside = {
            name: (slice(None), *(slice(lo, hi) for lo, hi in box)) for name, box in boxes.items()
        }
        self._energy = torch.zeros(
            sweep.n_shots, *program.shape, dtype=sweep.dtype, device=sweep.device
        )

    def look(self, history: History, n_slots: int) -> None:
        """Add the first slots of a part of the history."""
        for index in range(n_slots):
            for name, inside in self._inside.items():
                values = history.slots[name][:, index][inside]
                self._energy[inside].addcmul_(values, values)

    def over(self, sample_interval: float) -> Tensor:
        """The energy over time, (n_shots, *padded shape), from samples that far apart in s."""
        return self._energy * sample_interval
