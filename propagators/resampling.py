"""A sparse matrix applied along time as a differentiable torch operation."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from wavepipe.propagators.backends.card import Card
from wavepipe.propagators.backends.sweep import numpy_type

if TYPE_CHECKING:
    from wavepipe.propagators.card_resampling import MatrixOnCard


def resampled(matrix: sparse.csr_matrix, rows: Tensor, card: Card | None = None) -> Tensor:
    """``matrix @ rows`` for rows (n_in, n_traces); its gradient is the exact transpose.

    On a card that has kernels it is made there, elsewhere by the CPU.

    Every trace is summed in the same order however many there are, so a trace's bits do not
    depend on which others share the call.
    """
    if _is_identity(matrix):
        return rows
    out: Tensor = _Resample.apply(matrix, rows, card)  # type: ignore[no-untyped-call]
    return out


class _Resample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: sparse.csr_matrix, rows: Tensor, card: Card | None) -> Tensor:
        ctx.matrix, ctx.card = matrix, card
        return _product(matrix, rows, card, transposed=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        return None, _product(ctx.matrix, gradient, ctx.card, transposed=True), None


def _product(
    matrix: sparse.csr_matrix, rows: Tensor, card: Card | None, *, transposed: bool
) -> Tensor:
    rows, dtype = rows.detach().contiguous(), numpy_type(rows.dtype)
    if card is not None and rows.device.type != "cpu":
        there = _there(_Key(matrix), dtype, transposed, card, rows.device, card.stream())
        return there.times(rows)
    found = torch.from_numpy(_prepared(_Key(matrix), dtype, transposed) @ rows.cpu().numpy())
    return found.to(rows.device)


class _Key:
    """Hashes a matrix by identity, and keeps it alive while its copies are cached."""

    def __init__(self, matrix: sparse.csr_matrix) -> None:
        self.matrix = matrix

    def __hash__(self) -> int:
        return id(self.matrix)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.matrix is other.matrix


@lru_cache(maxsize=16)
def _prepared(key: _Key, dtype: np.dtype[Any], transposed: bool) -> sparse.csr_matrix:
    """The matrix or its transpose by rows, in the precision of the samples."""
    matrix = key.matrix
    if transposed:
        matrix = sparse.csr_matrix(matrix.T)
    values = matrix.data.astype(dtype, copy=False)
    return sparse.csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)


@lru_cache(maxsize=16)
def _there(
    key: _Key,
    dtype: np.dtype[Any],
    transposed: bool,
    card: Card,
    device: torch.device,
    stream: int,
) -> "MatrixOnCard":
    """One for each stream: memory that is freed is taken again in the order of its stream."""
    from wavepipe.propagators.card_resampling import MatrixOnCard

    del stream
    return MatrixOnCard(_prepared(key, dtype, transposed), card, device)


def _is_identity(matrix: sparse.csr_matrix) -> bool:
    n, m = matrix.shape
    return n == m == matrix.nnz and bool((matrix.indices == np.arange(n)).all())
