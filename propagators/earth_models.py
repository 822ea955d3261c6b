"""Whether an earth model can be propagated: what a user may get wrong in it."""

import math
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from wavepipe.propagators.checks import as_batch, described, to_the_user
from wavepipe.propagators.contrasts import contrast_velocity
from wavepipe.propagators.devices import check_device
from wavepipe.propagators.errors import ModelError
from wavepipe.propagators.physics.names import PARAMETERS, UNITS
from wavepipe.propagators.stability import SAFETY

POSITIVE = ("vp", "rho", "q")
"""Parameters that are above zero everywhere."""

NOT_NEGATIVE = ("vs",)
"""Parameters that may be zero: water has no shear waves."""

LARGEST_RATIO = math.sqrt(3.0) / 2.0
"""Of vs to vp: above it the bulk modulus, rho (vp^2 - 4/3 vs^2), is negative."""

UNUSUAL_RATIO = math.sqrt(0.5)
"""Of vs to vp: above it Poisson's ratio is negative, as of no common rock."""

_ROUNDING = 1.0 + 1e-6


class ModelWarning(UserWarning):
    """The earth model can be propagated, but is unlikely to be meant."""


def checked_parameters(
    physics: str, models: Mapping[str, Tensor], ndim: int, n_shots: int
) -> dict[str, Tensor]:
    r"""The parameters of a physics, in its order, each (n_shots or 1, \*shape).

    Raises
    ------
    ModelError
        One is missing or too many, is no tensor, has a value that cannot be or a shape or dtype
        that is not the others'.
    OptionError
        Tensors on different devices, or on one that does not propagate.
    """
    names = PARAMETERS[physics]
    if not isinstance(models, Mapping) or set(models) != set(names):
        given = ", ".join(models) if isinstance(models, Mapping) else described(models)
        raise ModelError(
            f"the earth model of {physics} is {', '.join(names)}; given {given or 'nothing'}."
        )
    first = names[0]
    found: dict[str, Tensor] = {}
    for name in names:
        model = models[name]
        _check_tensor(model, name)
        check_device(model, name, models[first], first)
        if model.dtype != models[first].dtype:
            raise ModelError(
                f"{name} is {model.dtype} but {first} {models[first].dtype}; give the parameters "
                f"of a model one dtype: {name}.to({first}.dtype)."
            )
        found[name] = as_batch(model, ndim, n_shots, name)
        if found[name].shape[1:] != found[first].shape[1:]:
            raise ModelError(
                f"{name} has shape {tuple(model.shape)} but {first} "
                f"{tuple(models[first].shape)}; the parameters of a model share one grid."
            )
        _check_values(model, name)
    return found


def judge_solid(vp: Tensor, vs: Tensor) -> None:
    r"""Refuse a negative bulk modulus, warn of a negative Poisson's ratio.

    Parameters
    ----------
    vp, vs : Tensor, (n_shots or 1, \*shape), m/s

    Raises
    ------
    ModelError
        vs above `LARGEST_RATIO` times vp.

    Warns
    -----
    ModelWarning
        vs above `UNUSUAL_RATIO` times vp.
    """
    ratio = vs.detach() / vp.detach()
    highest = float(ratio.amax())
    if highest <= UNUSUAL_RATIO * _ROUNDING:
        return
    refused = highest > LARGEST_RATIO * _ROUNDING
    limit = LARGEST_RATIO if refused else UNUSUAL_RATIO
    worst = [int(i) for i in torch.unravel_index(ratio.argmax(), ratio.shape)]
    fast, slow = (float(m.detach().expand_as(ratio)[tuple(worst)]) for m in (vp, vs))
    finding = (
        f"vs is {slow:.6g} m/s at cell {_cell(worst, ratio)}, where vp is {fast:.6g} m/s: vs / vp "
        f"is {highest:.4g}, above {limit:.4g} ({_cells(ratio > limit * _ROUNDING)})"
    )
    if refused:
        raise ModelError(
            f"{finding}, and the bulk modulus is negative. Lower vs there to {limit * fast:.6g} "
            "m/s at most, or raise vp."
        )
    warnings.warn(
        f"{finding}, and Poisson's ratio is negative. If that is not meant, lower vs there to "
        f"{limit * fast:.6g} m/s at most, or raise vp.",
        ModelWarning,
        stacklevel=to_the_user(),
    )


def judge_vti(epsilon: Tensor, delta: Tensor) -> None:
    r"""Refuse an anisotropy without a positive energy.

    Parameters
    ----------
    epsilon, delta : Tensor, (n_shots or 1, \*shape)
        Thomsen's (1986).

    Raises
    ------
    ModelError
        delta above epsilon, for which the acoustic equations grow without bound, or either at
        most -1/2.
    """
    for bad, finding in (
        ((delta > epsilon + 1e-6), "delta is above epsilon, and acoustic waves would grow"),
        ((epsilon <= -0.5) | (delta <= -0.5), "epsilon or delta is at most -0.5"),
    ):
        if bad.any():
            cell = [int(i) for i in bad.nonzero()[0]]
            one, other = (float(m.detach().expand_as(bad)[tuple(cell)]) for m in (epsilon, delta))
            raise ModelError(
                f"epsilon is {one:.4g} and delta {other:.4g} at cell {_cell(cell, bad)}: {finding} "
                f"({_cells(bad)}). Raise epsilon or lower delta there; both are 0 in an isotropic "
                "medium."
            )


def checked_scatter(
    scatter: Mapping[str, Tensor], earth: Mapping[str, Tensor], ndim: int, n_shots: int
) -> dict[str, Tensor]:
    r"""Perturbations of an earth model's parameters, in their order and dtype.

    Parameters
    ----------
    scatter
        Parameter -> perturbation, with or without the shots' axis.
    earth : each (n_shots or 1, \*shape)
        What they perturb.

    Returns
    -------
    dict of Tensor
        All of one shape: (n_shots, \*shape) where any of them or of the earth model is, or
        (1, \*shape).
    """
    if not isinstance(scatter, Mapping) or not scatter or not set(scatter) <= set(earth):
        given = ", ".join(scatter) if isinstance(scatter, Mapping) else described(scatter)
        raise ModelError(
            f"scatter perturbs parameters of the earth model, which has {', '.join(earth)}; given "
            f"{given or 'nothing'}."
        )
    found = {}
    for name in (name for name in earth if name in scatter):
        one, like = scatter[name], earth[name]
        if not isinstance(one, Tensor):
            raise ModelError(f"the scatter of {name} must be a torch tensor, not {described(one)}.")
        check_device(one, f"the scatter of {name}", like, name)
        batch = as_batch(one, ndim, n_shots, f"the scatter of {name}")
        if batch.shape[1:] != like.shape[1:]:
            raise ModelError(
                f"the scatter of {name} has shape {tuple(one.shape)}; it must have that of {name}, "
                f"{tuple(like.shape[1:])}."
            )
        if not torch.isfinite(batch.detach()).all():
            raise ModelError(
                f"the scatter of {name} has NaN or infinite values; it is a perturbation in "
                f"{UNITS.get(name, 'its unit')}."
            )
        found[name] = batch.to(like)
    shots = max(len(one) for one in (*found.values(), *earth.values()))
    return {name: one.expand(shots, *one.shape[1:]) for name, one in found.items()}


def step_velocity(
    earth: Mapping[str, Tensor],
    bound: float | None,
    spacing: Sequence[float],
    order: int,
    *,
    staggered: bool,
) -> float:
    r"""Velocity that fixes the time step: the bound given, or what the model needs, m/s.

    Parameters
    ----------
    earth : each (n_shots or 1, \*shape)
        The earth model.
    bound : float or None, m/s
        What the user pinned.
    spacing : sequence of float, m
    order : {2, 4, 6, 8}
    staggered : bool
        Whether jumps in the model count beside its largest velocity, see `contrast_velocity`.

    Raises
    ------
    ModelError
        The model needs more than the bound.
    """
    fastest = float(earth["vp"].detach().amax())
    jumps = 0.0
    if staggered:
        enough = (fastest if bound is None else bound) / SAFETY
        jumps = SAFETY * contrast_velocity(earth, spacing, order, enough)
    if bound is None:
        return max(fastest, jumps)
    if not bound * _ROUNDING >= fastest:
        raise ModelError(
            f"vp reaches {fastest:.6g} m/s, beyond velocity_bound = {bound:.6g} m/s that fixes the "
            "time step. Raise velocity_bound or bound the model."
        )
    if bound < jumps:
        raise ModelError(
            f"density jumps so much from cell to cell that the time step of velocity_bound = "
            f"{bound:.6g} m/s may be unstable. Raise velocity_bound to {jumps * _ROUNDING:.6g} m/s "
            "or more, or smooth the density."
        )
    return float(bound)


def _check_tensor(model: object, name: str) -> None:
    if not isinstance(model, Tensor) or model.dtype not in (torch.float32, torch.float64):
        raise ModelError(
            f"{name} must be a torch tensor of float32 or float64, not {described(model)}."
        )


def _check_values(model: Tensor, name: str) -> None:
    values = model.detach()
    lowest, highest = (float(value) for value in torch.aminmax(values))  # NaN if there is one
    if name in POSITIVE:
        good, needed = lowest > 0, "finite and positive"
    elif name in NOT_NEGATIVE:
        good, needed = lowest >= 0, "finite, and positive or zero"
    else:
        good, needed = lowest > -math.inf, "finite"
    if good and highest < math.inf:
        return
    bad = ~torch.isfinite(values)
    bad |= values <= 0 if name in POSITIVE else values < 0 if name in NOT_NEGATIVE else bad
    cell = tuple(int(i) for i in bad.nonzero()[0])
    unit = UNITS.get(name, "")
    raise ModelError(
        f"{name} is {float(values[cell]):.6g} {unit} at cell {cell} ({_cells(bad)}); it must be "
        f"{needed} everywhere."
    )


def _cells(bad: Tensor) -> str:
    count = int(bad.sum())
    return f"{count} such cell{'s' if count > 1 else ''}"


def _cell(index: Sequence[int], of: Tensor) -> str:
    """Cell of a batch; its shot first where there is more than one."""
    cell = str(tuple(index[1:]))
    return f"{cell} of shot {index[0]}" if len(of) > 1 else cell
