"""Single sweeps of every physics on a card, and on the processor that emulates one."""

from dataclasses import replace

import pytest
import torch
from conformance_exactness import F32, F64, ROUNDING
from emitted_cuda import sweeps
from emulated_cuda import EmulatedCard, find_compiler
from torch.nn import functional
from waves import relative

from wavepipe.propagators.backends.cuda import Cuda
from wavepipe.propagators.backends.cuda_device import CudaDevice
from wavepipe.propagators.backends.reference import Reference
from wavepipe.propagators.backends.sweep import Backend, Sweep
from wavepipe.propagators.physics.names import PARAMETERS

STEPS = 4

NO_COMPILER = pytest.mark.skipif(find_compiler() is None, reason="there is no C++ compiler here")

PLACES = [
    pytest.param("cpu", marks=NO_COMPILER, id="emulated"),
    pytest.param("cuda:0", marks=pytest.mark.gpu, id="card"),
]


def backend_of(place: str, dtype: torch.dtype) -> Backend:
    device = EmulatedCard() if place == "cpu" else CudaDevice(torch.device(place))
    return Cuda(dtype.itemsize, device)


def prepared(sweep: Sweep, backend: Backend, place: str) -> Sweep:
    """A few steps, all random: what enters, and what the history holds."""
    random = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random, dtype=F64).to(sweep.dtype).to(place)

    inputs = {
        name: replace(one, amplitudes=noise(STEPS, one.points.count))
        for name, one in sweep.inputs.items()
    }
    history = sweep.history
    if history is not None:
        shape = (sweep.n_shots, STEPS, *sweep.program.shape)
        rest = backend.padded(shape[-1]) - shape[-1]
        slots = {name: functional.pad(noise(*shape), (0, rest)) for name in history.slots}
        history = replace(history, stride=1, slots=slots)
    given = {name: one.detach().to(place) for name, one in sweep.coefficients.items()}
    return replace(sweep, n_steps=STEPS, inputs=inputs, history=history, coefficients=given)


def outcome(backend: Backend, sweep: Sweep) -> dict[str, torch.Tensor]:
    """What is recorded, the fields at the end, and the history, inside boxes."""
    result = backend.run(sweep)
    found = {f"recorded {name}": one for name, one in result.recorded.items()}
    found |= {f"field {name}": one for name, one in result.fields.items()}
    if sweep.history is not None and not sweep.backwards:
        width = sweep.program.shape[-1]
        for name, one in sweep.history.slots.items():
            box = tuple(slice(lo, hi) for lo, hi in sweep.sampled.fields[name])
            found[f"slots of {name}"] = one[..., :width][(slice(None), slice(None), *box)]
    return {name: one.detach().cpu() for name, one in found.items()}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("physics", "ndim"),
    [
        pytest.param(p, n, marks=() if (p, n) == ("acoustic", 2) else pytest.mark.slow)
        for p in PARAMETERS
        for n in (2, 3)
    ],
)
def test_every_kind_of_sweep_equals_the_reference(physics, ndim, place):
    """Recordings, stored sums, gradients; and a second run has the same bits."""
    for faces, order, dtype in (("z0", 4, F64), ("layers", 8, F32)):
        for kind, sweep in sweeps(physics, ndim, faces, order, dtype).items():
            expected = outcome(Reference(), prepared(sweep, Reference(), "cpu"))
            chosen = backend_of(place, dtype)
            ours, again = (outcome(chosen, prepared(sweep, chosen, place)) for _ in range(2))
            for name, one in expected.items():
                assert relative(ours[name], one) < ROUNDING[dtype], (kind, name)
                assert torch.equal(again[name], ours[name]), (kind, name)
