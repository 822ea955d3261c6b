"""Derivatives of a program with respect to its coefficients.

A coefficient multiplies a sum of stencils. That sum is the one thing worth keeping of the forward
wavefield: the gradient of the coefficient is the sum times the adjoint field, step by step.
"""

from collections.abc import Mapping
from dataclasses import replace

from wavepipe.propagators.stencil.program import (
    DISCARDED,
    ONE,
    Port,
    Program,
    Term,
    Update,
    monomial,
    multiply,
    rename_after,
)

SCATTERED = "_scattered"


def stored_name(sum_name: str) -> str:
    """The coefficient through which an adjoint reads a stored sum."""
    return f"stored_{sum_name}"


def gradient_name(coefficient: str) -> str:
    """The field that accumulates the gradient of a coefficient."""
    return f"gradient_{coefficient}"


def with_sums(program: Program, wanted: tuple[str, ...]) -> Program:
    """The same step, with what each wanted coefficient multiplies in a field of its own.

    ``t = k t + other + c * A; ...; t += c * B`` becomes ``S = A; ...; S += B;
    t = k t + other + c * S``: `S` is `program.sums[c, t]`, a local that a store may keep.
    """
    for coefficient in wanted:
        targets = dict.fromkeys(
            u.target
            for u in program.updates
            for t in u.terms
            if _multiplies(coefficient, t) and (coefficient, u.target) not in program.sums
        )
        for target in targets:
            program = _with_sum(program, coefficient, target)
    return program


def _multiplies(coefficient: str, term: Term) -> bool:
    return any(name == coefficient for name, _ in term.left)


def _with_sum(program: Program, coefficient: str, target: str) -> Program:
    """One (coefficient, target) pair of `with_sums`."""
    factor = monomial({coefficient: 1})
    name = f"sum_{coefficient}_{target}"
    here = (0,) * program.ndim
    updates: list[Update] = []
    main: Update | None = None
    last = 0
    for update in program.updates:
        terms = [t for t in update.terms if update.target == target and _multiplies(coefficient, t)]
        if not terms:
            updates.append(update)
            continue
        bare = tuple(replace(t, left=multiply(t.left, factor, -1)) for t in terms)
        rest = tuple(t for t in update.terms if t not in terms)
        if main is None:
            main = replace(update, terms=rest)
            updates.append(Update(name, bare, update.box, DISCARDED))
        elif rest:
            raise NotImplementedError(f"{target!r} mixes {coefficient!r} with other terms twice")
        else:
            updates.append(Update(name, bare, update.box))
        last = len(updates)
    if main is None:
        raise ValueError(f"{coefficient!r} does not multiply anything in {target!r}")
    applied = Term(1.0, factor, ((here, 1.0),), ONE, name)
    updates.insert(last, replace(main, terms=(*main.terms, applied)))
    return replace(
        program.with_updates(updates),
        fields={**program.fields, name: program.fields[target]},
        local=program.local | {name},
        sums={**program.sums, (coefficient, target): name},
    )


def sources_of_sums(program: Program) -> tuple[Port, ...]:
    """Inputs that enter a field through a coefficient, entering that coefficient's sum instead.

    They complete a sum that is stored: the source is part of what the coefficient multiplies.
    """
    ports = {}
    for (coefficient, target), name in program.sums.items():
        landing = rename_after(program.swaps_after, target)
        factor = monomial({coefficient: 1})
        for port in program.inputs:
            if port.field == landing and (coefficient, 1) in port.factors:
                factors = multiply(port.factors, factor, -1)
                ports[port.name, name] = Port(port.name, name, factors)
    return tuple(ports.values())


def renamed(program: Program, names: Mapping[str, str]) -> Program:
    """The program with some fields under other names."""

    def of(name: str) -> str:
        return names.get(name, name)

    def update(u: Update) -> Update:
        return replace(
            u, target=of(u.target), terms=tuple(replace(t, field=of(t.field)) for t in u.terms)
        )

    return replace(
        program,
        fields={of(n): box for n, box in program.fields.items()},
        updates=tuple(update(u) for u in program.updates),
        local=frozenset(of(n) for n in program.local),
        sums={key: of(n) for key, n in program.sums.items()},
    )


def born(program: Program, coefficient: str) -> Program:
    """The program together with its linearisation in one coefficient.

    Fields and coefficients keep their names; the scattered fields end in `SCATTERED`, and the
    perturbation is the coefficient `coefficient` + `SCATTERED`. Outputs record the scattered
    field.
    """
    background = with_sums(program, (coefficient,))
    perturbation = coefficient + SCATTERED
    other = renamed(program, {name: name + SCATTERED for name in program.fields})
    here = (0,) * program.ndim
    coupling = [
        Update(
            target + SCATTERED,
            (Term(1.0, monomial({perturbation: 1}), ((here, 1.0),), ONE, name),),
            program.fields[target],
        )
        for (c, target), name in background.sums.items()
        if c == coefficient
    ]
    swapped = monomial({perturbation: 1})
    without = monomial({coefficient: 1})
    inputs = [
        Port(p.name, p.field + SCATTERED, multiply(multiply(p.factors, without, -1), swapped))
        for p in program.inputs
        if (coefficient, 1) in p.factors
    ]
    swaps = tuple((a + SCATTERED, b + SCATTERED) for a, b in program.swaps_after)
    sums = {
        (perturbation, target + SCATTERED): name
        for (c, target), name in background.sums.items()
        if c == coefficient
    }
    return replace(
        background,
        fields={**background.fields, **other.fields},
        coefficients={**program.coefficients, perturbation: program.coefficients[coefficient]},
        updates=(*background.updates, *other.updates, *coupling),
        swaps_after=program.swaps_after + swaps,
        inputs=(*background.inputs, *inputs),
        outputs=tuple(replace(p, field=p.field + SCATTERED) for p in program.outputs),
        vanishing=program.vanishing | {n + SCATTERED for n in program.vanishing},
        sums={**background.sums, **sums},
    )


def with_perturbations(program: Program, wanted: tuple[str, ...]) -> Program:
    """The program with ``target += sum * d_coefficient`` for each wanted coefficient.

    The stored sum is a coefficient here, the perturbation a field; its transpose accumulates
    the gradient: ``gradient += sum * adjoint target``.
    """
    here = (0,) * program.ndim
    fields, coefficients = dict(program.fields), dict(program.coefficients)
    updates = list(program.updates)
    for (coefficient, target), name in with_sums(program, wanted).sums.items():
        if coefficient not in wanted:
            continue
        gradient, stored = gradient_name(coefficient), stored_name(name)
        fields[gradient] = program.fields[target]
        coefficients[stored] = tuple(range(program.ndim))
        term = Term(1.0, monomial({stored: 1}), ((here, 1.0),), ONE, gradient)
        updates.append(Update(target, (term,), program.fields[target]))
    return replace(program, fields=fields, updates=tuple(updates), coefficients=coefficients)
