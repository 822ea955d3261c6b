"""Which windows are computed again, from which checkpoints: the fewest that can be."""

from functools import cache

import pytest

from wavepipe.propagators.storage.reversal import START, extra_windows, reversal


@cache
def fewest(n: int, checkpoints: int) -> int:
    """Windows run besides those that turn, found by trying every place of the next checkpoint."""
    if n == 1:
        return 0
    if checkpoints == 0:
        return n * (n - 1) // 2
    return min(m + fewest(n - m, checkpoints - 1) + fewest(m, checkpoints) for m in range(1, n))


@pytest.mark.parametrize("checkpoints", range(6))
def test_the_number_is_the_smallest(checkpoints):
    """Griewank and Walther's formula against dynamic programming."""
    for n in range(1, 50):
        assert extra_windows(n, checkpoints) == fewest(n, checkpoints)


@pytest.mark.parametrize("checkpoints", range(6))
def test_actions_turn_in_every_window_once_from_a_state_that_is_there(checkpoints):
    """From the last to the first, with as many runs as were counted and no more checkpoints."""
    for n in range(1, 40):
        kept, at, runs, turned = {START: 0}, 0, 0, []
        for action in reversal(n, checkpoints):
            if action.kind == "restore":
                assert kept[action.checkpoint] == action.window
                at = action.window
                continue
            assert at == action.window
            if action.kind == "keep":
                assert 0 <= action.checkpoint < checkpoints
                kept[action.checkpoint] = at
            elif action.kind == "run":
                runs, at = runs + action.end - at, action.end
            else:
                turned.append(at)
                at = None
        assert turned == list(range(n))[::-1]
        assert runs == extra_windows(n, checkpoints)


def test_many_windows_and_checkpoints_are_no_burden():
    """Neither recursion nor time; one checkpoint per window means every window once again."""
    assert extra_windows(1500, 1499) == 1499
    assert sum(a.kind == "turn" for a in reversal(1500, 1499)) == 1500
    assert extra_windows(1500, 30) < 3 * 1500
