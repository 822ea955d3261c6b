"""Parts of a report that are pictures: geometry, data, models, images, illumination."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wavepipe.pipeline.quantities import with_unit
from wavepipe.pipeline.report.record import Record
from wavepipe.pipeline.report.section import Picture, Section, Table
from wavepipe.propagators.physics.names import UNITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wavepipe.pipeline.shots import Survey

GATHERS = 3
"""That are drawn."""


def geometry_section(record: Record, drawings: Path | None) -> Section:
    """Where sources and receivers are."""
    survey = record.survey
    places = np.unique(survey.receiver_positions, axis=0)
    n_places = int(np.isfinite(places).all(axis=1).sum())
    said = [
        f"{survey.n_shots} shots, {survey.n_traces} traces at {n_places} receiver positions, "
        f"{survey.nt} samples of {1e3 * survey.dt:g} ms ({', '.join(survey.components)})."
    ]
    axes = ("z", "x") if survey.ndim == 2 else ("z", "y", "x")
    rows = []
    for name, points in (("Sources", survey.source_positions), ("Receivers", places)):
        with_range = zip(axes, np.nanmin(points, axis=0), np.nanmax(points, axis=0), strict=True)
        spans = (f"{a:g} m" if a == b else f"{a:g} to {b:g} m" for _, a, b in with_range)
        rows.append((name, *spans))
    pictures = []
    if drawings is not None:
        from wavepipe.pipeline.figures import plot_geometry

        earth = record.earth
        if not np.isfinite(earth.vp).any():
            said.append("The earth model that the run began with is not to be had any more.")
        path = plot_geometry(drawings / "geometry.png", earth, survey)
        pictures.append(Picture.read(path, "Sources and receivers on the earth model"))
    return Section(
        "geometry", "Geometry", said, pictures, tables=[Table(("", *axes), rows, "Extent")]
    )


def data_section(record: Record, drawings: Path) -> Section:
    """Some gathers, and their amplitude spectra."""
    from wavepipe.pipeline.figures import plot_gather, plot_spectra

    pictures: list[Picture] = []
    spectra: dict[str, NDArray[Any]] = {}
    what = "modelled" if record.kind == "model" else "observed"
    for survey, shot, gather in _gathers(record):
        component, label = survey.components[0], survey.label(shot)
        title = f"Shot {label}, {component}, {what}"
        path = drawings / f"gather-{component}-{shot}.png"
        plot_gather(path, survey, shot, np.nan_to_num(gather), title=title)
        pictures.append(Picture.read(path, title))
        name = f"{component}, {what}"
        spectra[name] = np.concatenate([spectra[name], gather]) if name in spectra else gather
    if not pictures:
        return Section("data", "Data", ["No gather is complete yet."])
    spectra["wavelet"] = _wavelet(record)[None]
    path = drawings / "spectra.png"
    plot_spectra(path, record.survey.dt, spectra, _bands(record))
    pictures.append(Picture.read(path, "Amplitude spectra of these gathers and of the wavelet"))
    return Section("data", "Data", pictures=pictures)


def _gathers(record: Record) -> Iterator[tuple[Survey, int, NDArray[Any]]]:
    """Shots along the survey, or one shot of each component: as a survey of a component."""
    from wavepipe.pipeline.survey_components import one_component

    names = record.survey.components
    shots = _chosen(record)
    for name in names[:GATHERS]:
        survey = one_component(record.survey, name)
        for shot in shots if len(names) == 1 else shots[len(shots) // 2 :][:1]:
            yield survey, shot, _gather(record, survey, shot)


def _chosen(record: Record) -> list[int]:
    """First, middle and last of the shots whose gathers are there."""
    shots = np.arange(record.survey.n_shots)
    if record.kind == "model":
        done = record.array("status") == "done" if "status" in record.arrays else False
        shots = shots[np.broadcast_to(done, shots.shape)]
    if not len(shots):
        return []
    return sorted({int(shots[0]), int(shots[len(shots) // 2]), int(shots[-1])})


def _gather(record: Record, survey: Survey, shot: int) -> NDArray[Any]:
    if record.kind != "model":
        return survey.gather(shot)
    from wavepipe.pipeline.results_gathers import gather_name

    name = gather_name(survey.components[0], record.survey.components)
    return record.array(name, survey.traces(shot))


def _wavelet(record: Record) -> NDArray[Any]:
    from wavepipe.pipeline.job import make_wavelet

    job = record.job
    return make_wavelet(job.wavelet, record.survey.dt, record.survey.nt, job.folder)


def _bands(record: Record) -> dict[str, float]:
    """Upper ends of an inversion's stages, by name."""
    stages = (record.settings.get("fwi") or {}).get("stages", []) if record.kind == "fwi" else []
    return {
        f"stage {number}": float(stage["max_frequency"])
        for number, stage in enumerate(stages, 1)
        if "max_frequency" in stage
    }


def image_section(record: Record, drawings: Path) -> Section:
    """The image."""
    return _on_grid(record, drawings, "image", "Image", "No image has been written yet.")


def illumination_section(record: Record, drawings: Path) -> Section:
    """How well the image is lit."""
    nothing = "No illumination has been written yet."
    return _on_grid(record, drawings, "illumination", "Illumination", nothing)


def _on_grid(record: Record, drawings: Path, name: str, title: str, nothing: str) -> Section:
    from wavepipe.pipeline.figures import plot_image

    values = record.array(name) if name in record.arrays else np.full(1, np.nan)
    if not np.isfinite(values).any():
        return Section(name, title, [nothing])
    said = _not_finite(values, name)
    path = plot_image(drawings / f"{name}.png", values, record.earth, title=title)
    return Section(name, title, said, [Picture.read(path, title)], is_bad=bool(said))


def models_section(record: Record, drawings: Path) -> Section:
    """Start, last iteration and difference of each parameter that changes."""
    from wavepipe.pipeline.figures import plot_change, plot_model

    pictures: list[Picture] = []
    said: list[str] = []
    rows = []
    for name in [one for one in UNITS if one in record.arrays]:
        last = _last_iteration(record, name)
        if last is None:
            continue
        start, final = record.array(name, 0), record.array(name, last)
        said += _not_finite(final, name)
        change = final - start
        both = np.concatenate([start.ravel(), final.ravel()])
        limits = (float(np.nanmin(both)), float(np.nanmax(both)))
        for which, values in (("start", start), (f"iteration {last}", final)):
            title = f"{name}, {which}"
            path = drawings / f"{name}-{which}.png"
            plot_model(path, values, record.earth, name=name, title=title, limits=limits)
            pictures.append(Picture.read(path, title))
        title = f"{name}, iteration {last} minus start"
        path = plot_change(
            drawings / f"{name}-change.png", change, record.earth, name=name, title=title
        )
        pictures.append(Picture.read(path, title))
        numbers = (final, change)
        rows.append(
            (
                name,
                str(last),
                *(
                    with_unit(name, float(value), 4)
                    for one in numbers
                    for value in (np.nanmin(one), np.nanmax(one))
                ),
            )
        )
    if not pictures:
        return Section("models", "Earth models", ["No iteration has been written yet."])
    headings = ("Parameter", "Iteration", "Least", "Largest", "Least change", "Largest change")
    return Section("models", "Earth models", said, pictures, tables=[Table(headings, rows)])


def _last_iteration(record: Record, name: str) -> int | None:
    """The last one of which a parameter is known."""
    count = len(record.array("iteration"))
    known = (k for k in reversed(range(count)) if np.isfinite(record.array(name, k)).any())
    return next(known, None)


def _not_finite(values: NDArray[Any], name: str) -> list[str]:
    """What to say of NaN and infinities."""
    n = int(values.size - np.isfinite(values).sum())
    return [f"{n} of {values.size} values of {name} are not finite; they are left blank."] * bool(n)
