"""Sweeps over several steps: how far parts stay behind, and that no division changes a bit."""

import numpy as np
import pytest
import torch
from waves import quiet

from wavepipe.propagators import Boundary, Storage, propagate
from wavepipe.propagators.backends import c, caches
from wavepipe.propagators.backends.division import Division
from wavepipe.propagators.stencil.schedule import Access, distance, lag_of_next_step, lags


def access(reads: dict[str, int], *writes: str) -> Access:
    return Access(reads, frozenset(writes))


VELOCITY = access({"v": 0, "s": 2}, "v")
STRESS = access({"s": 0, "v": 2}, "s")


def test_a_part_stays_as_far_behind_as_stencils_reach():
    """Behind what it reads, and behind what still reads what it overwrites."""
    assert distance(VELOCITY, STRESS) == 2
    assert distance(access({"u": 3}, "w"), access({}, "u")) == 3
    assert distance(access({}, "u"), access({}, "u")) == 0
    assert distance(access({"c": 4}, "u"), access({"c": 4}, "w")) is None


def test_lags_add_up_along_the_parts_of_a_step():
    """A part that needs nothing of the others still comes after them."""
    read, idle = access({"v": 0}), access({"other": 1})
    assert lags([read, VELOCITY, STRESS, idle]) == [0, 0, 2, 2]


def test_the_next_step_stays_behind_whichever_kind_came_before():
    """Here the last part reads v two rows away, which the first of the next step overwrites."""
    stored = access({"s": 0, "v": 2}, "s", "sum")
    assert lag_of_next_step([[VELOCITY, STRESS]], ()) == 4
    assert lag_of_next_step([[VELOCITY, STRESS], [VELOCITY, stored]], ()) == 4


def test_swapped_arrays_are_followed_into_the_next_step():
    """Leapfrog writes one of two arrays and reads the other two rows away, then they swap."""
    leapfrog = access({"before": 0, "now": 2}, "before")
    assert lag_of_next_step([[leapfrog]], (("before", "now"),)) == 2


def call(
    physics: str,
    shape: tuple[int, ...],
    n_shots: int = 2,
    order: int = 4,
    free: tuple[str, ...] = ("z0",),
    backend: str = "c",
):
    """Gathers and gradients of a random medium, with layers, a free face and off-grid points."""
    random = torch.Generator().manual_seed(3)
    numbers = np.random.default_rng(3)
    models = {"vp": 2000 + 500 * torch.rand(shape, generator=random)}
    if physics == "elastic":
        models["vs"] = 0.5 * models["vp"]
    if physics != "scalar":
        models["rho"] = 2000 + 300 * torch.rand(shape, generator=random)
    for model in models.values():
        model.requires_grad_()
    extent = 10.0 * (np.array(shape) - 1)
    points = [numbers.uniform(0.15, 0.85, (n_shots, n, len(shape))) * extent for n in (2, 4)]
    amplitudes = torch.randn((n_shots, 2, 23), generator=random)
    with quiet():
        recorded = propagate(
            physics,
            models,
            10.0,
            1e-3,
            sources={"pressure": (amplitudes, points[0])},
            receivers={"pressure": points[1]},
            order=order,
            boundary=Boundary(4, 20.0, free),
            velocity_bound=2600.0,
            storage=Storage(stride=3),
            backend=backend,
        )["pressure"]
        gradients = torch.autograd.grad(recorded.square().sum(), list(models.values()))
    return [recorded.detach(), *gradients]


DIVISIONS = {
    "two steps": Division(False, 1, 2, 100, 1),
    "short strips": Division(False, 1, 4, 5, 3),
    "bands": Division(False, 1, 4, 100, 8),
    "two threads": Division(False, 2, 2, 6, 2),
    "threads too thin for a block": Division(False, 5, 4, 6, 1),
}


@pytest.mark.parametrize("physics", ["scalar", "acoustic", "elastic"])
@pytest.mark.parametrize("shape", [(90, 34), (90, 17, 18)], ids=["2-D", "3-D"])
def test_no_division_of_the_work_changes_a_bit(physics, shape, monkeypatch):
    """Steps in blocks, lines in strips, planes among threads, against one step at a time."""
    ndim = len(shape)
    monkeypatch.setattr(c, "divided", lambda *_: Division(False, 1, 1, 1000 if ndim == 3 else 1, 1))
    plain = call(physics, shape)
    assert all(torch.isfinite(values).all() and values.any() for values in plain)
    for name, division in DIVISIONS.items():
        strip = division.strip if ndim == 3 else 1
        chosen = Division(False, division.threads, division.block, strip, division.band)
        monkeypatch.setattr(c, "divided", lambda *_, chosen=chosen: chosen)
        for ours, reference in zip(call(physics, shape), plain, strict=True):
            assert torch.equal(ours, reference), name


def test_shots_go_to_threads_in_blocks_of_steps(monkeypatch):
    """A thread that has a shot for itself makes blocks too."""
    monkeypatch.setattr(c, "divided", lambda *_: Division(False, 1, 1, 1, 1000))
    plain = call("elastic", (60, 34), n_shots=3)
    monkeypatch.setattr(c, "divided", lambda *_: Division(True, 2, 4, 1, 16))
    for ours, reference in zip(call("elastic", (60, 34), n_shots=3), plain, strict=True):
        assert torch.equal(ours, reference)


def test_rows_near_high_free_faces_equal_the_reference():
    """What a closure reads lies behind the row it is for: nothing to ask for ahead."""
    ours, reference = (
        call("elastic", (9, 10, 11), order=2, free=("z1", "y1", "x0"), backend=backend)
        for backend in ("c", "reference")
    )
    for found, expected in zip(ours, reference, strict=True):
        assert (found - expected).norm() < 1e-5 * expected.norm()


def test_cache_sizes_are_shared_among_processors(tmp_path, monkeypatch):
    """What nothing tells has a usual value."""
    for index, (level, size, cpus) in enumerate([(1, "32K", "0"), (3, "32M", "0-3,8-11")]):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, text in (("level", str(level)), ("size", size), ("shared_cpu_list", cpus)):
            (folder / name).write_text(text + "\n")
    monkeypatch.setattr(caches, "_FOLDER", tmp_path)
    assert caches.cache_bytes.__wrapped__(3) == 4 * 1024**2
    assert caches.cache_bytes.__wrapped__(2) == 1_000_000
