"""A program in scaled variables, by rewriting its monomials."""

from collections.abc import Mapping
from dataclasses import replace

from wavepipe.propagators.stencil.program import (
    ONE,
    Monomial,
    Port,
    Program,
    Term,
    multiply,
)


def scaled(program: Program, multipliers: Mapping[str, Monomial]) -> Program:
    """The program whose fields are ``multiplier * field``.

    With an adjoint wavefield times the coefficient that multiplied its forward update, the
    adjoint has the forward's stencils and its loads: no coefficient is left under a tap.

    Parameters
    ----------
    multipliers
        Field -> monomial; fields not named stay as they are. Swapped fields need the same.
    """

    def of(name: str) -> Monomial:
        return multipliers.get(name, ONE)

    def rescaled(term: Term, target: str) -> Term:
        left = multiply(term.left, of(target))
        right = multiply(term.right, of(term.field), -1)
        if term.is_pointwise:
            left, right = multiply(left, right), ONE
        return Term(term.scale, left, term.taps, right, term.field)

    def port(p: Port, sign: int) -> Port:
        return replace(p, factors=multiply(p.factors, of(p.field), sign))

    return replace(
        program,
        updates=tuple(
            replace(u, terms=tuple(rescaled(t, u.target) for t in u.terms)) for u in program.updates
        ),
        inputs=tuple(port(p, 1) for p in program.inputs),
        outputs=tuple(port(p, -1) for p in program.outputs),
    )
