"""Describe a SEG-Y file: what it holds, and every assumption made to read it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.quantities import describe_component
from wavepipe.pipeline.segy.file_format import SegyFile, open_segy
from wavepipe.pipeline.segy.geometry import Depths, length_factor
from wavepipe.pipeline.segy.headers import DEAD_TRACE_KINDS, STANDARD_SCALARS, apply_scalar
from wavepipe.pipeline.segy.index import scan_headers
from wavepipe.pipeline.segy.line import choose_line
from wavepipe.pipeline.segy.reader import read_traces, uses_segyio
from wavepipe.pipeline.segy.text_header import read_text
from wavepipe.pipeline.shots import Survey

_STACK_FIELDS = ("inline", "crossline", "cdp", "cdp_x", "cdp_y", "coordinate_scalar", "trace_kind")
_DEPTH_FIELDS = ("delay", "time_scalar")
_SAMPLED_TRACES = 64

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


def inspect_segy(
    path: str | Path, *, depths: Depths = "auto", units: str | None = None
) -> dict[str, Json]:
    """Describe a SEG-Y file.

    Parameters
    ----------
    path : path
    depths, units
        As for `read_survey`, to see what they change.

    Returns
    -------
    dict
        Plain values, ready for JSON. `survey` is None, with `survey_problem` saying why, where the
        headers give no geometry (a stacked section without coordinates, say). A file in depth has
        `dz` (m) and `section` instead of `dt` (s), `survey` and `survey_problem`.

    Raises
    ------
    SegyError
        The file is missing, empty, cut before its first trace, or not SEG-Y.
    """
    from wavepipe.pipeline.survey import read_survey

    file = open_segy(path)
    text, encoding = read_text(file)
    in_depth = any("DEPTH domain" in line for line in text)
    described: dict[str, Json] = {
        "path": str(path),
        "bytes": file.size,
        **_describe_layout(file),
        **(_depth_step(file) if in_depth else _interval(file)),
        "domain": "depth" if in_depth else "time",
        "text_encoding": encoding,
        "text_header": list(text),
        "samples": _describe_samples(file),
        "stack": _describe_stack(file),
    }
    assumptions = list(file.assumptions)
    if in_depth:
        assumptions.append("depth, because the text header says 'DEPTH domain'")
        return {**described, "section": _describe_section(file), "assumptions": list(assumptions)}
    problem: str | None = None
    survey: Survey | None = None
    try:
        survey = read_survey(
            path, ndim=3, depths=depths, units=units, dt=None if file.dt > 0 else 1e-3
        )
    except SurveyError as error:
        problem = str(error)
    if survey is not None:
        invented = "sample interval 0.001 s, as asked"
        assumptions += [
            note for note in survey.assumptions if note not in assumptions and note != invented
        ]
        points = np.concatenate([survey.source_positions, survey.receiver_positions])
        choose_line(points[:, :0:-1], 2, None, None, assumptions)
    described["survey"] = None if survey is None else _describe_survey(survey)
    described["survey_problem"] = problem
    described["assumptions"] = list(assumptions)
    return described


def _describe_layout(file: SegyFile) -> dict[str, Json]:
    return {
        "reader": "segyio" if uses_segyio(file) else "raw bytes",
        "byte_order": "big-endian" if file.byte_order == ">" else "little-endian",
        "revision": f"{file.revision[0]}.{file.revision[1]}",
        "format_code": file.format.code,
        "format": file.format.name,
        "extended_text_headers": file.n_extended_text,
        "n_traces": file.n_traces,
        "n_samples": file.n_samples,
        "length_unit": {1: "m", 2: "ft"}.get(file.measurement_system, "not said"),
    }


def _interval(file: SegyFile) -> dict[str, Json]:
    """Sample interval in s."""
    return {
        "dt": file.dt or None,
        "dt_binary_header": file.dt_binary,
        "dt_trace_header": file.dt_trace,
    }


def _depth_step(file: SegyFile) -> dict[str, Json]:
    """Depth step in m: the interval field holds 1000 times the step, as if it were microseconds."""
    return {"dz": float(f"{1e3 * _length(file) * file.dt:.9g}") or None}


def _length(file: SegyFile) -> float:
    """The file's unit of length in m."""
    return length_factor(file.measurement_system, None, [])


def _describe_section(file: SegyFile) -> dict[str, Json]:
    """Shape and depths of an image or an earth model."""
    headers = scan_headers(file, (*_STACK_FIELDS, *_DEPTH_FIELDS))
    unit = _length(file)
    scale = np.where(np.isin(np.abs(headers["time_scalar"]), STANDARD_SCALARS), 1, 0)
    tops = apply_scalar(headers["delay"], scale * headers["time_scalar"])
    top = unit * float(tops[0])
    n_inlines = len(np.unique(headers["inline"]))
    return {
        "kind": "volume" if n_inlines > 1 else "section",
        "n_inlines": n_inlines,
        "n_crosslines": len(np.unique(headers["crossline"])),
        "n_depths": file.n_samples,
        "depth": [top, top + 1e3 * unit * file.dt * (file.n_samples - 1)],
    }


def _describe_samples(file: SegyFile) -> dict[str, Json]:
    """Amplitudes of a few traces spread over the file."""
    numbers = np.unique(np.linspace(0, file.n_traces - 1, _SAMPLED_TRACES).astype(np.int64))
    traces = read_traces(file, numbers)
    finite = np.isfinite(traces)
    values = np.where(finite, traces, 0.0).astype(np.float64)
    return {
        "traces_read": len(numbers),
        "smallest": float(values.min()),
        "largest": float(values.max()),
        "rms": float(np.sqrt(np.mean(values**2))),
        "not_finite": int(np.sum(~finite)),
        "traces_all_zero": int(np.sum(finite.all(axis=1) & ~values.any(axis=1))),
    }


def _describe_stack(file: SegyFile) -> dict[str, Json]:
    headers = scan_headers(file, _STACK_FIELDS)
    ranges: dict[str, Json] = {
        name: _span(headers[name]) for name in ("inline", "crossline", "cdp")
    }
    for name in ("cdp_x", "cdp_y"):
        ranges[name] = _span(apply_scalar(headers[name], headers["coordinate_scalar"]))
    ranges["n_inlines"] = len(np.unique(headers["inline"]))
    ranges["n_crosslines"] = len(np.unique(headers["crossline"]))
    ranges["n_cdps"] = len(np.unique(headers["cdp"]))
    ranges["dead_traces"] = int(np.isin(headers["trace_kind"], DEAD_TRACE_KINDS).sum())
    return ranges


def _describe_survey(survey: Survey) -> dict[str, Json]:
    counts = np.diff(survey.first_trace)
    steps = [
        step
        for step in (_receiver_step(survey, i) for i in range(min(survey.n_shots, 100)))
        if step > 0
    ]
    return {
        "n_shots": survey.n_shots,
        "traces_per_shot": [int(counts.min()), int(counts.max())],
        "components": list(survey.components),
        "field_records": _span(survey.labels[:, 0]),
        "source_points": _span(survey.labels[:, 1]),
        "source": _axes(survey.source_positions),
        "receiver": _axes(survey.receiver_positions),
        "receiver_step": float(f"{np.median(steps):.6g}") if steps else None,
        "offset": _span(_offsets(survey)),
        "record_length": (survey.nt - 1) * survey.dt,
        "dead_traces": int(np.sum(~survey.live)),
        "delay": _span(survey.delay),
    }


def _offsets(survey: Survey) -> NDArray[np.float64]:
    source = np.repeat(survey.source_positions, np.diff(survey.first_trace), axis=0)
    return np.asarray(np.linalg.norm((survey.receiver_positions - source)[:, 1:], axis=1))


def _receiver_step(survey: Survey, i: int) -> float:
    """Median distance between neighbouring receivers of a shot, m."""
    receivers = survey.receiver_positions[survey.traces(i)][:, 1:]
    steps = np.linalg.norm(np.diff(receivers, axis=0), axis=1)
    return float(np.median(steps)) if len(steps) else 0.0


def _axes(positions: NDArray[np.float64]) -> dict[str, Json]:
    names = {"depth": 0, "x": -1, "y": 1}
    return {name: _span(positions[:, axis]) for name, axis in names.items()}


def _span(values: NDArray[np.generic]) -> Json:
    low, high = values.min().item(), values.max().item()
    return [low, high]


def describe(found: dict[str, Json]) -> str:
    """Format what `inspect_segy` found as text for a terminal."""
    if found["domain"] == "depth":
        dz = found["dz"]
        interval = "unknown step" if dz is None else f"every {_float(dz):g} m"
    else:
        dt = found["dt"]
        interval = "unknown interval" if dt is None else f"every {1000 * _float(dt):g} ms"
    lines = [
        f"{found['path']}",
        f"  SEG-Y revision {found['revision']}, {found['byte_order']}, {found['format']} "
        f"(format {found['format_code']}), {found['bytes']} bytes, read through {found['reader']}",
        f"  {_counted(found['n_traces'], 'trace')} of {_counted(found['n_samples'], 'sample')}, "
        f"{interval}",
        *_survey_lines(found),
        *_stack_lines(found),
        *_sample_lines(found),
        *_text_lines(found),
        "  assumed:",
    ]
    assumptions = found["assumptions"]
    if isinstance(assumptions, list) and assumptions:
        lines += [f"    - {sentence}" for sentence in assumptions]
    else:
        lines.append("    nothing")
    return "\n".join(lines)


def _survey_lines(found: dict[str, Json]) -> list[str]:
    section = found.get("section")
    if isinstance(section, dict):
        return [
            f"  depth {section['kind']} of {_counted(section['n_inlines'], 'inline')} and "
            f"{_counted(section['n_crosslines'], 'crossline')}, depth {_words(section['depth'])} m"
        ]
    survey = found["survey"]
    if not isinstance(survey, dict):
        return [f"  no survey: {found['survey_problem']}"]
    source, receiver = survey["source"], survey["receiver"]
    if not isinstance(source, dict) or not isinstance(receiver, dict):
        return []
    step, recorded = survey["receiver_step"], survey["components"]
    names = recorded if isinstance(recorded, list) else []
    spacing = f", {_float(step):g} m apart" if step else ""
    lines = [
        f"  {_counted(survey['n_shots'], 'shot')} of {_words(survey['traces_per_shot'])} traces, "
        f"field records {_words(survey['field_records'])}, source points "
        f"{_words(survey['source_points'])}",
        f"  records   {', '.join(describe_component(str(name)) for name in names)}",
        f"  sources   x {_words(source['x'])} m, y {_words(source['y'])} m, depth "
        f"{_words(source['depth'])} m",
        f"  receivers x {_words(receiver['x'])} m, y {_words(receiver['y'])} m, depth "
        f"{_words(receiver['depth'])} m{spacing}",
        f"  offsets {_words(survey['offset'])} m, {survey['dead_traces']} traces marked dead",
    ]
    if survey["delay"] != [0.0, 0.0]:
        lines.append(f"  first sample {_words(survey['delay'])} s after the shot")
    return lines


def _stack_lines(found: dict[str, Json]) -> list[str]:
    stack = found["stack"]
    if not isinstance(stack, dict):
        return []
    parts = [
        f"{stack[f'n_{name}s']} {name}s ({_words(stack[name])})"
        for name in ("inline", "crossline", "cdp")
        if _float(stack[f"n_{name}s"]) > 1
    ]
    parts += [
        f"CDP {axis.upper()} {_words(stack[f'cdp_{axis}'])}"
        for axis in "xy"
        if stack[f"cdp_{axis}"] != [0.0, 0.0]
    ]
    return ["  " + ", ".join(parts).replace("cdp", "CDP")] if parts else []


def _sample_lines(found: dict[str, Json]) -> list[str]:
    samples = found["samples"]
    if not isinstance(samples, dict):
        return []
    text = (
        f"  amplitudes {_float(samples['smallest']):.4g} to {_float(samples['largest']):.4g}, "
        f"rms {_float(samples['rms']):.4g} (in {samples['traces_read']} traces)"
    )
    for name, words in (
        ("traces_all_zero", "traces all zero"),
        ("not_finite", "samples not finite"),
    ):
        if samples[name]:
            text += f", {samples[name]} {words}"
    return [text]


def _text_lines(found: dict[str, Json]) -> list[str]:
    text = found["text_header"]
    filled = [str(line) for line in text if str(line)[3:].strip()] if isinstance(text, list) else []
    count = found["extended_text_headers"]
    extended = f", {count} extended text headers" if count else ""
    lines = [f"  text header: {found['text_encoding']}{extended}"]
    return lines + [f"    {line}" for line in filled[:12]]


def _counted(number: Json, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _words(span: Json) -> str:
    if not isinstance(span, list):
        return str(span)
    low, high = _float(span[0]), _float(span[1])
    return f"{low:.10g}" if low == high else f"{low:.10g} to {high:.10g}"


def _float(value: Json) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")
