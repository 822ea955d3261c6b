"""A sparse matrix applied along time as a differentiable torch operation."""

from typing import Any

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
    return _Resample.apply(matrix, rows)


class _Resample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: sparse.csr_matrix, rows: Tensor) -> Tensor:
        ctx.matrix = matrix
        return _product(matrix, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:  # type: ignore[override]
        return None, _product(ctx.matrix.T.tocsr(), gradient)


def _product(matrix: sparse.csr_matrix, rows: Tensor) -> Tensor:
    values = rows.detach().contiguous().numpy()
    return torch.from_numpy(matrix.astype(values.dtype) @ values)


def _is_identity(matrix: sparse.csr_matrix) -> bool:
    n, m = matrix.shape
    return n == m == matrix.nnz and bool((matrix.indices == range(n)).all())
