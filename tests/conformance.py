"""One class of tests for every physics, in 2-D and 3-D.

Its random model is in `random_surveys.RECIPES`; everything else follows from the catalogue. A
sample runs by default, the rest is slow.
"""

import pytest
import torch
from conformance_accuracy import Accuracy
from conformance_exactness import Exactness
from conformance_waves import Waves, decays
from random_surveys import LAYERS

F64, F32 = torch.float64, torch.float32

# Faces, order, precision: each setting compiles programs of its own, so they are few and mixed.
SETTINGS = {
    2: [("z0", 4, F64), (LAYERS, 8, F32), ("z1+x0", 8, F64), ("z0", 2, F32), (LAYERS, 6, F64)],
    3: [("z0", 4, F64), (LAYERS, 8, F32), ("z1+y1+x0", 2, F64)],
}

EXACT = tuple(name for name in vars(Exactness) if name.startswith("test_"))
TRANSPOSES = "test_forward_and_adjoint_are_transposes"
AUTOGRAD = "test_gradients_equal_torch_autograd_through_the_reference"
SAMPLE = {
    ("acoustic", 2): (*EXACT, *dir(Accuracy), "test_source_and_receiver_change_places"),
    ("acoustic", 3): (TRANSPOSES,),
    ("elastic", 2): (*EXACT, *dir(Waves)),
}
"""By physics and dimensions, tests whose first case is not slow; else `EXACT` but one in 2-D."""


class Conformance(Exactness, Waves, Accuracy):
    """Transposes and derivatives, reciprocity and decay, convergence and clock."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """2-D and 3-D, and what else a test takes; the sample's first cases are quick."""
        test = metafunc.definition
        names: tuple[str, ...] = ()
        cases: dict[int, list[tuple[object, ...]]] = {2: [()], 3: [()]}
        if hasattr(Accuracy, test.originalname):
            del cases[3]
        if "dtype" in metafunc.fixturenames:
            names, cases = ("faces", "order", "dtype"), SETTINGS
            if test.originalname != TRANSPOSES:  # of programs that take longer to compile
                cases = {2: SETTINGS[2][:2], 3: SETTINGS[3][:1]}
        elif "medium" in metafunc.fixturenames:
            names, runs = ("medium", "order", "faces"), decays(self.physics)
            cases = {2: runs, 3: runs[:1]}
        default = {2: [name for name in EXACT if name != AUTOGRAD], 3: []}
        sample = {n: SAMPLE.get((self.physics, n), default[n]) for n in cases}
        metafunc.parametrize(
            ("ndim", *names),
            [
                pytest.param(
                    *(ndim, *one),
                    id=" ".join(
                        f"{getattr(part, '__name__', part)}" for part in (f"{ndim}-D", *one)
                    ),
                    marks=()
                    if one == cases[ndim][0] and test.originalname in sample[ndim]
                    else pytest.mark.slow,
                )
                for ndim in cases
                for one in cases[ndim]
            ],
        )
