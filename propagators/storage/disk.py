"""A file on a scratch disk: reserved as a whole, without a name, read and written past the cache.

A file without a name is freed by the kernel when its process ends, however it ends.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.amounts import size as amount

BLOCK = 4096
"""Bytes: offsets, sizes and addresses are multiples of it, as direct access asks."""

_DIRECT = getattr(os, "O_DIRECT", 0)
_PIECES = 64
"""Most pieces of one system call, far below the system's limit of 1024."""


class Disk:
    """One file of a fixed size.

    Parameters
    ----------
    folder
        Where the file is made; its name is gone before anything is written.
    size : bytes
    direct
        Past the page cache where the filesystem can. Its memory is then left to others, and large
        pieces are not copied.

    Raises
    ------
    StorageError
        `folder` cannot be written, or has no room for the file.
    """

    def __init__(self, folder: Path, size: int, *, direct: bool = True) -> None:
        self.folder, self.size = folder, size
        self._file = _nameless(folder)
        self.direct = direct and self._set_direct()
        try:
            _reserve(self._file, folder, size)
        except BaseException:
            self.close()
            raise

    def write(self, pieces: Sequence[NDArray[np.uint8]], offset: int) -> None:
        """All pieces, one behind the other; OSError if any byte cannot be written."""
        self._transfer(self.pwrite, pieces, offset)

    def read(self, pieces: Sequence[NDArray[np.uint8]], offset: int) -> None:
        """Fill all pieces from one place on; OSError if any byte cannot be read."""
        self._transfer(self.pread, pieces, offset)

    def pwrite(self, pieces: list[memoryview], offset: int) -> int:
        """One system call, which may write less; the number of bytes written."""
        return os.pwritev(self._file, pieces, offset)

    def pread(self, pieces: list[memoryview], offset: int) -> int:
        """One system call, which may read less; the number of bytes read."""
        return os.preadv(self._file, pieces, offset)

    def flush(self) -> None:
        """Write out, and forget, what the page cache holds of the file."""
        if not self.direct:
            os.fdatasync(self._file)
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Free the file; a second call does nothing."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _transfer(
        self,
        call: Callable[[list[memoryview], int], int],
        pieces: Sequence[NDArray[np.uint8]],
        offset: int,
    ) -> None:
        rest = [piece.data for piece in pieces]
        while rest:
            try:
                done = call(rest[:_PIECES], offset)
            except OSError as error:
                if error.errno != errno.EINVAL or not self.direct:
                    raise
                self._set_buffered()  # blocks larger than ours, or the rest of a short transfer
                continue
            if done <= 0:
                raise OSError(errno.EIO, "the file ends too early")
            offset += done
            while rest and done >= rest[0].nbytes:
                done -= rest.pop(0).nbytes
            if done:
                rest[0] = rest[0][done:]

    def _set_direct(self) -> bool:
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._file, fcntl.F_SETFL, flags | _DIRECT)
        except OSError:
            return False
        return bool(_DIRECT)

    def _set_buffered(self) -> None:
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        fcntl.fcntl(self._file, fcntl.F_SETFL, flags & ~_DIRECT)
        self.direct = False


def padded(size: int) -> int:
    """The next multiple of a block."""
    return -(-size // BLOCK) * BLOCK


def page_aligned(size: int) -> NDArray[np.uint8]:
    """Memory that begins on a page, in huge pages where the system gives them."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8)


def check_space(folder: Path, size: int) -> None:
    """StorageError if `size` bytes are more than are free in `folder`."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StorageError(
            f"the wavefield takes {amount(size)} on disk; {folder} has {amount(free)} free. Free "
            "some, name another folder as storage path, propagate fewer shots, or compress."
        )


def reason(error: OSError) -> str:
    """What went wrong with a file, and what helps."""
    remedies = {
        errno.ENOSPC: "the disk is full. Free some space or name another folder as storage path",
        errno.EDQUOT: "the disk quota is used up. Name another folder as storage path",
        errno.EFBIG: "files may not be that large. Raise the limit (ulimit -f) or propagate fewer "
        "shots",
        errno.EIO: "the disk does not work. Name another folder as storage path",
    }
    what = remedies.get(error.errno or 0, "name another folder as storage path")
    return f"{error.strerror or error}: {what}."


def _nameless(folder: Path) -> int:
    """A new file that is deleted when it is closed."""
    path = folder / f"wavefield-{secrets.token_hex(8)}"
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"cannot make a file in {folder}: {reason(error)}") from error
    path.unlink()
    return file


def _reserve(file: int, folder: Path, size: int) -> None:
    """Blocks for the whole file: a full disk is known now and not in the middle of a run."""
    check_space(folder, size)
    code = _fallocate(file, size)
    if code in (errno.EOPNOTSUPP, errno.ENOSYS):
        os.ftruncate(file, size)
    elif code:
        error = OSError(code, os.strerror(code))
        raise StorageError(f"cannot reserve {amount(size)} in {folder}: {reason(error)}") from error


def _fallocate(file: int, size: int) -> int:
    """The system call's error number, 0 for success.

    `os.posix_fallocate` would write to every block where the filesystem cannot reserve.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    while libc.fallocate(file, 0, ctypes.c_int64(0), ctypes.c_int64(size)):
        if ctypes.get_errno() != errno.EINTR:
            return ctypes.get_errno()
    return 0
