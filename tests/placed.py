"""The calls of a survey, made on another device: tensors go there and gathers come back."""

from collections.abc import Mapping
from typing import Any

import pytest
import random_surveys
import torch

from wavepipe.propagators.recording import Recording


def calls_on(device: torch.device, patch: pytest.MonkeyPatch) -> None:
    """Let surveys propagate there; whatever is asked of the compiled back-end is the device's."""
    propagate = random_surveys.propagate

    def elsewhere(
        physics: str, models: Mapping[str, torch.Tensor], *given: Any, **options: Any
    ) -> Recording:
        if options.get("backend") == "c":
            options["backend"] = "auto"
        for name in ("sources", "scatter"):
            options[name] = _moved(options.get(name), device)
        made = propagate(physics, _moved(models, device), *given, **options)
        energy = made.illumination
        return Recording(
            {name: one.cpu() for name, one in made.items()},
            made.info,
            None if energy is None else energy.cpu(),
        )

    patch.setattr(random_surveys, "propagate", elsewhere)


def _moved(values: Any, device: torch.device) -> Any:
    if isinstance(values, torch.Tensor):
        return values.to(device)
    if isinstance(values, Mapping):
        return {name: _moved(one, device) for name, one in values.items()}
    if isinstance(values, tuple):
        return tuple(_moved(one, device) for one in values)
    return values
