"""Every physics: its page, and what a call must know of it beyond its equations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from wavepipe.propagators.earth_models import judge_solid, judge_vti
from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.medium import Medium
from wavepipe.propagators.physics import acoustic, acoustic_vti, elastic, scalar, viscoacoustic
from wavepipe.propagators.physics.names import PARAMETERS
from wavepipe.propagators.stencil.page import Page
from wavepipe.propagators.stencil.program import Port
from wavepipe.propagators.stencil.surroundings import Face
from wavepipe.propagators.time_resampling import Shifts

Models = Mapping[str, Tensor]


@dataclass(frozen=True)
class Physics:
    """One wave equation."""

    name: str
    page: Callable[[Page], None]
    coefficients: Callable[[Medium], dict[str, Tensor]]
    """Arrays that the page declares, from the earth model."""
    illuminated: tuple[str, ...]
    """Coefficients whose sums make the source illumination; those of an axis end in {a}{a}."""
    staggered: bool = True
    """First order in space and time, on the staggered grid."""
    lossy: bool = False
    """Waves lose energy: their steps are short instead of corrected, and cannot be taken back."""
    judge: Callable[[Models], None] = lambda _: None
    """Refuses earth models, each (n_shots or 1, *shape), that cannot be propagated."""
    fastest: Callable[[Models], Tensor] = lambda models: models["vp"]
    """Velocity of the fastest wave at any frequency, in any direction, m/s."""
    slowest: Callable[[Models], Tensor] = lambda models: models["vp"]
    """Velocity of the slowest compressional wave that sources send out, in any direction, m/s."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the earth model, in the order of the call."""
        return PARAMETERS[self.name]

    @property
    def solid(self) -> bool:
        """Whether it has shear waves."""
        return "vs" in self.parameters

    def depending_on(
        self, parameters: tuple[str, ...], free: tuple[tuple[bool, bool], ...]
    ) -> tuple[str, ...]:
        """Coefficients that change with some parameters, on a grid with some free faces."""
        return _depending_on(self, parameters, free)

    def repeated(self, free: tuple[tuple[bool, bool], ...]) -> frozenset[str]:
        """Coefficients that are another one's tensor, on a grid with some free faces."""
        return _repeated(self, free)

    def chain(self, parameters: tuple[str, ...], free: tuple[tuple[bool, bool], ...]) -> float:
        """Grids that torch keeps of coefficients and of what gradients of some parameters need."""
        return _chain(self, parameters, free)

    def shifts(
        self,
        ndim: int,
        sources: Sequence[str] | None = None,
        receivers: Sequence[str] | None = None,
    ) -> Shifts:
        """When in a step some sources enter and receivers read; all there are if None."""
        return _shifts(
            self,
            ndim,
            None if sources is None else tuple(sources),
            None if receivers is None else tuple(receivers),
        )


PHYSICS = {
    "scalar": Physics("scalar", scalar.scalar, scalar.coefficients, ("c2",), staggered=False),
    "acoustic": Physics("acoustic", acoustic.acoustic, acoustic.coefficients, ("K",)),
    "elastic": Physics(
        "elastic",
        elastic.elastic,
        elastic.coefficients,
        ("c_zz", "c_yy", "c_xx"),
        judge=lambda models: judge_solid(models["vp"], models["vs"]),
    ),
    "acoustic_vti": Physics(
        "acoustic_vti",
        acoustic_vti.acoustic_vti,
        acoustic_vti.coefficients,
        ("bulk", "along"),
        judge=lambda models: judge_vti(models["epsilon"], models["delta"]),
        fastest=acoustic_vti.fastest_velocity,
        slowest=acoustic_vti.slowest_velocity,
    ),
    "viscoacoustic": Physics(
        "viscoacoustic",
        viscoacoustic.viscoacoustic,
        viscoacoustic.coefficients,
        ("bulk",),
        lossy=True,
        fastest=viscoacoustic.unrelaxed_velocity,
    ),
}


def known_physics(name: str) -> Physics:
    """The physics of a name; an OptionError lists those there are."""
    if name not in PHYSICS:
        raise OptionError(f"physics {name!r} does not exist; use {', '.join(PHYSICS)}.")
    return PHYSICS[name]


@cache
def _depending_on(
    physics: Physics, parameters: tuple[str, ...], free: tuple[tuple[bool, bool], ...]
) -> tuple[str, ...]:
    found = _on_small_grid(physics, parameters, free)
    return tuple(name for name, array in found.items() if array.requires_grad)


@cache
def _repeated(physics: Physics, free: tuple[tuple[bool, bool], ...]) -> frozenset[str]:
    found = _on_small_grid(physics, (), free)
    first = {array.data_ptr(): name for name, array in reversed(found.items())}
    return frozenset(found) - set(first.values())


@cache
def _chain(
    physics: Physics, parameters: tuple[str, ...], free: tuple[tuple[bool, bool], ...]
) -> float:
    kept = dict[int, int]()

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes() // tensor.element_size()
        held.append(tensor)  # so that no other takes its place
        return tensor

    held = list[Tensor]()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = _on_small_grid(physics, parameters, free)
    for array in found.values():
        keep(array)
    cells: int = _CELLS ** len(free)
    return sum(kept.values()) / cells


_CELLS = 8
"""Along each axis of a small grid."""


def _on_small_grid(
    physics: Physics, parameters: tuple[str, ...], free: tuple[tuple[bool, bool], ...]
) -> dict[str, Tensor]:
    """Coefficients, with gradients in some parameters; their values mean nothing."""
    with torch.enable_grad():
        models = {
            name: torch.ones((1, *(_CELLS,) * len(free)), requires_grad=name in parameters)
            for name in physics.parameters
        }
        return physics.coefficients(Medium(models, 1.0, free))


@cache
def _shifts(
    physics: Physics,
    ndim: int,
    sources: tuple[str, ...] | None,
    receivers: tuple[str, ...] | None,
) -> Shifts:
    page = Page((4,) * ndim, 2, (1.0,) * ndim, ((Face(), Face()),) * ndim)
    physics.page(page)
    program = page.program()
    found = [
        sorted({port.shift for port in ports if names is None or _named(port, names)})
        for ports, names in ((program.inputs, sources), (program.outputs, receivers))
    ]
    return Shifts(*map(tuple, found))


def _named(port: Port, names: tuple[str, ...]) -> bool:
    """Whether a port is one of some names; those of a moment are one for each component."""
    return port.name in names or ("moment" in names and port.name.startswith("moment_"))
