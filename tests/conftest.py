"""Fixtures that every test file may use, and the conditions under which tests are skipped."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need a CUDA device or SLURM where there is none."""
    missing = {}
    if any("gpu" in item.keywords for item in items):
        import torch

        if not torch.cuda.is_available():
            missing["gpu"] = "needs a CUDA device"
    if any("slurm" in item.keywords for item in items) and not slurm_answers():
        missing["slurm"] = "needs a running SLURM: .ci/start-slurm"
    for item in items:
        for mark, reason in missing.items():
            if mark in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


def slurm_answers() -> bool:
    """Whether there is a SLURM on this machine, and it runs."""
    if shutil.which("slurmctld") is None:
        return False
    return subprocess.run(["scontrol", "ping"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of the shared models, surveys and waveforms; tests skip where it is absent."""
    named = os.environ.get("WAVEPIPE_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}; WAVEPIPE_TEST_DATA names the folder")
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root folder of the repository."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def quiet_figures() -> None:
    """Figures are drawn to files, on a machine that may have no display."""
    os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture
def scratch_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder for scratch, in which nothing may be left; nor may threads or open files."""
    from spill_disks import check_nothing_left

    folder = tmp_path / "scratch"
    folder.mkdir()
    yield folder
    check_nothing_left(folder)
    assert not [t for t in threading.enumerate() if t.name.startswith("wavefield")]
