"""What every physics must do up to rounding: transposes, derivatives, and equal back-ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
import pytest
import torch
from random_surveys import LAYERS, RandomSurvey, dot_gap
from waves import relative

from wavepipe.propagators import forward_run, propagation
from wavepipe.propagators.backends.reference import Reference
from wavepipe.propagators.errors import ModelError
from wavepipe.propagators.physics.names import PARAMETERS

SEEDS = range(5)

# Rounding of sums of some thousand terms; normalised by norms.
DOT_LIMIT = {torch.float64: 1e-13, torch.float32: 1e-6}

# The same terms summed in another order, some dozen steps long.
ROUNDING = {torch.float64: 1e-12, torch.float32: 2e-5}

F64, F32 = torch.float64, torch.float32


class Exactness:
    """In every physics and number of dimensions."""

    physics: ClassVar[str]
    ndim: int

    @pytest.fixture(autouse=True)
    def dimensions(self, ndim: int) -> None:
        self.ndim = ndim

    def survey(self, faces: str = "z0", order: int = 4, dtype=F64, **options) -> RandomSurvey:
        return RandomSurvey(self.physics, self.ndim, faces, order, dtype, **options)

    @property
    def parameters(self) -> tuple[str, ...]:
        return PARAMETERS[self.physics]

    def test_forward_and_adjoint_are_transposes(self, faces, order, dtype):
        """<L q, d> = <q, L' d> for each source type and each receiver type by itself."""
        for seed in SEEDS:
            survey = self.survey(faces, order, dtype, seed=seed)
            given = {name: one.requires_grad_() for name, one in survey.amplitudes.items()}
            together = survey.record(amplitudes=given)
            alone = {name: survey.record(amplitudes={name: given[name].detach()}) for name in given}
            for receiver, gather in together.items():
                cotangent = survey.noise(gather.shape)
                gradients = torch.autograd.grad(
                    gather, tuple(given.values()), cotangent, retain_graph=True
                )
                for source, gradient in zip(given, gradients, strict=True):
                    output = alone[source][receiver]
                    assert output.norm() > 0, (source, receiver)
                    gap = dot_gap(output, cotangent, given[source], gradient)
                    assert gap < DOT_LIMIT[dtype], (source, receiver, seed)

    def test_born_and_migration_are_transposes(self, faces, order, dtype):
        """<J m, d> = <m, J' d> for each parameter, and all of them, into each receiver type."""
        for seed in SEEDS:
            survey = self.survey(faces, order, dtype, seed=seed)
            chosen = {name: (name,) for name in self.parameters} | {"all": self.parameters}
            changes = {name: survey.direction(*of) for name, of in chosen.items()}
            scattered = {name: survey.record(scatter=one) for name, one in changes.items()}
            for receiver, gather in scattered["all"].items():
                cotangent = survey.noise(gather.shape)
                scatter = {
                    n: torch.zeros_like(m).requires_grad_() for n, m in survey.models.items()
                }
                recorded = survey.record(scatter=scatter)[receiver]
                found = torch.autograd.grad(recorded, tuple(scatter.values()), cotangent)
                gradient = torch.stack(found)
                for name, change in changes.items():
                    output, given = scattered[name][receiver], torch.stack(tuple(change.values()))
                    assert output.norm() > 0, (name, receiver)
                    gap = dot_gap(output, cotangent, given, gradient)
                    assert gap < DOT_LIMIT[dtype], (name, receiver, seed)

    def test_compiled_equals_reference(self, faces, order, dtype):
        """Gathers, and gradients in the earth model and the sources, in the perturbation of it."""
        found = [
            self.results(self.survey(faces, order, dtype, backend=backend, nt=8))
            for backend in ("c", "reference")
        ]
        for name, ours in found[0].items():
            assert relative(ours, found[1][name]) < ROUNDING[dtype], name

    @pytest.mark.slow
    def test_compiled_equals_reference_for_every_gradient_of_born_modelling(self):
        """Of a perturbation around a background that requires a gradient as well."""
        ours, theirs = (
            self.results(self.survey(backend=backend, nt=8), background=True)
            for backend in ("c", "reference")
        )
        for name, one in ours.items():
            assert relative(one, theirs[name]) < ROUNDING[F64], name

    def test_gradients_equal_torch_autograd_through_the_reference(self):
        """Our adjoint of the program against torch's of the interpreted steps.

        Torch keeps every operand of every step (gigabytes in 3-D): steps beyond the samples, which
        the correction of time dispersion would add, are left out.
        """
        few = {"nt": 5, "backend": "reference", "options": {"correct_time_dispersion": False}}
        ours = self.results(self.survey(**few), background=True)
        with autograd_through_the_reference():
            theirs = self.results(self.survey(**few), background=True)
        for name, one in ours.items():
            assert relative(one, theirs[name]) < 1e-12, name

    def test_born_modelling_is_the_derivative_of_the_forward_operator(self):
        """Central differences of every gather, parameter by parameter, and all together."""
        survey = self.survey()
        for parameters in (*((name,) for name in self.parameters), self.parameters):
            direction, step = survey.direction(*parameters), 1e-3
            plus, minus = (survey.record(survey.moved(direction, s)) for s in (step, -step))
            tangent = survey.record(scatter=direction)
            for name, linear in tangent.items():
                difference = (plus[name] - minus[name]) / (2 * step)
                assert relative(difference, linear) < 1e-7, (parameters, name)  # step squared

    @pytest.mark.slow
    def test_a_parameter_scatters_alone_as_it_does_among_others(self):
        """Its program lacks what the others need."""
        survey = self.survey()
        for name in self.parameters:
            direction = survey.direction(name)
            among, alone = (
                survey.record(scatter=one) for one in (direction, {name: direction[name]})
            )
            for receiver, gather in among.items():
                assert relative(alone[receiver], gather) < 1e-12, (name, receiver)

    def test_the_misfit_gradient_predicts_the_misfit_to_second_order(self):
        """Phi(m + h dm) - Phi(m) - h <grad Phi, dm> falls as h^2, for each parameter."""
        survey = self.survey()
        observed = self.survey(seed=1).record(amplitudes=survey.amplitudes)
        scale = {name: float(one.square().sum()) for name, one in observed.items()}

        def misfit(models):
            found = survey.record(models)
            return sum((found[n] - observed[n]).square().sum() / scale[n] for n in observed)

        models = {name: one.clone().requires_grad_() for name, one in survey.models.items()}
        start = misfit(models)
        found = torch.autograd.grad(start, tuple(models.values()))
        gradient = dict(zip(models, found, strict=True))
        sizes = np.array([0.02, 0.01, 0.005])
        for name in self.parameters:
            direction = survey.direction(name)
            slope = float((gradient[name] * direction[name]).sum())
            rest = [
                abs(float(misfit(survey.moved(direction, h)) - start.detach()) - h * slope)
                for h in sizes
            ]
            falls = np.polyfit(np.log(sizes), np.log(rest), 1)[0]
            assert falls == pytest.approx(2.0, abs=0.1), name

    def test_a_model_per_shot_gives_what_separate_runs_give(self):
        """Gathers and gradients; absent receivers record zero."""
        survey = self.survey()
        models = {
            name: torch.stack([one, one + change]).requires_grad_()
            for (name, one), change in zip(
                survey.models.items(), survey.direction(*self.parameters).values(), strict=True
            )
        }
        receivers = {name: places.copy() for name, places in survey.receivers.items()}
        for places in receivers.values():
            places[1, 2] = np.nan
        together = survey.record(models, receivers=receivers)
        cotangents = [survey.noise(one.shape) / one.detach().norm() for one in together.values()]
        gradients = torch.autograd.grad(
            tuple(together.values()), tuple(models.values()), cotangents
        )
        for shot in (0, 1):
            alone = {name: one[shot].detach().requires_grad_() for name, one in models.items()}
            single = survey.record(alone, receivers=receivers)
            for name, gather in together.items():
                assert relative(gather[shot].detach(), single[name][shot].detach()) < 1e-12, name
            found = torch.autograd.grad(
                [one[shot] for one in single.values()],
                tuple(alone.values()),
                [one[shot] for one in cotangents],
            )
            for ours, gradient in zip(gradients, found, strict=True):
                assert relative(ours[shot], gradient) < 1e-12
        for gather in together.values():
            assert not gather[1, 2].any()

    def test_one_cell_thick_models_are_refused(self):
        """The message says how many cells are needed, along which axis."""
        survey = self.survey()
        for axis, letter in enumerate("zyx" if self.ndim == 3 else "zx"):
            thin = {name: one.narrow(axis, 0, 1) for name, one in survey.models.items()}
            places = {
                name: np.where(np.arange(self.ndim) == axis, 0.0, where)
                for name, where in (survey.sources | survey.receivers).items()
            }
            flat = self.survey(LAYERS)
            flat.sources = {name: places[name] for name in survey.sources}
            with pytest.raises(ModelError, match=f"has 1 cells along {letter}; .* at least"):
                flat.record(thin, receivers={"pressure": places["pressure"]})

    def results(self, survey: RandomSurvey, *, background: bool = False) -> dict[str, torch.Tensor]:
        """Gathers and gradients of forward and Born modelling, by name.

        With `background`, Born modelling is differentiated in everything.
        """
        scatter = {n: one.requires_grad_() for n, one in survey.direction(*self.parameters).items()}
        models = {name: one.clone().requires_grad_() for name, one in survey.models.items()}
        amplitudes = {n: one.clone().requires_grad_() for n, one in survey.amplitudes.items()}
        both = [*models.values(), *amplitudes.values()]
        born_of = (models, amplitudes) if background else (None, None)
        found = {}
        for what, given, recording in (
            ("forward", both, survey.record(models, amplitudes)),
            (
                "born",
                [*scatter.values(), *(both if background else ())],
                survey.record(*born_of, scatter=scatter),
            ),
        ):
            gathers = {name: one.detach() for name, one in recording.items()}
            cotangents = [survey.noise(one.shape) / one.norm() for one in gathers.values()]
            gradients = torch.autograd.grad(tuple(recording.values()), given, cotangents)
            found |= {f"{what} {name}": one for name, one in gathers.items()}
            found |= {f"{what} gradient {i}": one for i, one in enumerate(gradients)}
        return found


@contextmanager
def autograd_through_the_reference() -> Iterator[None]:
    """Propagation by torch's own differentiation of the reference step, no adjoint of ours."""

    def run(call, amplitudes, coefficients):
        sweep = forward_run.forward_sweep(call, amplitudes, coefficients)
        return dict(Reference().run(sweep).recorded)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(propagation.Propagation, "run", run)
        yield
