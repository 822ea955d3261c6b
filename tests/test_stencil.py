"""Programs and their transforms, as data."""

import inspect
from dataclasses import replace

import pytest

from wavepipe.propagators.physics.catalogue import PHYSICS
from wavepipe.propagators.physics.scalar import scalar
from wavepipe.propagators.stencil.adjoint import adjoint
from wavepipe.propagators.stencil.derivatives import (
    first_derivative_weights,
    second_derivative_weights,
)
from wavepipe.propagators.stencil.linearise import SCATTERED, born, with_sums
from wavepipe.propagators.stencil.page import Page
from wavepipe.propagators.stencil.program import DISCARDED, Keep, Term, Update
from wavepipe.propagators.stencil.schedule import links, phases
from wavepipe.propagators.stencil.surroundings import Face
from wavepipe.propagators.stencil.transpose import transpose


def program(shape=(60, 70), order=4, free=False):
    layer = Face(20 + order // 2)
    top = (Face(free=True), layer) if free else (layer, layer)
    page = Page(shape, order, (10.0,) * len(shape), (top, *[(layer, layer)] * (len(shape) - 1)))
    scalar(page)
    return page.program()


def test_weights_are_the_published_ones():
    """Fornberg (1988), table 1."""
    assert second_derivative_weights(4) == pytest.approx((-5 / 2, 4 / 3, -1 / 12), abs=1e-14)
    assert second_derivative_weights(8) == pytest.approx(
        (-205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560), abs=1e-13
    )
    assert first_derivative_weights(8) == pytest.approx(
        (4 / 5, -1 / 5, 4 / 105, -1 / 280), abs=1e-13
    )


@pytest.mark.parametrize("physics", PHYSICS.values(), ids=PHYSICS)
def test_a_physics_is_a_page(physics):
    """Short enough to print, and without a word of layers, adjoints or back-ends."""
    whole = inspect.getsource(inspect.getmodule(physics.page))
    assert len(whole.splitlines()) < 70
    text = inspect.getsource(physics.page)
    assert len(text.splitlines()) < 35
    for word in ("pml", "psi", "adjoint", "transpose", "backend", "slab", "torch"):
        assert word not in text.lower()


def test_the_interior_update_knows_nothing_of_layers():
    """One update of the whole grid, plus one per face that adds the layer's correction."""
    found = [u for u in program().updates if u.target == "p_before"]
    assert [u.box == ((0, 60), (0, 70)) for u in found] == [True, False, False, False, False]
    assert found[0].keep == Keep(-1.0)


@pytest.mark.parametrize("free", [False, True])
def test_the_adjoint_of_leapfrog_is_leapfrog(free):
    """In scaled variables: ``p = -p + 2 p_before + c2 laplacian(p_before)``."""
    forward = next(u for u in program(free=free).updates if u.keep.number == -1.0)
    found = adjoint(program(free=free), ("c2",), sources=False).program
    (back,) = [u for u in found.updates if u.keep.number == -1.0]
    assert {len(t.taps) for t in back.terms} == {len(t.taps) for t in forward.terms} == {1, 9}
    assert all(not t.right for t in back.terms)
    assert not any(u.keep == DISCARDED or not u.terms for u in found.updates)


def test_the_gradient_needs_one_stored_sum_and_no_division():
    """``gradient += stored sum * adjoint``, pointwise."""
    found = adjoint(program(), ("c2",), sources=False)
    (accumulation,) = [u for u in found.program.updates if u.target == "gradient_c2"]
    (term,) = accumulation.terms
    assert term.is_pointwise
    assert dict(term.left) == {"stored_sum_c2_p_before": 1}
    assert found.gradients == {"c2": (("c2", 1),)}


def test_migration_needs_no_background_adjoint():
    """Only the scattered fields go back where only the perturbation's gradient is wanted."""
    found = adjoint(born(program(), ("c2",)), ("c2" + SCATTERED,), sources=False).program
    assert all(n.endswith(SCATTERED) for n in found.fields)


def test_a_stored_sum_is_what_the_coefficient_multiplies():
    """The step with its sum in a field of its own applies the coefficient once, pointwise."""
    kept = with_sums(program(), ("c2",))
    applied = [u for u in kept.updates for t in u.terms if ("c2", 1) in t.left]
    assert len(applied) == 1
    assert kept.sums == {("c2", "p_before"): "sum_c2_p_before"}


def test_transposing_a_slab_that_is_too_thin_is_refused():
    """A stencil read through the inner edge of a box has no exact transpose there."""
    inner = program()
    cut = tuple((lo + 5, hi - 5) for lo, hi in inner.box)
    taps = (((0, -1), 1.0), ((0, 1), 1.0))
    wrong = Update("p_before", (Term(1.0, (), taps, (), "p"),), cut)
    with pytest.raises(NotImplementedError, match="cannot transpose the update of 'p_before'"):
        transpose(replace(inner, updates=(*inner.updates, wrong)))


def test_phases_are_few():
    """Layers' memory first, then all the rest in one sweep; within a row likewise."""
    for shape in ((60, 70), (60, 62, 64)):
        updates = program(shape).updates
        assert len(phases(updates, range(len(shape) - 1))) == 2
    assert not links(*[u for u in updates if u.target.startswith("psi")][:2])
