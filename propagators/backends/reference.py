"""The reference back-end: a program interpreted with torch operations.

It is the definition the compiled back-ends are tested against, on any device and dtype. `step`
is free of side effects, so torch differentiates through it: that checks the transforms.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from wavepipe.propagators.backends.sweep import (
    History,
    Memory,
    Points,
    Sweep,
    SweepResult,
    as_tensor,
)
from wavepipe.propagators.stencil.program import (
    Box,
    Monomial,
    Offset,
    Port,
    Program,
    Swap,
    Term,
    Update,
    lasting,
)

State = dict[str, Tensor]
"""Field -> (n_shots, *shape); zero outside the field's box."""


class Reference:
    """Plain torch; slow, obvious, and right by inspection."""

    name = "reference"
    card = None

    def padded(self, cells: int) -> int:
        """A history slot holds the grid and nothing else."""
        return cells

    def run(self, sweep: Sweep) -> SweepResult:
        """All steps of a sweep."""
        execution = self.start(sweep)
        execution.advance(0, sweep.n_steps)
        return execution.result()

    def start(self, sweep: Sweep) -> "ReferenceExecution":
        """A sweep in front of its first step."""
        return ReferenceExecution(sweep)

    def state_bytes(self, sweep: Sweep) -> int:
        """Lasting fields on the whole grid."""
        cells = int(np.prod(sweep.program.shape))
        return len(lasting(sweep.programs)) * sweep.n_shots * cells * sweep.dtype.itemsize


class ReferenceExecution:
    """A sweep as a dictionary of tensors, which every step replaces."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        program = sweep.sampled or sweep.program
        shape = (sweep.n_shots, *program.shape)
        zeros = torch.zeros(shape, dtype=sweep.dtype, device=sweep.device)
        self._state = dict.fromkeys({**sweep.program.fields, **program.fields}, zeros)
        self._state |= sweep.initial
        self._recorded: dict[str, dict[int, Tensor]] = {name: {} for name in sweep.outputs}

    def advance(self, begin: int, end: int, history: History | None = None) -> None:
        """See `Execution`."""
        times = self._sweep.times(begin, end)
        history = history or self._sweep.history
        if history is not None and self._sweep.sampled is not None:
            history.check(times)
        for t in reversed(times) if self._sweep.backwards else times:
            values, self._state = _advanced(self._sweep, history, self._state, t)
            for name, rows in self._recorded.items():
                rows[t] = values[name]

    @property
    def state_bytes(self) -> int:
        """Lasting fields on the whole grid."""
        return sum(self._state[name].nbytes for name in lasting(self._sweep.programs))

    def save(self, memory: Memory) -> None:
        """See `Execution`."""
        fields = [self._state[name].reshape(-1) for name in lasting(self._sweep.programs)]
        as_tensor(memory).copy_(torch.cat(fields).detach().view(torch.uint8))

    def restore(self, memory: Memory | None, step: int) -> None:
        """See `Execution`."""
        del step
        start = 0
        for name in lasting(self._sweep.programs):
            like = self._state[name]
            if memory is None:
                self._state[name] = torch.zeros_like(like)
                continue
            part = as_tensor(memory)[start : start + like.nbytes].view(like.dtype)
            self._state[name] = part.to(like.device, copy=True).reshape(like.shape)
            start += like.nbytes

    def result(self) -> SweepResult:
        """See `Execution`."""
        return SweepResult(
            {
                name: torch.stack([rows[t] for t in range(self._sweep.n_steps)])
                for name, rows in self._recorded.items()
            },
            {name: self._state[name] for name in self._sweep.results},
        )


def _advanced(sweep: Sweep, history: History | None, state: State, t: int) -> tuple[State, State]:
    """What is read in step `t`, by port, and the state after it."""
    coefficients = dict(sweep.coefficients)
    program, slots = sweep.program, dict[str, Tensor]()
    if history is not None and sweep.sampled is not None and t % history.stride == 0:
        program, width = sweep.sampled, sweep.program.shape[-1]
        slot = t // history.stride - history.first
        slots = {n: a[:, slot, ..., :width] for n, a in history.slots.items()}
        coefficients |= {n: a for n, a in slots.items() if n in program.coefficients}
    strips = _strips(history, program, t) if history is not None else {}
    if sweep.backwards:
        state = _loaded(program, state, strips)
    inner, outer = (tuple(p for p in program.inputs if p.inner is x) for x in (True, False))
    read = _read(sweep, state, inner=False)
    state = inject(program, inner, sweep, state, coefficients, t)
    state = swapped(state, program.swaps_before)
    state = step(program, state, coefficients)
    state = swapped(state, program.swaps_after)
    read |= _read(sweep, state, inner=True)
    state = inject(program, outer, sweep, state, coefficients, t)
    written = {n: a for n, a in slots.items() if n in program.fields}
    ports = tuple(p for p in program.sum_inputs if p.field in written)
    stored = inject(program, ports, sweep, state, coefficients, t)
    for name, values in written.items():
        cells = _cells(program.fields[name])
        values[cells] = stored[name][cells]
    if not sweep.backwards:
        for name, values in strips.items():
            values.copy_(state[name][_cells(program.fields[name])])
    return read, state


def _strips(history: History, program: Program, t: int) -> dict[str, Tensor]:
    """Strips of step `t`, each (n_shots, *cells)."""
    first = history.first * history.stride
    return {n: a[:, t - first] for n, a in history.strips.items() if n in program.strips}


def _loaded(program: Program, state: State, strips: Mapping[str, Tensor]) -> State:
    """The state with what strips hold."""
    loaded = {name: state[name].clone() for name in strips}
    for name, values in strips.items():
        loaded[name][_cells(program.fields[name])] = values
    return state | loaded


def _cells(box: Box) -> tuple[slice, ...]:
    """A box of all shots."""
    return (slice(None), *(slice(lo, hi) for lo, hi in box))


def step(program: Program, state: State, coefficients: Mapping[str, Tensor]) -> State:
    """The updates of one step, on new tensors."""
    state = dict(state)
    for update in program.updates:
        state[update.target] = _updated(program, update, state, coefficients)
    return state


def swapped(state: State, swaps: tuple[Swap, ...]) -> State:
    """The state with fields exchanged."""
    state = dict(state)
    for a, b in swaps:
        state[a], state[b] = state[b], state[a]
    return state


def inject(
    program: Program,
    ports: tuple[Port, ...],
    sweep: Sweep,
    state: State,
    coefficients: Mapping[str, Tensor],
    t: int,
) -> State:
    """Amplitudes of step `t` added at their points."""
    state = dict(state)
    for port in ports:
        injection = sweep.inputs[port.name]
        shots, cells, weights, points = _entries(injection.points, sweep)
        values = port.scale * weights * injection.amplitudes[t, points]
        values = values * _factors(program, port.factors, coefficients, (shots, *cells))
        state[port.field] = state[port.field].index_put((shots, *cells), values, accumulate=True)
    return state


def _read(sweep: Sweep, state: State, *, inner: bool) -> dict[str, Tensor]:
    program = sweep.program
    read: dict[str, Tensor] = {}
    for port in program.outputs:
        if port.inner is not inner:
            continue
        points = sweep.outputs[port.name]
        shots, cells, weights, owners = _entries(points, sweep)
        values = port.scale * weights * state[port.field][(shots, *cells)]
        values = values * _factors(program, port.factors, sweep.coefficients, (shots, *cells))
        zeros = torch.zeros(points.count, dtype=sweep.dtype, device=values.device)
        read[port.name] = read.get(port.name, zeros) + zeros.index_add(0, owners, values)
    return read


def _entries(points: Points, sweep: Sweep) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
    """Shot, grid indices, weight and point of every entry."""
    device = sweep.device
    owners = np.repeat(np.arange(points.count), np.diff(points.rowptr))
    shots = np.searchsorted(points.first, owners, side="right") - 1
    cells = [torch.as_tensor(c, device=device, dtype=torch.long) for c in points.cells.T]
    return (
        torch.as_tensor(shots, device=device),
        cells,
        torch.as_tensor(points.weights, dtype=sweep.dtype, device=device),
        torch.as_tensor(owners, device=device),
    )


def _factors(
    program: Program,
    factors: Monomial,
    coefficients: Mapping[str, Tensor],
    index: tuple[Tensor, ...],
) -> Tensor | float:
    value: Tensor | float = 1.0
    for name, power in factors:
        array = coefficients[name].expand(-1, *program.shape)
        shots = index[0] if array.shape[0] > 1 else torch.zeros_like(index[0])
        value = value * array[(shots, *index[1:])] ** power
    return value


def _updated(
    program: Program, update: Update, state: State, coefficients: Mapping[str, Tensor]
) -> Tensor:
    here = (0,) * program.ndim
    total: Tensor | float = 0.0
    if update.keep.number:
        total = _window(program, state[update.target], update.box, here) * update.keep.number
        total = total * _monomial(program, update.keep.factors, update.box, here, coefficients)
    for term in update.terms:
        total = total + _term(program, term, update.box, state, coefficients)
    target = state[update.target].clone()
    target[(slice(None), *(slice(lo, hi) for lo, hi in update.box))] = total
    return target


def _term(
    program: Program, term: Term, box: Box, state: State, coefficients: Mapping[str, Tensor]
) -> Tensor:
    here = (0,) * program.ndim
    field_box = program.fields[term.field]
    total: Tensor | float = 0.0
    for offset, weight in term.taps:
        values = _window(program, state[term.field], box, offset, field_box)
        values = values * _monomial(program, term.right, box, offset, coefficients)
        total = total + weight * values
    return torch.as_tensor(
        term.scale * total * _monomial(program, term.left, box, here, coefficients)
    )


def _monomial(
    program: Program,
    factors: Monomial,
    box: Box,
    offset: Offset,
    coefficients: Mapping[str, Tensor],
) -> Tensor | float:
    value: Tensor | float = 1.0
    for name, power in factors:
        array = coefficients[name]
        axes = program.coefficients[name]
        if len(axes) < program.ndim:  # a profile along one axis
            (axis,) = axes
            shape = [1] * (program.ndim + 1)
            shape[axis + 1] = -1
            array = array.reshape(shape)
            whole = tuple(b if a == axis else (0, 1) for a, b in enumerate(program.box))
            box_here = tuple(b if a == axis else (0, 1) for a, b in enumerate(box))
            move = tuple(k if a == axis else 0 for a, k in enumerate(offset))
            value = value * _window(program, array, box_here, move, whole) ** power
        else:
            value = value * _window(program, array, box, offset) ** power
    return value


def _window(
    program: Program, array: Tensor, box: Box, offset: Offset, inside: Box | None = None
) -> Tensor:
    """``array[i + offset]`` for i in `box`, zero outside `inside`."""
    inside = inside or program.box
    index, padding = [slice(None)], list[int]()
    for (lo, hi), k, (first, last) in zip(box, offset, inside, strict=True):
        start, stop = max(lo + k, first), min(hi + k, last)
        stop = max(stop, start)
        index.append(slice(start, stop))
        padding = [min(start - (lo + k), hi - lo), 0, *padding]
        padding[1] = (hi - lo) - padding[0] - (stop - start)
    return torch.nn.functional.pad(array[tuple(index)], padding)
