"""How the forward wavefield is kept for the gradient, and how often."""

import os
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal

from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.storage.names import COMPRESSIONS, METHODS, MODES

GRADIENT_ERROR = 1e-4
"""Relative error that a stride may cause in a gradient, unless the user says otherwise."""

TAIL_PER_ERROR = 5.0
"""Relative amplitude that may lie above a measured bandwidth, over the error it causes: measured
on tapered, cut and noisy adjoint sources, a tail of 1e-3 leaves 1e-4."""

ADJOINT_ALLOWANCE = 1.5
"""Bandwidth expected of an adjoint source not seen yet, relative to the source's: tapered ends and
non-linear misfits widen it."""

LONGEST_STRIDE = 100
"""For sources that are silent: there is nothing to alias."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Where and how the forward wavefield is kept until the gradient is made.

    What is kept are the sums of stencils that the earth model multiplies, at every `stride`-th
    step.
    """

    mode: Literal["auto", "device", "cpu", "disk", "none"] = "auto"
    """``device``: in the memory of the device that propagates; ``cpu``: in the computer's;
    ``disk``: in a file under `path`; ``none``: nothing is kept and a gradient of the earth model is
    an error; ``auto``: in memory where it fits, else on disk, see `choose`."""
    method: Literal["auto", "snapshots", "boundary", "recompute"] = "auto"
    """``snapshots``: every stride-th step is kept; ``boundary``: that in the layers only, and what
    it takes to go back step by step inside of them; ``recompute``: whole states at a few steps,
    from which the others are computed again; ``auto``: snapshots where they fit."""
    compression: str = "none"
    """A codec of the snapshots, or of what ``boundary`` keeps of them, see `COMPRESSIONS`;
    ``auto``: none where they fit, else the most accurate that does and whose error is at most
    `max_gradient_error`."""
    stride: int | Literal["auto"] = "auto"
    """Steps between two snapshots; ``auto``: as many as the bandwidths of source and adjoint
    source allow, ``1 / (stride time_step) > f_forward + f_adjoint``."""
    path: str | os.PathLike[str] | None = None
    """Existing folder for modes that write to disk; $TMPDIR, or the system's for temporary files,
    if None."""
    budget: float | None = None
    """Bytes of memory that the kept wavefield of one call may take, buffers included; if None, no
    limit for what is asked for by name, and half of the free memory for what ``auto`` chooses."""
    max_gradient_error: float | None = None
    """Relative error of the gradient that a stride above 1, and a codec chosen by ``auto``, may
    cause; None: 1e-4."""

    def __post_init__(self) -> None:
        options = (("mode", MODES), ("method", METHODS), ("compression", COMPRESSIONS))
        for name, known in options:
            value = getattr(self, name)
            if value not in known:
                raise OptionError(f"storage {name} {value!r} does not exist; use {_list(known)}.")
        if self.method == "recompute" and self.compression not in ("auto", "none"):
            raise OptionError(
                f"storage compression {self.compression!r} does not go with method 'recompute': "
                "waves go on from the states that are kept, so what a codec loses would change "
                "the waves themselves. Use compression 'none', or method 'snapshots'."
            )
        whole = isinstance(self.stride, Integral) and not isinstance(self.stride, bool)
        if self.stride != "auto" and not (whole and int(self.stride) >= 1):
            raise OptionError(
                f"storage stride is {self.stride!r}; use 'auto' or a whole number of steps >= 1."
            )
        if self.path is not None and not isinstance(self.path, (str, os.PathLike)):
            raise OptionError(f"storage path is {self.path!r}; it is the name of a folder.")
        if self.path is not None and self.mode not in ("auto", "disk"):
            raise OptionError(
                f"storage path {str(self.path)!r} has no use: mode {self.mode!r} writes nothing "
                "to disk. Leave it out, or use mode 'disk' or 'auto'."
            )
        if self.budget is not None and not (isinstance(self.budget, Real) and self.budget > 0):
            raise OptionError(
                f"storage budget is {self.budget!r}; it is a positive number of bytes."
            )
        error = self.max_gradient_error
        if error is not None and not (isinstance(error, Real) and 0 < error < 1):
            raise OptionError(
                f"max_gradient_error is {self.max_gradient_error}; it must lie between 0 and 1."
            )

    @property
    def allowed_error(self) -> float:
        """Relative error of the gradient that may be caused."""
        return self.max_gradient_error or GRADIENT_ERROR

    @property
    def tolerance(self) -> float:
        """Relative amplitude that may lie above a measured bandwidth."""
        return min(0.5, TAIL_PER_ERROR * self.allowed_error)


def check_losses(storage: Storage, physics: str, *, lossy: bool) -> None:
    """Refuse to take back waves that lose energy, with an OptionError."""
    if lossy and storage.method == "boundary":
        raise OptionError(
            f"storage method 'boundary' takes the wavefield back step by step, and {physics} waves "
            "lose what that would take. Use method 'snapshots' or 'recompute'."
        )


def largest_stride(time_step: float, forward: float, adjoint: float) -> int:
    """Most steps between snapshots for which the gradient's products do not alias.

    Parameters
    ----------
    time_step : s
    forward, adjoint : Hz
        Highest frequencies of the source and of the adjoint source.

    Notes
    -----
    The gradient is the mean of a product of two wavefields, whose spectrum ends at
    ``forward + adjoint``; sampled at 1 / (stride time_step), a frequency above that folds onto
    zero only if it reaches the sampling frequency itself.
    """
    if forward <= 0:
        return LONGEST_STRIDE
    total = forward + adjoint
    stride = int(1 / (time_step * total))
    while stride > 1 and stride * time_step * total >= 1:
        stride -= 1
    return max(stride, 1)


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(repr(n) for n in names)
