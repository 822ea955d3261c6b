"""Machine code for cards, without one: NVRTC builds every kernel, and none spills a register."""

import pytest
from conformance_exactness import F32, F64
from emitted_cuda import KINDS, source, sweeps
from random_surveys import LAYERS

from wavepipe.propagators.backends import cuda_compiler
from wavepipe.propagators.backends.cuda_compiler import build, machine_code
from wavepipe.propagators.backends.emit_cuda import prelude, tiles
from wavepipe.propagators.backends.sweep import C_NAMES
from wavepipe.propagators.card_resampling import KERNEL, TILE
from wavepipe.propagators.errors import BackendError
from wavepipe.propagators.physics.names import PARAMETERS
from wavepipe.propagators.storage import card_codecs
from wavepipe.propagators.storage.card_codecs import COSINE_TILE, header

try:
    cuda_compiler.nvrtc_version()
except BackendError as missing:
    pytest.skip(f"kernels cannot be compiled here: {missing}", allow_module_level=True)

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")

QUICK = {
    ("scalar", 3, 4, F32, "sm_90", LAYERS, "forward"),
    ("elastic", 2, 4, F32, "sm_100", "z0", "adjoint"),
    ("acoustic", 2, 8, F64, "sm_80", LAYERS, "born"),
}

OTHERS = {
    "points": (card_codecs.TILE, header("points")),
    "cosine in 2-D": (COSINE_TILE, f"#define DEEP 1\n{header('cosine')}"),
    "cosine in 3-D": (COSINE_TILE, f"#define DEEP 8\n{header('cosine')}"),
    "resampling": (TILE, KERNEL),
}

CASES = [
    pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
    for physics in PARAMETERS
    for ndim in (2, 3)
    for order, dtype in ((8, F32), (4, F32), (8, F64))
    for architecture in ARCHITECTURES
    for faces in (LAYERS, "z0")
    for kind in KINDS
    if (case := (physics, ndim, order, dtype, architecture, faces, kind))
]


@pytest.mark.parametrize(
    ("physics", "ndim", "order", "dtype", "architecture", "faces", "kind"), CASES
)
def test_no_kernel_spills_or_warns(physics, ndim, order, dtype, architecture, faces, kind):
    """In one of the tiles."""
    sweep = sweeps(physics, ndim, faces, order, dtype)[kind]
    spilled = []
    for tile in tiles(ndim, C_NAMES[dtype]):
        emitted = source(sweep, tile)
        made = build(emitted.text, architecture)
        assert not made.warnings
        kernels = {kernel.name for step in emitted.steps for kernel in step}
        assert {usage.kernel for usage in made.usages} == kernels
        spilled = [(usage, tile) for usage in made.usages if usage.spilled]
        if not spilled:
            break
    assert not spilled


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", OTHERS)
def test_other_kernels_neither_spill_nor_warn(name, architecture):
    """Codecs, and the change of clocks."""
    for dtype in ("float", "double"):
        tile, text = OTHERS[name]
        made = build(f"{prelude(dtype, tile, 2)}\n{text}", architecture)
        assert made.usages
        assert not made.warnings
        assert not [usage for usage in made.usages if usage.spilled]


def test_code_comes_from_the_cache_the_second_time(monkeypatch, tmp_path):
    """One file for a source, an architecture and a version of NVRTC."""
    monkeypatch.setenv("WAVEPIPE_CACHE", str(tmp_path))
    text = 'extern "C" __global__ void nothing() {}'
    first = machine_code(text, "sm_90")
    monkeypatch.setattr(cuda_compiler, "build", None)
    cuda_compiler._machine_code.cache_clear()  # as in another process
    assert machine_code(text, "sm_90") == first
    assert len(list(tmp_path.iterdir())) == 1
