"""What all figures share: style, size, colours, and that a file appears when it is complete."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

KM = 1e-3
MODEL_COLOURS = "viridis"
AMPLITUDE_COLOURS = "gray"

_DPI = 130
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
}


def range_of(values: NDArray[Any]) -> tuple[float, float]:
    """Range of the colours: of the finite values, or a twentieth to either side of a single one."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    margin = 0.0 if high > low else 0.05 * abs(low) or 1.0
    return low - margin, high + margin


def clip_of(values: NDArray[np.float64], percentile: float) -> float:
    """Amplitude that `percentile` of the non-zero samples stay below; 1 if all are zero."""
    amplitudes = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(np.percentile(amplitudes, percentile)) if amplitudes.size else 1.0


@contextmanager
def canvas(
    path: Path,
    size: tuple[float, float],
    layout: Literal["compressed", "constrained"] = "compressed",
) -> Iterator[Figure]:
    """A figure that is saved, all or nothing, when the block ends."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout=layout)
        FigureCanvasAgg(figure)
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.stem}.partial.png")
        figure.savefig(partial, dpi=_DPI)
        partial.replace(path)
