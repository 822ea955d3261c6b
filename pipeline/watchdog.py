"""A batch that hangs: its worker ends itself, leaves its stacks, and another one tries."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def watched(patience: float | None, stacks: Path) -> Iterator[None]:
    """End this worker process if the block takes too long.

    Parameters
    ----------
    patience
        Seconds it may take; None for any number.
    stacks
        Where all threads say what they were doing; kept only if they were ended.

    Notes
    -----
    The clock runs in C, without Python's lock, so it also ends what holds that for ever. A process
    has one, for one block at a time.
    """
    if patience is None:
        yield
        return
    with stacks.open("w") as file:
        faulthandler.dump_traceback_later(patience, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    stacks.unlink(missing_ok=True)
