"""What can go wrong in a propagator, one class per cause.

Every class is both a `WavepipeError` (catch them all) and the builtin a caller would expect.
"""

import errno


def is_full(error: OSError) -> bool:
    """Whether a disk, or one's share of it, has no room left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


class WavepipeError(Exception):
    """Base of every error this package raises on purpose."""


class OptionError(WavepipeError, ValueError):
    """An option has a value that does not exist; the message lists those that do."""


class ModelError(WavepipeError, ValueError):
    """An earth model cannot be propagated: wrong shape, NaN, zero or negative values."""


class GeometryError(WavepipeError, ValueError):
    """A source or receiver is where it cannot be."""


class StabilityError(WavepipeError, ValueError):
    """The time step is too large for the grid spacing and velocity."""


class DispersionError(WavepipeError, ValueError):
    """The grid is too coarse for the highest frequency and slowest velocity."""


class StorageError(WavepipeError, ValueError):
    """The forward wavefield cannot be kept as asked."""


class BackendError(WavepipeError, RuntimeError):
    """A back-end is not available here or its compiler failed."""


class CardMemoryError(WavepipeError, MemoryError):
    """A batch of shots does not fit into a card's memory."""


class WavefieldError(WavepipeError, ArithmeticError):
    """The wavefield became NaN or infinite."""
