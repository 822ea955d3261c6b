"""The step of a forward run that stores the sums from which gradients are made."""

from dataclasses import dataclass
from functools import lru_cache

from wavepipe.propagators.stencil.adjoint import pruned
from wavepipe.propagators.stencil.inline import inlined
from wavepipe.propagators.stencil.linearise import renamed, stored_name, with_sums
from wavepipe.propagators.stencil.program import Program


@dataclass(frozen=True, eq=False, slots=True)
class Storing:
    """A forward run's step, and the one that stores sums."""

    step: Program
    sampled: Program
    sums: tuple[str, ...]
    """Names of the stored sums."""


@lru_cache(maxsize=64)
def storing(program: Program, wanted: tuple[str, ...], *, silent: bool = False) -> Storing:
    """The steps of a run that stores the sums that some coefficients multiply.

    Parameters
    ----------
    wanted
        Coefficients.
    silent
        Leave out what the sums do not depend on, such as scattered fields: nothing is recorded.
    """
    kept = inlined(with_sums(program, wanted))
    sums = tuple(dict.fromkeys(name for (c, _), name in kept.sums.items() if c in wanted))
    stored = {name: stored_name(name) for name in sums}
    step, sampled = inlined(program), renamed(kept, stored)
    if silent:
        step, sampled = pruned(step, set(sums)), pruned(sampled, set(stored.values()))
    return Storing(step, sampled, tuple(stored.values()))
