"""What happens at the faces of the grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavepipe.propagators.axes import face_names
from wavepipe.propagators.errors import OptionError


@dataclass(frozen=True, slots=True)
class Boundary:
    """Absorbing layers and free surfaces, face by face.

    Faces are named ``z0 z1 y0 y1 x0 x1``: the low and the high side of each axis.
    """

    pml_width: int | Sequence[int] = 20
    """Thickness of the absorbing layers in cells: one for all faces or one per face, in the
    order z0, z1, (y0, y1,) x0, x1. A free surface has none. Any other face of width 0 reflects: it
    is rigid half a cell beyond the outermost nodes, without friction in a solid; of the scalar
    equation, pressure is zero one cell beyond them."""
    pml_frequency: float | None = None
    """Hz; dominant frequency the layers are tuned to. None: the peak of the source spectrum."""
    free_surface: Sequence[str] = ()
    """Faces on which the pressure is zero, on the model's own outermost nodes."""
    inside: Sequence[str] = ()
    """Faces whose layer lies in the model's own outermost cells instead of beyond them, as in a
    window cut from a larger model. Points in it are damped, and a warning says so."""
    sponge: tuple[float, float] | None = None
    """Damping of every field in the layers: its strength at the outer edge relative to what they do
    across themselves, and the power of its profile. None: what a solid needs lest its layers grow
    (see `sponges`), and none in other media."""

    def widths(self, ndim: int) -> tuple[tuple[int, int], ...]:
        """Layer thickness (low, high) per axis, cells.

        Raises
        ------
        OptionError
            A face that does not exist, a negative width, or a wrong number of them.
        """
        names = face_names(ndim)
        for option in ("free_surface", "inside"):
            faces = getattr(self, option)
            if isinstance(faces, str) or faces is None:
                raise OptionError(f"{option} is {faces!r}; pass a list of faces, such as ['z0'].")
            for face in faces:
                if face not in names:
                    raise OptionError(
                        f"{option} names face {face!r}; a {ndim}-D model has {', '.join(names)}."
                    )
        both = set(self.free_surface) & set(self.inside)
        if both:
            raise OptionError(f"{both.pop()} is both in free_surface and in inside; choose one.")
        frequency = self.pml_frequency
        if frequency is not None and not 0 <= frequency < float("inf"):
            raise OptionError(f"pml_frequency is {frequency} Hz; it must be 0 or more, or None.")
        given = [float(width) for width in np.atleast_1d(self.pml_width)]
        if len(given) not in (1, len(names)):
            raise OptionError(
                f"pml_width has {len(given)} values; pass one, or one for each of {names}."
            )
        if self.sponge is not None:
            strength, power = self.sponge
            if not (0 <= strength <= 1 and 1 <= power <= 100):
                raise OptionError(
                    f"sponge is {self.sponge}; its strength is 0 to 1, its power 1 to 100."
                )
        if any(not (w >= 0 and w == round(w)) for w in given):
            raise OptionError(f"pml_width is {self.pml_width}; widths are whole cells, 0 or more.")
        widths = given * len(names) if len(given) == 1 else given
        free = [0 if n in self.free_surface else int(w) for n, w in zip(names, widths, strict=True)]
        return tuple(zip(free[::2], free[1::2], strict=True))

    def margins(self, ndim: int) -> tuple[tuple[int, int], ...]:
        """Cells by which the grid goes beyond the model, (low, high) per axis."""
        names = face_names(ndim)
        return tuple(
            (
                0 if names[2 * axis] in self.inside else low,
                0 if names[2 * axis + 1] in self.inside else high,
            )
            for axis, (low, high) in enumerate(self.widths(ndim))
        )

    def is_free(self, axis: int, side: int, ndim: int) -> bool:
        """Whether a face is a free surface."""
        return face_names(ndim)[2 * axis + side] in self.free_surface
