"""Figures of a run as PNG files: geometry, gather, image, earth model, convergence.

Axes are in km, depth and time run down, lengths are to scale, and every colour bar says what it
shows; where amplitudes are clipped, the figure says at what. matplotlib is imported when a figure
is drawn, without a display.
"""

from wavepipe.pipeline.figures.convergence import plot_convergence
from wavepipe.pipeline.figures.sections import plot_change, plot_image, plot_model
from wavepipe.pipeline.figures.survey import plot_gather, plot_geometry, plot_spectra

__all__ = [
    "plot_change",
    "plot_convergence",
    "plot_gather",
    "plot_geometry",
    "plot_image",
    "plot_model",
    "plot_spectra",
]
