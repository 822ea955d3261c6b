"""A checksum at the speed of memory, for records that come back from a disk."""

import zlib

import numpy as np
from numpy.typing import NDArray

_COLUMNS = 509
"""Words a row; prime, so that a sector that went to another place falls on other columns."""


def checksum(data: NDArray[np.uint8]) -> int:
    """A number that changes if bytes of the data are lost, stale or moved.

    Parameters
    ----------
    data : (multiple of 8,) bytes

    Notes
    -----
    The CRC-32 of the sums modulo 2**64 of the columns of a table whose rows are as long as a
    sector, less a few words. A CRC of all bytes would take longer.
    """
    words = data.view(np.uint64)
    whole = words.size - words.size % _COLUMNS
    sums = np.add.reduce(words[:whole].reshape(-1, _COLUMNS), axis=0)
    return zlib.crc32(words[whole:].data, zlib.crc32(sums.data))
