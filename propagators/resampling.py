"""A sparse matrix applied along time as a differentiable torch operation."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


def resampled(matrix: sparse.csr_matrix, rows: Tensor) -> Tensor:
    """``matrix @ rows`` for rows (n_in, n_traces); its gradient is the exact transpose.

    Every trace is summed in the same order however many there are, so a trace's bits do not
    depend on which others share the call.
    """
    if _is_identity(matrix):
        return rows
    out: Tensor = _Resample.apply(matrix, rows)  # type: ignore[no-untyped-call]
    return out


class _Resample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: sparse.csr_matrix, rows: Tensor) -> Tensor:
        ctx.matrix = matrix
        return _product(matrix, rows, transposed=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, _product(ctx.matrix, gradient, transposed=True)


def _product(matrix: sparse.csr_matrix, rows: Tensor, *, transposed: bool) -> Tensor:
    values = rows.detach().contiguous().numpy()
    return torch.from_numpy(_prepared(_Key(matrix), values.dtype, transposed) @ values)


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
    matrix = key.matrix.astype(dtype)
    return sparse.csr_matrix(matrix.T) if transposed else matrix


def _is_identity(matrix: sparse.csr_matrix) -> bool:
    n, m = matrix.shape
    return n == m == matrix.nnz and bool((matrix.indices == np.arange(n)).all())
