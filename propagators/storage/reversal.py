"""In which order windows of a run are computed again for its adjoint, from a few checkpoints.

The adjoint meets the windows of the forward run from the last to the first. With c checkpoints, of
which one is the start, ``t(n, c) = min over m of m + t(n - m, c - 1) + t(m, c)`` windows have to be
run besides those in which the adjoint turns round. Griewank and Walther (2000, Algorithm 799:
revolve, ACM Transactions on Mathematical Software 26, 19-45) give its solution, and the proof that
no order needs fewer: ``t(n, c) = r n - C(c + r, r - 1)`` with the smallest r for which
``C(c + r, c) >= n``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import Literal

START = -1
"""The checkpoint in front of the first window: everything is zero, and takes no memory."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do."""

    kind: Literal["restore", "run", "keep", "turn"]
    """``restore`` a checkpoint; ``run`` the windows `window ... end - 1`; ``keep`` the state in
    front of a window as a checkpoint; ``turn``: run a window, then the adjoint through it."""
    window: int
    end: int = 0
    checkpoint: int = START


def extra_windows(n: int, checkpoints: int) -> int:
    """Windows that are run besides those in which the adjoint turns round.

    Parameters
    ----------
    n
        Windows of the run.
    checkpoints
        Besides the start.

    Notes
    -----
    A forward run is n - 1 of them; the last window turns at once. So this is also the number of
    windows that the gradient computes again.
    """
    c, r = checkpoints + 1, 0
    while comb(c + r, c) < n:
        r += 1
    return r * n - comb(c + r, r - 1) if r else 0


def reversal(n: int, checkpoints: int) -> Iterator[Action]:
    """Actions that turn in every window from the last to the first.

    Parameters
    ----------
    n, checkpoints
        As for `extra_windows`.
    """
    free = list(range(checkpoints))
    stack = [(0, n, START)]
    is_there = True  # whether the state in front of the part to come is at hand
    while stack:
        begin, end, held = stack.pop()
        if end - begin > 1 and free:
            middle = begin + _split(end - begin, len(free))
            if not is_there:
                yield Action("restore", begin, checkpoint=held)
            yield Action("run", begin, middle)
            kept = free.pop()
            yield Action("keep", middle, checkpoint=kept)
            stack += [(begin, middle, held), (middle, end, kept)]
            is_there = True
            continue
        for window in reversed(range(begin, end)):
            if not is_there:
                yield Action("restore", begin, checkpoint=held)
            if window > begin:
                yield Action("run", begin, window)
            yield Action("turn", window)
            is_there = False
        if held != START:
            free.append(held)


@lru_cache(maxsize=4096)
def _split(n: int, checkpoints: int) -> int:
    """Where the next checkpoint goes in n windows."""
    return min(
        range(1, n),
        key=lambda m: m + extra_windows(n - m, checkpoints - 1) + extra_windows(m, checkpoints),
    )
