"""How many steps a call takes, and that none it leaves out has a part in the result."""

import itertools

import numpy as np
import pytest
import torch

from wavepipe.propagators import Boundary, Recording, Storage, propagate
from wavepipe.propagators.physics.catalogue import Physics
from wavepipe.propagators.planning import plan_call
from wavepipe.propagators.time_resampling import Shifts

pytestmark = pytest.mark.filterwarnings(  # noise
    "ignore::wavepipe.propagators.stability.DispersionWarning"
)

SHAPE, H, DT, NT = (24, 28), 10.0, 1e-3, 40
MODELS = {"vp": 2000.0, "vs": 1150.0, "rho": 2100.0}
OF = {"scalar": ("vp",), "acoustic": ("vp", "rho"), "elastic": ("vp", "vs", "rho")}

KERNEL = 12
"""Steps that an interpolation between two samples reaches beyond them, with equal clocks."""


def call(
    physics: str,
    sources: tuple[str, ...],
    receivers: tuple[str, ...],
    *,
    nt_source: int = NT,
    correct: bool = False,
) -> tuple[Recording, dict[str, torch.Tensor], torch.Tensor]:
    """A call in float64; its models, and its amplitudes."""
    noise = torch.Generator().manual_seed(3)
    models = {
        name: MODELS[name] * (1 + 0.05 * torch.rand(SHAPE, generator=noise, dtype=torch.float64))
        for name in OF[physics]
    }
    signal = torch.randn(1, 1, nt_source, generator=noise, dtype=torch.float64)
    for one in (*models.values(), signal):
        one.requires_grad_()
    recording = propagate(
        physics,
        models,
        H,
        DT,
        nt=NT,
        sources={name: (signal, np.array([[[113.0, 131.0]]])) for name in sources},
        receivers={name: np.array([[[70.0, 90.0], [155.0, 201.0]]]) for name in receivers},
        velocity_bound=2200.0,
        time_step=DT,
        correct_time_dispersion=correct,
        boundary=Boundary(6, 30.0),
        storage=Storage(stride=1),
        backend="reference",  # nothing to compile; what is computed when is the call's
    )
    return recording, models, signal


@pytest.mark.parametrize("physics", ["acoustic", "elastic"])
@pytest.mark.parametrize("n_sources", [1, 2])
@pytest.mark.parametrize("n_receivers", [1, 2])
def test_a_call_takes_the_steps_its_ports_need(
    physics: str, n_sources: int, n_receivers: int
) -> None:
    """Injections lie half a step after the others, velocities are read half a step before."""
    for sources in itertools.combinations(("fz", "pressure"), n_sources):
        for receivers in itertools.combinations(("pressure", "vx"), n_receivers):
            recording, _, _ = call(physics, sources, receivers)
            before = KERNEL * ("pressure" in sources)
            after = KERNEL * ("vx" in receivers)
            assert recording.info.n_steps == before + NT + after
            plan = plan_call(
                SHAPE,
                H,
                DT,
                NT,
                1,
                2,
                velocity_bound=2200.0,
                physics=physics,
                time_step=DT,
                correct_time_dispersion=False,
                gradient=False,
                sources=sources,
                receivers=receivers,
                max_frequency=30.0,
            )
            assert plan.n_steps == recording.info.n_steps


@pytest.mark.parametrize("nt_source", [NT // 2, NT, 3 * NT])
def test_a_source_that_goes_on_after_the_recording_costs_no_steps(nt_source: int) -> None:
    recording, _, signal = call("scalar", ("pressure",), ("pressure",), nt_source=nt_source)
    assert recording.info.n_steps == NT
    recording["pressure"].sum().backward()
    assert signal.grad is not None
    assert not signal.grad[..., NT:].any()


@pytest.mark.parametrize("physics", ["acoustic", "elastic"])
@pytest.mark.parametrize("source", ["fz", "pressure"])
@pytest.mark.parametrize("receivers", [("vz",), ("pressure",), ("pressure", "vx")])
def test_steps_left_out_have_no_part_in_gathers_and_gradients(
    physics: str, source: str, receivers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """White noise as source and residual, against a call with room at both ends."""

    def results() -> tuple[int, list[torch.Tensor]]:
        recording, models, signal = call(physics, (source,), receivers, nt_source=80)
        noise, gathers = torch.Generator().manual_seed(4), list(recording.values())
        residuals = [torch.randn(g.shape, generator=noise, dtype=g.dtype) for g in gathers]
        torch.autograd.backward(gathers, residuals)
        gradients = [one.grad for one in (signal, *models.values()) if one.grad is not None]
        assert len(gradients) == 1 + len(models)
        return recording.info.n_steps, [*(one.detach() for one in gathers), *gradients]

    steps, tight = results()
    monkeypatch.setattr(Physics, "shifts", lambda *_: Shifts((0.0, 0.5), (0.0, -0.5)))
    roomier, roomy = results()
    assert roomier == NT + 2 * KERNEL
    assert steps == NT + KERNEL * ((source == "pressure") + (receivers != ("pressure",)))
    for one, other in zip(tight, roomy, strict=True):
        # Double precision; 1e-12 of the largest: sums may be taken in another order.
        assert (one - other).abs().max() <= 1e-12 * other.abs().max()


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize(("source", "receiver"), [("fz", "vz"), ("pressure", "pressure")])
def test_a_call_without_spare_steps_has_an_exact_transpose(
    source: str, receiver: str, correct: bool
) -> None:
    recording, _, signal = call("elastic", (source,), (receiver,), nt_source=75, correct=correct)
    gather = recording[receiver]
    noise = torch.Generator().manual_seed(5)
    residual = torch.randn(gather.shape, generator=noise, dtype=gather.dtype)
    gather.backward(residual)
    assert signal.grad is not None
    there, back = (gather * residual).sum().item(), (signal * signal.grad).sum().item()
    # Relative to the norms; both are linear in the amplitudes, in double precision.
    assert abs(there - back) <= 1e-12 * (gather.norm() * residual.norm()).item()
