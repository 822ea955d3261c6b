"""The three jobs in 3-D, one after the other, on a model of a few cells."""

import numpy as np
import zarr
from toy_jobs import toy_job, write_models

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.segy.images import read_model_segy
from wavepipe.pipeline.survey import read_survey


def test_a_three_dimensional_survey_is_modelled_imaged_and_inverted(tmp_path):
    write_models(tmp_path, ndim=3)
    small = {"propagator__pml_width": 5, "survey__aperture": 60}
    modelled = model_survey(toy_job(tmp_path, "model", 3, **small), cluster=InProcess())
    survey = read_survey(modelled.folder / "shots.sgy", ndim=3)
    assert survey.n_shots == 4
    assert set(survey.source_positions[:, 1]) == {55.0, 150.0}
    assert np.isfinite(survey.gather(0)).all()
    assert survey.gather(0).any()

    imaged = migrate_survey(toy_job(tmp_path, "rtm", 3, **small), cluster=InProcess())
    image = np.asarray(zarr.open_array(imaged.folder / "results.zarr" / "image", mode="r")[...])
    stored, spacing, _ = read_model_segy(imaged.folder / "image.sgy")
    assert image.shape == (20, 22, 26)
    assert image.any()
    assert np.array_equal(stored, image)
    assert tuple(spacing) == (10.0, 10.0, 10.0)

    inverted = invert_survey(
        toy_job(tmp_path, "fwi", 3, **small, fwi__stages="[{max_frequency: 12.0, iterations: 2}]"),
        cluster=InProcess(),
    )
    true, start = np.load(tmp_path / "true.npy"), np.load(tmp_path / "start.npy")
    result = np.load(inverted.folder / "vp.npy")
    assert np.linalg.norm(result - true) < np.linalg.norm(start - true)
    misfit = np.asarray(zarr.open_array(inverted.folder / "results.zarr" / "misfit", mode="r")[...])
    assert misfit[2] < misfit[1] < misfit[0]
