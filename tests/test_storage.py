"""What is kept of the forward wavefield, and that a stride never aliases unseen."""

import numpy as np
import pytest
import torch
from layered_surveys import DT, NT, PEAK, SHAPE, SPACING, error, survey

from wavepipe.propagators import Boundary, Storage, scalar
from wavepipe.propagators.errors import OptionError, StorageError
from wavepipe.propagators.storage import history
from wavepipe.propagators.storage.policy import largest_stride


def gradient(adjoint_source, storage, nt=NT):
    """Gradient of <gather, adjoint source>, and what was chosen."""
    vp, settings = survey()
    vp.requires_grad_()
    recording = scalar(vp, SPACING, DT, nt=nt, storage=storage, **settings)
    recording["pressure"].backward(adjoint_source)
    return vp.grad, recording.info


@pytest.fixture(scope="module")
def residual():
    """A residual whose ends are quiet: reflections of a model with an anomaly missing."""
    vp, settings = survey()
    observed = scalar(vp, SPACING, DT, **settings)["pressure"]
    vp[40:50, 40:60] -= 150.0
    synthetic = scalar(vp, SPACING, DT, **settings)["pressure"]
    taper = torch.from_numpy(np.clip((NT - 1 - np.arange(NT)) / 250, 0, 1)).float()
    return (synthetic - observed) * torch.sin(np.pi / 2 * taper) ** 2


def test_the_stride_chosen_is_harmless(residual):
    """Several steps between snapshots, and a gradient equal to stride 1's within the tolerance."""
    exact, _ = gradient(residual, Storage(stride=1))
    found, info = gradient(residual, Storage())
    assert info.stride >= 4
    assert error(found, exact) < 1e-4


def test_a_noisy_residual_is_noticed_and_made_right(residual):
    """White noise in the data reaches the Nyquist frequency: the forward run is repeated."""
    noise = torch.randn(residual.shape, generator=torch.Generator().manual_seed(3))
    noisy = residual + 0.3 * residual.abs().max() * noise
    exact, _ = gradient(noisy, Storage(stride=1))
    with pytest.warns(UserWarning, match="forward run is repeated with stride"):
        found, _ = gradient(noisy, Storage())
    assert error(found, exact) < 1e-4


def test_a_record_cut_in_mid_arrival_is_noticed_and_made_right(residual):
    """The step at the end of a cut trace has a wide spectrum."""
    vp, settings = survey()
    cut = scalar(vp, SPACING, DT, nt=300, **settings)["pressure"]
    assert cut[..., -1].abs().max() > 0.05 * cut.abs().max()
    exact, _ = gradient(cut, Storage(stride=1), nt=300)
    with pytest.warns(UserWarning, match="forward run is repeated with stride"):
        found, _ = gradient(cut, Storage(), nt=300)
    assert error(found, exact) < 1e-4


def test_a_stride_asked_for_is_kept_but_not_in_silence(residual):
    """The warning names the stride that would do; the gradient really is inaccurate."""
    noise = torch.randn(residual.shape, generator=torch.Generator().manual_seed(3))
    exact, _ = gradient(noise, Storage(stride=1))
    with pytest.warns(UserWarning, match="would alias, so the gradient is inaccurate") as caught:
        found, info = gradient(noise, Storage(stride=12))
    assert [one.filename for one in caught] == [__file__]  # where backward was called
    assert info.stride == 12
    assert error(found, exact) > 1e-2


def test_a_forward_run_keeps_nothing():
    """Without a gradient there is no history, and gradients of sources need none."""
    vp, settings = survey()
    assert scalar(vp, SPACING, DT, **settings).info.bytes == 0
    settings["source_amplitudes"] = settings["source_amplitudes"].requires_grad_()
    recording = scalar(vp, SPACING, DT, storage=Storage(mode="none"), **settings)
    recording["pressure"].sum().backward()
    assert recording.info.bytes == 0
    assert settings["source_amplitudes"].grad.abs().max() > 0


def test_mode_none_with_a_gradient_is_an_error_that_says_so():
    """Never a missing or zero gradient instead."""
    vp, settings = survey()
    with pytest.raises(StorageError, match="keeps nothing"):
        scalar(vp.requires_grad_(), SPACING, DT, storage=Storage(mode="none"), **settings)


def test_a_budget_too_small_says_what_is_needed():
    """In bytes, before anything runs."""
    vp, settings = survey()
    with pytest.raises(StorageError, match=r"takes .* MB of memory at stride .* budget"):
        scalar(vp.requires_grad_(), SPACING, DT, storage=Storage(budget=1000), **settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "tape"}, "mode 'tape' does not exist; use 'auto', 'device', 'cpu', 'disk'"),
        ({"method": "edges"}, "method 'edges' does not exist; use 'auto', 'snapshots', 'boundary'"),
        ({"compression": "zip"}, "compression 'zip' does not exist; use 'auto', 'none', 'float16'"),
        ({"method": "recompute", "compression": "block8"}, "would change the waves themselves"),
        ({"stride": 0}, "stride is 0"),
        ({"stride": 2.5}, "stride is 2.5"),
        ({"stride": "often"}, "stride is 'often'"),
        ({"path": "/tmp", "mode": "device"}, "has no use"),
        ({"path": 3}, "name of a folder"),
        ({"budget": -1}, "positive number of bytes"),
        ({"max_gradient_error": 2.0}, "between 0 and 1"),
    ],
)
def test_storage_accepts_only_what_works(options, message):
    """Anything else is refused, listing what exists."""
    with pytest.raises(OptionError, match=message):
        Storage(**options)


def test_the_stride_rule_is_strict():
    """1 / (stride step) > f + g, and never less than 1."""
    assert largest_stride(1e-3, 50.0, 50.0) == 9  # 10 would sample exactly at f + g
    assert largest_stride(1e-3, 50.0, 500.0) == 1
    assert largest_stride(1e-3, 0.0, 0.0) > 1  # silence cannot alias


def test_illumination_is_the_energy_of_what_the_model_multiplies():
    """Largest at the source, with the model's shape, and the same for any harmless stride."""
    vp, settings = survey()
    shown = [
        scalar(
            vp.clone().requires_grad_(), SPACING, DT, storage=Storage(stride=s), illumination=True,
            **settings,
        ).illumination
        for s in (1, 4)
    ]  # fmt: skip
    assert shown[0].shape == (2, *SHAPE)
    assert torch.argmax(shown[0][0]).item() == 2 * SHAPE[1] + 20
    assert error(shown[1], shown[0]) < 1e-3


def test_illumination_sums_only_what_was_written(monkeypatch):
    """On a free face nothing is stored; memory that was never written must not show."""
    original = history.empty
    monkeypatch.setattr(history, "empty", lambda *a: original(*a).fill_(float("nan")))
    vp, settings = survey()
    settings["boundary"] = Boundary(15, PEAK, ("z0",))
    recording = scalar(
        vp.requires_grad_(), SPACING, DT, storage=Storage(stride=4), illumination=True, **settings
    )
    assert torch.isfinite(recording.illumination).all()
    assert not recording.illumination[:, 0].any()
    recording["pressure"].sum().backward()
    assert torch.isfinite(vp.grad).all()


def test_a_repeated_forward_run_frees_the_first_history(residual):
    """Only one history is alive at a time."""

    made = []
    original = history.HistoryShape.allocate

    def allocate(self, *arguments, **options):
        assert not any(one.slots for one in made)
        made.append(original(self, *arguments, **options))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history.HistoryShape, "allocate", allocate)
        noise = torch.randn(residual.shape, generator=torch.Generator().manual_seed(3))
        with pytest.warns(UserWarning, match="forward run is repeated"):
            gradient(noise, Storage())
    assert len(made) == 2


def test_backward_of_sources_alone_may_run_twice():
    """There is no kept wavefield that the first one frees."""
    vp, settings = survey()
    settings["source_amplitudes"] = settings["source_amplitudes"].requires_grad_()
    traces = scalar(vp, SPACING, DT, **settings)["pressure"]
    traces[0, 0].sum().backward(retain_graph=True)
    traces[0, 1].sum().backward()
    assert settings["source_amplitudes"].grad.abs().max() > 0


def test_second_derivatives_are_refused():
    """The adjoint run is not differentiable itself: an error, not a wrong number."""
    vp, settings = survey()
    vp.requires_grad_()
    loss = scalar(vp, SPACING, DT, storage=Storage(stride=2), **settings)["pressure"].square().sum()
    with pytest.raises(RuntimeError, match="second derivatives"):
        torch.autograd.grad(loss, vp, create_graph=True)


def test_migration_does_not_propagate_what_is_not_scattered(residual, monkeypatch):
    """With a zero perturbation the image is that of the full Born program, for half the work."""
    from wavepipe.propagators import scalar_born
    from wavepipe.propagators.backends import c

    vp, settings = survey()
    images, sizes = [], []
    original = c.Compiled.run

    def run(self, sweep):
        sizes.append(len(sweep.program.fields))
        return original(self, sweep)

    monkeypatch.setattr(c.Compiled, "run", run)
    for value in (0.0, 1e-30):
        scatter = torch.full(SHAPE, value).requires_grad_()
        traces = scalar_born(vp, scatter, SPACING, DT, storage=Storage(stride=4), **settings)
        traces["pressure"].backward(residual)
        images.append(scatter.grad)
    assert not torch.equal(images[0], torch.zeros(SHAPE))
    assert torch.equal(*images)
    assert sizes[0] < 0.6 * sizes[2]  # forward without and with the scattered fields
