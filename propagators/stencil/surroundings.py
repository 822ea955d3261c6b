"""What faces of the grid, and contacts within it, add to the derivatives of a page."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.stencil.contact_rows import contact_name, short_beside_contacts
from wavepipe.propagators.stencil.free_faces import Place, close, closure
from wavepipe.propagators.stencil.layers import Layer
from wavepipe.propagators.stencil.program import Box, Term, Update, is_empty


@dataclass(frozen=True, slots=True)
class Face:
    """One face of the grid: how thick its absorbing slab is, or that it is free."""

    slab: int = 0
    """Cells of the slab, the order/2 cells with zero profiles included; 0: no layer."""
    free: bool = False
    sponge: bool = False
    """Whether every field is damped in the slab as well."""


@dataclass
class Parts:
    """What a page has collected of its step."""

    fields: dict[str, Box] = field(default_factory=dict)
    halves: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Axes along which a field lies half a cell after the nodes."""
    ahead: set[str] = field(default_factory=set)
    """Fields half a time step before the others."""
    local: set[str] = field(default_factory=set)
    coefficients: dict[str, tuple[int, ...]] = field(default_factory=dict)
    profiles: dict[str, tuple[float, ...]] = field(default_factory=dict)
    updates: list[Update] = field(default_factory=list)
    vanishing: set[str] = field(default_factory=set)
    fading: set[str] = field(default_factory=set)
    solid: bool = False


class Surroundings:
    """Layers, free faces and contacts of a grid.

    Parameters
    ----------
    parts
        Where what they add is collected, but for the updates that are returned.
    shape, order, spacing, faces, contacts
        See `Page`.
    """

    def __init__(
        self,
        parts: Parts,
        shape: tuple[int, ...],
        order: int,
        spacing: tuple[float, ...],
        faces: tuple[tuple[Face, Face], ...],
        contacts: tuple[int, int] | None,
    ) -> None:
        self._parts, self._shape, self._order, self._spacing = parts, shape, order, spacing
        self._faces, self._contacts = faces, contacts
        self._letters = [axis_name(axis, len(shape)) for axis in range(len(shape))]
        self._layers = [
            Layer(axis, side, face.slab, f"{self._letters[axis]}{side}", order, spacing)
            for axis, sides in enumerate(faces)
            for side, face in enumerate(sides)
            if face.slab
        ]

    def closed(self, derivative: Update, axis: int, second: bool) -> list[Update]:
        """What rows near the free faces of an axis add to a derivative."""
        half = axis in self._parts.halves[derivative.terms[0].field]
        updates = []
        for side, face in enumerate(self._faces[axis]):
            weights = closure(self._order, second=second, half=half, solid=self._parts.solid)
            if face.free and weights:
                name = f"free_{self._letters[axis]}{side}{'h' if half else ''}"
                place = Place(axis, side, self._shape[axis], self._spacing[axis], half, second)
                found = close(derivative, weights, place, name)
                self._parts.coefficients |= dict.fromkeys(found.profiles, (axis,))
                self._parts.profiles |= found.profiles
                updates.append(found.update)
        return [u for u in updates if not is_empty(u.box)]

    def absorbed(self, target: str, term: Term, axis: int, second: bool) -> list[Update]:
        """The corrections of the layers to a derivative; their memories are updated at once."""
        corrections = []
        box = self._parts.fields[target]
        for layer in (one for one in self._layers if one.axis == axis):
            if second:
                found = layer.absorb_second(target, term, box, self._parts.fields[term.field])
            else:
                half = axis not in self._parts.halves[term.field]  # the field's derivative, then
                found = layer.absorb_first(target, term, box, half=half)
            if found.memories.keys() & self._parts.fields.keys():
                raise ValueError(
                    f"the derivative behind {', '.join(found.memories)} is taken twice: name it "
                    "once with `local`"
                )
            self._parts.fields |= found.memories
            self._parts.vanishing |= found.memories.keys()
            self._parts.coefficients |= dict.fromkeys(found.profiles, (axis,))
            self._parts.updates += found.before
            self._parts.updates += self.shortened(found.before, axis)
            corrections.append(found.correction)
        return corrections

    def shortened(self, derivatives: Sequence[Update], axis: int) -> list[Update]:
        """What makes derivatives along `axis` from and to points of shear short at contacts."""
        updates: list[Update] = []
        if not self._parts.solid or self._contacts is None:
            return updates
        for one in derivatives:
            read = set(self._parts.halves[one.terms[0].field])
            shear = max(read, read ^ {axis}, key=len)
            if len(shear) == 2:
                name = contact_name(sorted(shear), len(self._shape))
                self._parts.coefficients[name] = tuple(range(len(self._shape)))
                self._parts.fading.add(name)
                h, at_read = self._spacing[axis], shear == read
                updates.append(short_beside_contacts(one, name, self._contacts, h, read=at_read))
        return [u for u in updates if not is_empty(u.box)]

    def soaked(self) -> list[Update]:
        """The updates, and after those of the fields ahead, and of the others, their damping."""
        lasting = self._parts.fields.keys() - self._parts.vanishing - self._parts.local
        ahead = [i for i, u in enumerate(self._parts.updates) if u.target in self._parts.ahead]
        middle = max(ahead) + 1 if ahead else 0
        return [
            *self._parts.updates[:middle],
            *self._soak(sorted(lasting & self._parts.ahead)),
            *self._parts.updates[middle:],
            *self._soak(sorted(lasting - self._parts.ahead)),
        ]

    def _soak(self, names: Sequence[str]) -> list[Update]:
        """Damp fields in the slabs that are sponges, face by face: one loop for all of them."""
        updates = []
        for layer in self._layers:
            if self._faces[layer.axis][layer.side].sponge:
                self._parts.coefficients[layer.damping] = (layer.axis,)
                updates += [layer.damp(name, self._parts.fields[name]) for name in names]
        return updates
