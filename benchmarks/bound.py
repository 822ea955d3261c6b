"""How fast a step could be if memory were the only limit (Williams et al. 2009)."""

from dataclasses import dataclass
from math import prod
from time import perf_counter
from typing import Any

import torch

from benchmarks.cases import PML_WIDTH, Case

BYTES = 4
"""Of a number in single precision."""

COPIED_MB = 256

COPIES = 10


@dataclass(frozen=True)
class Traffic:
    """Numbers that a step moves: each field and coefficient once, each change written once."""

    moved: int
    """Per cell: fields read and written, coefficients read."""

    memories: int
    """Memory variables of the layers of one axis; each is read and written."""

    coefficients: int
    """Arrays that the earth model becomes; a gradient is accumulated for each."""

    sums: int
    """Arrays kept for the gradient per stored step."""


def traffic(case: Case) -> Traffic:
    """What the equations of a case need, whatever the code."""
    n = case.ndim
    if case.physics == "scalar":
        # p and its predecessor, which becomes its successor, and vp^2.
        return Traffic(moved=4, memories=2, coefficients=1, sums=1)
    if case.physics == "acoustic":
        # Pressure and velocities; bulk modulus and buoyancies.
        return Traffic(moved=3 * (1 + n), memories=2, coefficients=1 + n, sums=1 + n)
    # Velocities and stresses; two moduli on the nodes, buoyancies, shear moduli beside the nodes.
    shears = n * (n - 1) // 2
    fields, coefficients = 2 * n + shears, 2 + n + shears
    return Traffic(2 * fields + coefficients, 2 * n, coefficients, fields)


def bytes_per_cell(case: Case, stride: int = 1) -> float:
    """Bytes a padded cell and step of a case must move.

    Parameters
    ----------
    stride
        Steps from one stored one to the next, in a gradient: there a step is one forward and one
        back, with its share of the sums (written, read) and of the gradients (read, written).
    """
    needed = traffic(case)
    in_layers = sum(2 * PML_WIDTH / n for n in case.padded_shape)
    step = needed.moved + 2 * needed.memories * in_layers
    if case.kind == "gradient":
        step = 2 * step + 2 * (needed.sums + needed.coefficients) / stride
    return BYTES * step


def copy_bandwidth() -> float:
    """Bytes read and written in a second by the fastest of some copies in torch."""
    source = torch.ones(COPIED_MB * 2**20 // BYTES)
    target = torch.zeros_like(source)
    fastest = float("inf")
    for _ in range(COPIES):
        start = perf_counter()
        target.copy_(source)
        fastest = min(fastest, perf_counter() - start)
    return 2 * BYTES * source.numel() / fastest


def against_bound(case: Case, seconds: float, stride: int, bandwidth: float) -> dict[str, Any]:
    """Columns of a row: the rate of a run of `seconds`, the bound, and the part of it reached."""
    cells = prod(case.padded_shape) * case.n_shots * case.nt
    needed = bytes_per_cell(case, stride)
    rate, bound = cells / seconds, bandwidth / needed
    return {
        "bytes_per_cell": needed,
        "copy_gb_s": bandwidth / 1e9,
        "ours_gcells_s": rate / 1e9,
        "bound_gcells_s": bound / 1e9,
        "bound_reached": rate / bound,
    }
