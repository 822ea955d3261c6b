"""Steps taken back."""

from dataclasses import replace

import pytest
import torch

from wavepipe.propagators.backends.reference import step, swapped
from wavepipe.propagators.medium import Medium
from wavepipe.propagators.physics.catalogue import PHYSICS
from wavepipe.propagators.stencil.page import Page
from wavepipe.propagators.stencil.retrace import retraced
from wavepipe.propagators.stencil.reverse import IrreversibleError, reverse
from wavepipe.propagators.stencil.storing import storing
from wavepipe.propagators.stencil.surroundings import Face

SHAPE = (26, 24)


def program_and_coefficients(name, faces):
    physics = PHYSICS[name]
    page = Page(SHAPE, 4, (10.0, 12.0), faces)
    physics.page(page)
    program = page.program()
    random = torch.Generator().manual_seed(3)

    def uniform(low, high):
        return low + (high - low) * torch.rand((1, *SHAPE), generator=random, dtype=torch.float64)

    earth = {
        "vp": uniform(2000, 3000),
        "vs": uniform(0, 1000),
        "rho": uniform(1, 2),
        "epsilon": uniform(0.1, 0.2),
        "delta": uniform(0.0, 0.1),
        "q": uniform(20, 40),
    }
    free = tuple((low.free, high.free) for low, high in faces)
    medium = Medium({p: earth[p] for p in physics.parameters}, 1e-3, free, 20.0)
    profiles = {n: torch.tensor(v, dtype=torch.float64) for n, v in program.profiles.items()}
    layers = {
        name: torch.full((SHAPE[axes[0]],), 0.5, dtype=torch.float64)
        for name, axes in program.coefficients.items()
        if name[:2] in ("a_", "b_", "g_") and len(axes) == 1
    }
    return program, physics.coefficients(medium) | profiles | layers


@pytest.mark.parametrize("name", ["scalar", "acoustic", "elastic", "acoustic_vti"])
def test_a_step_is_undone_inside(name):
    """Free above, layers elsewhere: forty steps and back, other cells put back."""
    slab = Face(slab=5, sponge=True)
    program, coefficients = program_and_coefficients(name, ((Face(free=True), slab), (slab, slab)))
    inside = ((0, SHAPE[0] - 7), (7, SHAPE[1] - 7))
    window = (slice(None), *(slice(lo, hi) for lo, hi in inside))
    random = torch.Generator().manual_seed(1)
    state = {n: torch.zeros((1, *SHAPE), dtype=torch.float64) for n in program.fields}
    for field, box in program.fields.items():
        if field not in program.vanishing | program.local:
            cells = (slice(None), *(slice(lo, hi) for lo, hi in box))
            shape = state[field][cells].shape
            state[field][cells] = torch.randn(shape, generator=random, dtype=torch.float64)
    states = [state]
    for _ in range(40):
        states.append(swapped(step(program, states[-1], coefficients), program.swaps_after))
    back = reverse(program, inside)
    now = states[-1]
    for before in states[-2::-1]:
        now = swapped(now, back.swaps_before)
        for update in back.updates:
            now = step(replace(back, updates=(update,)), now, coefficients)
            outside = before[update.target].clone()
            outside[window] = now[update.target][window]
            now[update.target] = outside
        for field in {update.target for update in back.updates}:
            error = (now[field] - before[field]).norm() / before[field].norm()
            assert error < 1e-10, field


def test_losses_cannot_be_undone():
    """A medium with losses says why, and what to do instead."""
    slab = Face(slab=5)
    program, _ = program_and_coefficients("viscoacoustic", ((slab, slab), (slab, slab)))
    with pytest.raises(IrreversibleError, match="'r' keeps only decay times itself"):
        reverse(program, program.box)


def test_what_is_kept_of_a_slot_is_what_is_not_made_again():
    """Once each, and strips hold no more than half the order's cells beside that."""
    slab = Face(slab=7)
    program, coefficients = program_and_coefficients("acoustic", ((slab, slab), (slab, slab)))
    wanted = tuple(name for name in coefficients if name in ("K", "b_z", "b_x"))
    run = storing(program, wanted)
    way = retraced(run.step, run.sampled, run.sums)
    count = torch.zeros(SHAPE)
    for box in (*way.outside, program.inside):
        count[tuple(slice(lo, hi) for lo, hi in box)] += 1
    assert (count == 1).all()
    assert {strip.field for strip in way.strips} == {"p", "vz", "vx"}
    for strip in way.strips:
        inside = [
            lo >= low and hi <= high
            for (lo, hi), (low, high) in zip(strip.box, program.inside, strict=True)
        ]
        assert sum(inside) == 1
        assert 1 <= min(hi - lo for lo, hi in strip.box) <= program.order // 2
