"""The adjoint step of a program: transposed, scaled, and without what nobody asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from wavepipe.propagators.stencil.linearise import gradient_name, with_perturbations
from wavepipe.propagators.stencil.program import ONE, Monomial, Program
from wavepipe.propagators.stencil.scale import scaled
from wavepipe.propagators.stencil.transpose import transpose


@dataclass(frozen=True, slots=True)
class Adjoint:
    """An adjoint program and how its gradients are scaled."""

    program: Program
    gradients: Mapping[str, Monomial]
    """Coefficient -> the monomial its gradient field has to be divided by."""


@lru_cache(maxsize=64)
def adjoint(program: Program, coefficients: tuple[str, ...], *, sources: bool) -> Adjoint:
    """The step that propagates residuals back and accumulates gradients.

    Parameters
    ----------
    program
        The forward step.
    coefficients
        Those whose gradient is wanted.
    sources
        Whether gradients with respect to source amplitudes are wanted as well.
    """
    perturbed = with_perturbations(program, coefficients)
    multipliers = _multipliers(program)
    gradients = {c: _gradient_multiplier(perturbed, c, multipliers) for c in coefficients}
    multipliers |= {gradient_name(c): m for c, m in gradients.items()}
    turned = scaled(transpose(perturbed), multipliers)
    if not sources:
        turned = replace(turned, outputs=())
    wanted = {gradient_name(c) for c in coefficients} | {p.field for p in turned.outputs}
    return Adjoint(pruned(turned, wanted), gradients)


def _multipliers(program: Program) -> dict[str, Monomial]:
    """Field -> the coefficient in front of its stencils; swapped fields share one.

    What acts at a point only needs no scaling, and may be zero: stiffnesses act on local strains.
    """
    multipliers: dict[str, Monomial] = {}
    for update in program.updates:
        for term in update.terms:
            on_grid = all(
                len(program.coefficients.get(n, ())) == program.ndim for n, _ in term.left
            )
            fades = any(n in program.fading for n, _ in term.left)
            if term.left != ONE and on_grid and not fades and not term.is_pointwise:
                multipliers.setdefault(update.target, term.left)
    for a, b in (*program.swaps_before, *program.swaps_after):
        shared = multipliers.get(a, multipliers.get(b, ONE))
        multipliers[a] = multipliers[b] = shared
    return multipliers


def _gradient_multiplier(
    perturbed: Program, coefficient: str, multipliers: Mapping[str, Monomial]
) -> Monomial:
    """The multiplier of the fields a coefficient acts on, if they agree."""
    gradient = gradient_name(coefficient)
    found = {
        multipliers.get(u.target, ONE)
        for u in perturbed.updates
        if any(t.field == gradient for t in u.terms)
    }
    return found.pop() if len(found) == 1 else ONE


def pruned(program: Program, wanted: set[str]) -> Program:
    """The program without the updates that no wanted field depends on."""
    swaps = (*program.swaps_before, *program.swaps_after)
    live = set(wanted)
    while True:
        grown = set(live)
        for a, b in swaps:
            if grown & {a, b}:
                grown |= {a, b}
        for update in program.updates:
            if update.target in grown:
                grown |= {name for name in update.reads() if name in program.fields}
        if grown == live:
            break
        live = grown
    return replace(
        program,
        fields={name: box for name, box in program.fields.items() if name in live},
        updates=tuple(u for u in program.updates if u.target in live),
        swaps_before=tuple(s for s in program.swaps_before if s[0] in live),
        swaps_after=tuple(s for s in program.swaps_after if s[0] in live),
        inputs=tuple(p for p in program.inputs if p.field in live),
        outputs=tuple(p for p in program.outputs if p.field in live),
        sum_inputs=tuple(p for p in program.sum_inputs if p.field in live),
        local=program.local & live,
        vanishing=program.vanishing & live,
    )
