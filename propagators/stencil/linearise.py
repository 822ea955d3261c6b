"""Derivatives of a program with respect to its coefficients.

A coefficient multiplies a sum of stencils. That sum is the one thing worth keeping of the forward
wavefield: the gradient of the coefficient is the sum times the adjoint field, step by step.
"""

from collections.abc import Mapping, Sequence
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


def with_sums(program: Program, wanted: Sequence[str]) -> Program:
    """The same step, with what each wanted coefficient multiplies in a field of its own.

    ``t = k t + other + c * A; ...; t += c * B`` becomes ``S = A; ...; S += B;
    t = k t + other + c * S``: `S` is `program.sums[c, t]`, a local that a store may keep. Where
    the coefficient multiplies a local already, that is its sum.
    """
    for coefficient in wanted:
        acted = [u.target for u in program.updates if _acts(coefficient, u)]
        for target in dict.fromkeys((*acted, *_entered(program, coefficient))):
            if (coefficient, target) not in program.sums:
                program = _with_sum(program, coefficient, target)
    return replace(program, sum_inputs=_sources_of_sums(program))


def _entered(program: Program, coefficient: str) -> list[str]:
    """Fields that a source enters through a coefficient, by their names among the updates."""
    return [
        name
        for name in program.fields
        for port in program.inputs
        if (coefficient, 1) in port.factors and _landing(program, port, name) == port.field
    ]


def _landing(program: Program, port: Port, target: str) -> str:
    """The name of an updated field where a port meets it."""
    return target if port.inner else rename_after(program.swaps_after, target)


def _multiplies(coefficient: str, term: Term) -> bool:
    return any(name == coefficient for name, _ in term.left)


def _acts(coefficient: str, update: Update) -> bool:
    """Whether an update multiplies anything by a coefficient."""
    kept = any(name == coefficient for name, _ in update.keep.factors)
    return kept or any(_multiplies(coefficient, t) for t in update.terms)


def _with_sum(program: Program, coefficient: str, target: str) -> Program:
    """One (coefficient, target) pair of `with_sums`."""
    if any(
        name == coefficient and power != 1
        for u in program.updates
        for factors in (u.keep.factors, *(t.left for t in u.terms))
        for name, power in factors
    ):
        raise NotImplementedError(f"a power of {coefficient!r} is not linear in it")
    known = _local_sum(program, coefficient, target)
    if known is not None:
        return replace(program, sums={**program.sums, (coefficient, target): known})
    factor = monomial({coefficient: 1})
    name = f"sum_{coefficient}_{target}"
    updates: list[Update] = []
    main: Update | None = None
    last = 0
    for update in program.updates:
        if update.target != target or not _acts(coefficient, update):
            updates.append(update)
            continue
        terms = [t for t in update.terms if _multiplies(coefficient, t)]
        bare = tuple(replace(t, left=multiply(t.left, factor, -1)) for t in terms)
        rest = tuple(t for t in update.terms if t not in terms)
        keep = update.keep
        if any(name == coefficient for name, _ in keep.factors):
            own = _product(program, coefficient, target)
            left = multiply(keep.factors, factor, -1)
            bare, keep = (*bare, replace(own, scale=keep.number, left=left)), DISCARDED
        if main is None:
            main = replace(update, terms=rest, keep=keep)
            updates.append(Update(name, bare, update.box, DISCARDED))
        elif rest:
            raise NotImplementedError(f"{target!r} mixes {coefficient!r} with other terms twice")
        else:
            updates.append(Update(name, bare, update.box))
        last = len(updates)
    if main is None:  # only a source does
        box = program.fields[target]
        last = _last(updates, coefficient, target) + 1
        updates.insert(last, Update(name, (), box, DISCARDED))
        last, main = last + 1, Update(target, (), box)
    applied = _product(program, coefficient, name)
    updates.insert(last, replace(main, terms=(*main.terms, applied)))
    return replace(
        program.with_updates(updates),
        fields={**program.fields, name: program.fields[target]},
        local=program.local | {name},
        sums={**program.sums, (coefficient, target): name},
    )


def _local_sum(program: Program, coefficient: str, target: str) -> str | None:
    """The local that a coefficient multiplies in a target, if that is all it multiplies there.

    A source that enters through the coefficient is a part of its sum, and no other's.
    """
    if target in _entered(program, coefficient):
        return None
    acting = [u for u in program.updates if u.target == target and _acts(coefficient, u)]
    terms = [t for u in acting for t in u.terms if _multiplies(coefficient, t)]
    if not terms:
        return None
    bare = _product(program, coefficient, terms[0].field)
    return bare.field if terms == [bare] and bare.field in program.local else None


def _perturbed(
    updates: Sequence[Update], coefficient: str, target: str, perturbation: Update
) -> list[Update]:
    """The updates with one more, right after the last in which a coefficient acts on a target."""
    last = _last(updates, coefficient, target)
    return [*updates[: last + 1], perturbation, *updates[last + 1 :]]


def _last(updates: Sequence[Update], coefficient: str, target: str) -> int:
    """Index of the last update of a target, in which a coefficient acts if there is such a one."""
    found = [index for index, update in enumerate(updates) if update.target == target]
    return max([i for i in found if _acts(coefficient, updates[i])] or found)


def _sources_of_sums(program: Program) -> tuple[Port, ...]:
    """Inputs that enter a field through a coefficient, entering that coefficient's sum instead.

    They complete a sum that is stored: the source is part of what the coefficient multiplies.
    """
    ports = {}
    for (coefficient, target), name in program.sums.items():
        factor = monomial({coefficient: 1})
        for port in program.inputs:
            landing = _landing(program, port, target)
            if port.field == landing and (coefficient, 1) in port.factors:
                factors = multiply(port.factors, factor, -1)
                ports[port.name, name] = replace(port, field=name, factors=factors, inner=False)
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
        vanishing=frozenset(of(n) for n in program.vanishing),
        sums={key: of(n) for key, n in program.sums.items()},
        sum_inputs=tuple(replace(p, field=of(p.field)) for p in program.sum_inputs),
    )


def born(program: Program, coefficients: Sequence[str]) -> Program:
    """The program together with its linearisation in some coefficients.

    Fields and coefficients keep their names; the scattered fields end in `SCATTERED`, and the
    perturbations are the coefficients' names + `SCATTERED`. Outputs record the scattered field.
    """
    background = with_sums(program, coefficients)
    other = renamed(program, {name: name + SCATTERED for name in program.fields})
    scattered: Sequence[Update] = other.updates
    sums = dict(background.sums)
    for (coefficient, target), name in background.sums.items():
        perturbation = coefficient + SCATTERED
        term = _product(program, perturbation, name)
        found = target + SCATTERED
        coupling = Update(found, (term,), program.fields[target])
        scattered = _perturbed(scattered, coefficient, found, coupling)
        sums[perturbation, found] = name
    inputs = [
        replace(
            p,
            field=p.field + SCATTERED,
            factors=multiply(
                multiply(p.factors, monomial({coefficient: 1}), -1),
                monomial({coefficient + SCATTERED: 1}),
            ),
        )
        for coefficient in coefficients
        for p in program.inputs
        if (coefficient, 1) in p.factors
    ]
    swaps = tuple((a + SCATTERED, b + SCATTERED) for a, b in program.swaps_after)
    perturbations = {c + SCATTERED: program.coefficients[c] for c in coefficients}
    return replace(
        background,
        fields={**background.fields, **other.fields},
        halves={**program.halves, **{n + SCATTERED: h for n, h in program.halves.items()}},
        coefficients={**program.coefficients, **perturbations},
        updates=(*background.updates, *scattered),
        swaps_after=program.swaps_after + swaps,
        inputs=(*background.inputs, *inputs),
        outputs=tuple(replace(p, field=p.field + SCATTERED) for p in program.outputs),
        vanishing=program.vanishing | other.vanishing,
        local=background.local | other.local,
        sums=sums,
    )


def with_perturbations(program: Program, wanted: Sequence[str]) -> Program:
    """The program with ``target += sum * d_coefficient`` for each wanted coefficient.

    The stored sum is a coefficient here, the perturbation a field; its transpose accumulates
    the gradient: ``gradient += sum * adjoint target``.
    """
    fields, coefficients = dict(program.fields), dict(program.coefficients)
    updates: Sequence[Update] = program.updates
    for (coefficient, target), name in with_sums(program, wanted).sums.items():
        if coefficient not in wanted:
            continue
        gradient, stored = gradient_name(coefficient), stored_name(name)
        fields[gradient] = program.fields[target]
        coefficients[stored] = tuple(range(program.ndim))
        perturbation = Update(
            target, (_product(program, stored, gradient),), program.fields[target]
        )
        updates = _perturbed(updates, coefficient, target, perturbation)
    return replace(program, fields=fields, updates=tuple(updates), coefficients=coefficients)


def _product(program: Program, coefficient: str, name: str) -> Term:
    """A coefficient times a field at the point."""
    return Term(1.0, monomial({coefficient: 1}), (((0,) * program.ndim, 1.0),), ONE, name)
