"""A sparse matrix applied along time to signals on a card."""

import ctypes
from functools import lru_cache

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from wavepipe.propagators.backends.card import Card, Module
from wavepipe.propagators.backends.cuda_launches import Launch
from wavepipe.propagators.backends.emit_cuda import CudaSource, Kernel, Tile, prelude
from wavepipe.propagators.backends.sweep import C_NAMES

TILE = Tile(1, 128)

MOST_ROWS = 65535
"""Blocks of a launch along its second axis."""

KERNEL = """\
struct resample_arguments {
  const int *rowptr, *column;
  const real *weight, *from;   /* from: (n_in, n_traces) */
  real *to;                    /* (n_rows, n_traces) */
  int n_rows, n_traces, step;  /* step: blocks along rows */
};

/* A thread sums up one trace, in the order of the matrix. */
DEVICE void resample_cells(const resample_arguments &a)
{
  const int trace = blockIdx.x * THREADS + threadIdx.x;
  if (trace >= a.n_traces) return;
  for (int row = blockIdx.y; row < a.n_rows; row += a.step) {
    real sum = 0;
    for (int i = a.rowptr[row]; i < a.rowptr[row + 1]; i++)
      sum += a.weight[i] * a.from[(long long) a.column[i] * a.n_traces + trace];
    a.to[(long long) row * a.n_traces + trace] = sum;
  }
}
ONE_PHASE(resample)
"""


class _Arguments(ctypes.Structure):
    _fields_ = [
        *((n, ctypes.c_void_p) for n in ("rowptr", "column", "weight", "source", "target")),
        *((n, ctypes.c_int) for n in ("n_rows", "n_traces", "step")),
    ]


class MatrixOnCard:
    """A matrix by rows, on the device of its values.

    Parameters
    ----------
    matrix
        Of the precision of the signals.
    """

    def __init__(self, matrix: sparse.csr_matrix, card: Card, device: torch.device) -> None:
        self._n_rows = matrix.shape[0]
        self._rowptr, self._column, self._weight = (
            torch.from_numpy(one).to(device)
            for one in (
                matrix.indptr.astype(np.int32),
                matrix.indices.astype(np.int32),
                np.ascontiguousarray(matrix.data),
            )
        )
        self._module = _module(card, C_NAMES[self._weight.dtype])

    def times(self, rows: Tensor) -> Tensor:
        """The product with contiguous rows, (n_in, n_traces)."""
        n_traces = rows.shape[1]
        out = torch.empty(self._n_rows, n_traces, dtype=rows.dtype, device=rows.device)
        if out.numel() == 0:
            return out
        step = min(self._n_rows, MOST_ROWS)
        held = (self._rowptr, self._column, self._weight, rows, out)
        arguments = _Arguments(*(one.data_ptr() for one in held), self._n_rows, n_traces, step)
        blocks = -(-n_traces // TILE.threads)
        self._module.launch([Launch("resample", (blocks, step), arguments)])
        return out


@lru_cache(maxsize=8)
def _module(card: Card, dtype: str) -> Module:
    text = f"{prelude(dtype, TILE, 2)}\n{KERNEL}"
    source = CudaSource(text, TILE, [[Kernel("resample", ())]])
    return card.module(2, dtype, lambda _: source)
