"""Coefficient arrays of a program, from an earth model, as differentiable torch operations."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from wavepipe.propagators.contact_masks import Rows, contact_masks
from wavepipe.propagators.domain import Domain
from wavepipe.propagators.medium import Medium
from wavepipe.propagators.physics.catalogue import Physics
from wavepipe.propagators.stencil.linearise import SCATTERED

MASS_UNIT = 2.0**22
"""kg; rock has an impedance of about one of it, so that stresses are as large as velocities.

A power of two, so that it changes no digit: but in single precision, fields in SI units are so far
apart that their products in a gradient would be flushed to zero."""


def coefficients_of(
    physics: Physics,
    domain: Domain,
    earth: Mapping[str, Tensor],
    scatter: Mapping[str, Tensor],
    linearised: tuple[str, ...],
    time_step: float,
    reference_frequency: float,
    contacts: Rows | None = None,
) -> dict[str, Tensor]:
    """Coefficients on the grid of a call; those of a perturbation are directional derivatives.

    Parameters
    ----------
    earth, scatter : each (n_shots or 1, *model)
        By parameter, SI units.
    linearised
        Coefficients that the perturbations change.
    time_step : s
    reference_frequency : Hz
    contacts
        Rows of a solid's contacts with water, see `short_rows`.
    """

    def on_grid(models: Mapping[str, Tensor]) -> dict[str, Tensor]:
        scaled = {n: one / MASS_UNIT if n == "rho" else one for n, one in models.items()}
        return {name: domain.extended(one) for name, one in scaled.items()}

    def of(models: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return physics.coefficients(Medium(models, time_step, domain.free, reference_frequency))

    padded, tangents = on_grid(earth), on_grid(scatter)
    found = of(padded)
    if contacts is not None:
        found |= contact_masks(domain, earth["vs"], contacts)
    if not linearised:
        return found
    shots = max(len(one) for one in tangents.values())
    models = {n: one.expand(max(shots, len(one)), *one.shape[1:]) for n, one in padded.items()}
    changes = _derivative(of, models, tangents, linearised)
    return found | {name + SCATTERED: one for name, one in changes.items()}


def _derivative(
    of: Callable[[Mapping[str, Tensor]], dict[str, Tensor]],
    models: Mapping[str, Tensor],
    direction: Mapping[str, Tensor],
    wanted: tuple[str, ...],
) -> dict[str, Tensor]:
    """Derivative of some results in a direction, itself differentiable.

    It is the transpose of the transpose: ``J v = d/du <J' u, v>``.
    """
    followed = any(one.requires_grad for one in (*models.values(), *direction.values()))
    keeps = torch.is_grad_enabled() and followed
    with torch.enable_grad():
        variables = {
            name: one if one.requires_grad else one.detach().requires_grad_()
            for name, one in models.items()
        }
        results = of(variables)
        outputs = [results[name] for name in wanted]
        weights = [torch.zeros_like(one).requires_grad_() for one in outputs]
        inputs = [variables[name] for name in direction]
        back = torch.autograd.grad(outputs, inputs, weights, create_graph=True)
        found = torch.autograd.grad(back, weights, list(direction.values()), create_graph=keeps)
    return {name: one if keeps else one.detach() for name, one in zip(wanted, found, strict=True)}
