"""Scratch folders that name their owner, and the janitor for those whose owner is dead.

A folder's name holds the host, the kernel (boot and process namespace), the process id and the
process's start, so that a recycled id is not mistaken for the owner. The owner also holds a lock
on a file in it: the kernel drops that whatever kills the owner, and it is seen across containers.
"""

import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import socket
import tempfile
import weakref
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.disk import reason

logger = logging.getLogger(__name__)

_LOCK = "owner.lock"
_NAME = re.compile(
    r"wavepipe-(?P<host>.+)-(?P<kernel>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)-[^-]+"
)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What filesystems answer that know no locks."""


class Scratch:
    """A folder of this process for files that nobody needs when it ends.

    It is made when its path is first asked for, which also sweeps its parent, and removed with
    all it holds when this object is closed, collected or the process ends.

    Parameters
    ----------
    parent
        An existing folder; $TMPDIR, or the system's folder for temporary files, if None.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self.parent = default_folder() if parent is None else parent
        self._path: Path | None = None
        self._end: weakref.finalize[[Path, int, int], Scratch] | None = None

    @property
    def path(self) -> Path:
        """The folder.

        Raises
        ------
        StorageError
            The parent does not exist or cannot be written.
        """
        if self._path is None:
            check_folder(self.parent)
            sweep(self.parent)
            self._path, lock = _locked_folder(self.parent)
            self._end = weakref.finalize(self, _remove, self._path, lock, os.getpid())
        return self._path

    def close(self) -> None:
        """Remove the folder; the next `path` is a new one."""
        if self._end is not None:
            self._end()
        self._path = self._end = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def default_folder() -> Path:
    """$TMPDIR, or the system's folder for temporary files."""
    return Path(os.environ.get("TMPDIR") or tempfile.gettempdir())


def check_folder(folder: Path) -> None:
    """StorageError if a folder does not exist or no file can be made in it."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise StorageError(
            f"storage path {str(folder)!r} {what}. Make the folder, or name another."
        )
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b" ")
    except OSError as error:
        raise StorageError(
            f"storage path {str(folder)!r} cannot be written: {reason(error)}"
        ) from error


def sweep(folder: Path) -> list[Path]:
    """Remove the scratch folders in a folder whose owners on this host are dead.

    Folders of living owners, of other hosts and of other users stay, and so do those of which
    nothing is certain. Several janitors may work at once.

    Returns
    -------
    list
        What was removed.

    Notes
    -----
    Hosts of one name that share a filesystem whose locks are not shared cannot be told apart.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if _NAME.fullmatch(entry.name)]
    except OSError:
        return []
    return [folder / name for name in sorted(names) if _swept(folder / name)]


def _swept(path: Path) -> bool:
    """Whether a scratch folder had no owner and was removed."""
    found = _NAME.fullmatch(path.name)
    if found is None or found["host"] != _host():
        return False
    try:
        status = path.lstat()
        if path.is_symlink() or not path.is_dir() or status.st_uid != os.geteuid():
            return False
        known = found["kernel"] == _kernel()
        if known and _start(int(found["pid"])) == int(found["start"]):
            return False
        lock = _open_lock(path)
    except OSError:  # another janitor was faster
        return False
    try:
        if not _is_free(path, lock, certain=known):
            return False
        shutil.rmtree(path)
    except OSError as error:
        if path.exists():
            logger.warning("cannot remove the scratch folder %s: %s", path, error)
        return False
    finally:
        os.close(lock)
    logger.info("removed the scratch folder %s of a process that ended early", path)
    return True


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """A new folder that names this process, and the open file that locks it."""
    pid = os.getpid()
    prefix = f"wavepipe-{_host()}-{_kernel()}-{pid}-{_start(pid)}-"
    while True:
        path = parent / (prefix + os.urandom(4).hex())
        try:
            path.mkdir(mode=0o700)
            lock = _open_lock(path)
        except FileNotFoundError:
            check_folder(parent)
            continue  # a janitor in another container came between
        except OSError as error:
            raise StorageError(f"cannot make a folder in {parent}: {reason(error)}") from error
        if _is_free(path, lock, certain=True):
            return path, lock
        os.close(lock)


def _open_lock(path: Path) -> int:
    return os.open(path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _is_free(path: Path, lock: int, certain: bool) -> bool:
    """Lock a folder, if it still exists and nobody else has; `certain` where locks are unknown."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return certain and error.errno in _NO_LOCKS
    try:
        return os.path.samestat(os.fstat(lock), (path / _LOCK).stat())
    except FileNotFoundError:
        return False


def _remove(path: Path, lock: int, pid: int) -> None:
    """Remove a folder and let go of its lock, unless this process is a fork of the owner."""
    if os.getpid() == pid:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _start(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot; None if it is dead."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = status.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[0] in "ZX" else int(fields[19])


def _host() -> str:
    return re.sub(r"[^\w.]", "_", socket.gethostname()) or "host"


@cache
def _kernel() -> str:
    """What process ids and starts refer to: this boot, and this namespace of processes."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    namespace = Path("/proc/self/ns/pid").readlink()
    return hashlib.sha256(f"{boot}{namespace}".encode()).hexdigest()[:8]
