"""Sources and receivers as a user names them: which there are, and what each is given as."""

from collections.abc import Mapping, Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from wavepipe.propagators.checks import described
from wavepipe.propagators.errors import GeometryError, OptionError

SYMMETRIC = 1e-6
"""Difference of two halves of a moment tensor, relative to its largest component, that passes."""


def checked_ports(
    given: Mapping[str, object], known: Sequence[str] | None, what: str, physics: str = ""
) -> None:
    """Refuse components that a physics lacks, and values of the wrong kind.

    Parameters
    ----------
    given
        Component -> (amplitudes, positions) or, of "moment", (amplitudes, positions, tensors) for
        sources; component -> positions for receivers.
    known
        Components that the physics has. None: the values are looked at, the names are not.
    what : {"source", "receiver"}
    physics
        For the message.

    Raises
    ------
    OptionError
    """
    example = '{"fz": (amplitudes, positions)}' if what == "source" else '{"vz": positions}'
    if not isinstance(given, Mapping) or not given:
        found = "empty" if isinstance(given, Mapping) else described(given)
        listed = f" {physics} has {', '.join(known)}." if known else ""
        raise OptionError(
            f"{what}s is {found}; it is a mapping from component to values, such as {example}."
            f"{listed}"
        )
    for name, values in given.items():
        if known is not None and name not in known:
            raise OptionError(f"{physics} has no {what} {name!r}; it has {', '.join(known)}.")
        if what == "source":
            _check_source(name, values)


def checked_moment(tensors: ArrayLike | Tensor, n_shots: int, n_sources: int, ndim: int) -> Tensor:
    """Moment tensors as (n_shots, n_sources, ndim, ndim) float64.

    Parameters
    ----------
    tensors : (ndim, ndim), or (n_shots, n_sources, ndim, ndim)
        Symmetric to `SYMMETRIC`; axis order (z, x) or (z, y, x).

    Raises
    ------
    GeometryError
        Another shape, values that are not finite, a tensor that is not symmetric.
    """
    moment = torch.as_tensor(tensors).cpu()
    if moment.requires_grad:
        raise OptionError(
            "moment tensors require a gradient, which there is for amplitudes only: give the "
            "components as sources of their own, with tensors that are constant."
        )
    one, each = (ndim, ndim), (n_shots, n_sources, ndim, ndim)
    if tuple(moment.shape) not in (one, each):
        raise GeometryError(
            f"moment tensors have shape {tuple(moment.shape)}; they must be {one}, the same for "
            f"all sources, or {each}."
        )
    if moment.is_complex():
        raise GeometryError(f"moment tensors are {moment.dtype}; they must be real.")
    moment = moment.detach().to(torch.float64).expand(each)
    finite = torch.isfinite(moment).flatten(2).all(dim=-1)
    if not finite.all():
        shot, source = (int(i) for i in (~finite).nonzero()[0])
        raise GeometryError(f"shot {shot}: the moment tensor of source {source} is not finite.")
    size = moment.abs().amax(dim=(-2, -1), keepdim=True)
    uneven = (moment - moment.mT).abs() > SYMMETRIC * size
    if uneven.any():
        shot, source, i, j = (int(k) for k in uneven.nonzero()[0])
        pair = tuple(float(moment[shot, source, a, b]) for a, b in ((i, j), (j, i)))
        raise GeometryError(
            f"shot {shot}: the moment tensor of source {source} is not symmetric: [{i}, {j}] is "
            f"{pair[0]:.6g} and [{j}, {i}] is {pair[1]:.6g}. Use (M + M.T) / 2."
        )
    return moment


def _check_source(name: str, values: object) -> None:
    parts = "(amplitudes, positions, tensors)" if name == "moment" else "(amplitudes, positions)"
    needed = 3 if name == "moment" else 2
    if not isinstance(values, tuple | list):
        raise OptionError(f"source {name!r} is {described(values)}; it must be a tuple {parts}.")
    if len(values) != needed:
        raise OptionError(f"source {name!r} has {len(values)} values; it must be a tuple {parts}.")
