"""Machine code for cards, without one: NVRTC builds every kernel, and none spills a register."""

import pytest
from conformance_exactness import F32, F64
from emitted_cuda import source, sweeps
from random_surveys import LAYERS

from wavepipe.propagators.backends import cuda_compiler
from wavepipe.propagators.backends.cuda_compiler import build, machine_code
from wavepipe.propagators.backends.cuda_execution import C_NAMES
from wavepipe.propagators.backends.emit_cuda import tiles
from wavepipe.propagators.errors import BackendError
from wavepipe.propagators.physics.names import PARAMETERS

try:
    cuda_compiler.nvrtc_version()
except BackendError as missing:
    pytest.skip(f"kernels cannot be compiled here: {missing}", allow_module_level=True)

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")

QUICK = {
    ("scalar", 3, 4, F32, "sm_90", LAYERS),
    ("elastic", 2, 4, F32, "sm_100", "z0"),
    ("acoustic", 2, 8, F64, "sm_80", LAYERS),
}

CASES = [
    pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
    for physics in PARAMETERS
    for ndim in (2, 3)
    for order, dtype in ((8, F32), (4, F32), (8, F64))
    for architecture in ARCHITECTURES
    for faces in (LAYERS, "z0")
    if (case := (physics, ndim, order, dtype, architecture, faces))
]


@pytest.mark.parametrize(("physics", "ndim", "order", "dtype", "architecture", "faces"), CASES)
def test_no_kernel_spills_or_warns(physics, ndim, order, dtype, architecture, faces):
    """Of any kind of sweep, in one of the tiles."""
    for kind, sweep in sweeps(physics, ndim, faces, order, dtype).items():
        spilled = []
        for tile in tiles(ndim, C_NAMES[dtype]):
            emitted = source(sweep, tile)
            made = build(emitted.text, architecture)
            assert not made.warnings, kind
            kernels = {kernel.name for step in emitted.steps for kernel in step}
            assert {usage.kernel for usage in made.usages} == kernels
            spilled.append([(u, tile) for u in made.usages if u.spilled])
            if not spilled[-1]:
                break
        assert not spilled[-1], (kind, spilled)


def test_code_comes_from_the_cache_the_second_time(monkeypatch, tmp_path):
    """One file for a source, an architecture and a version of NVRTC."""
    monkeypatch.setenv("WAVEPIPE_CACHE", str(tmp_path))
    text = 'extern "C" __global__ void nothing() {}'
    first = machine_code(text, "sm_90")
    monkeypatch.setattr(cuda_compiler, "build", None)
    assert machine_code(text, "sm_90") == first
    assert len(list(tmp_path.iterdir())) == 1
