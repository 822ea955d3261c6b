"""What is installed is what the folders hold, and the documented examples run."""

import doctest
import importlib
import importlib.util
import os
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("cli", "pipeline", "propagators")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())


def source_files(pattern: str) -> list[Path]:
    """Files of the three rooms, relative to the root, without caches."""
    found = (path for room in ROOMS for path in (ROOT / room).rglob(pattern) if path.is_file())
    return sorted(path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts)


def module_name(path: Path) -> str:
    """Import name of a Python file given relative to the root."""
    parts = ("wavepipe", *path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [module_name(path) for path in source_files("*.py")]


def test_every_folder_with_code_is_a_package_that_installs():
    folders = {path.parent for path in source_files("*.py")}
    missing = [str(folder) for folder in folders if not (ROOT / folder / "__init__.py").is_file()]
    assert missing == []
    expected = {".".join(("wavepipe", *folder.parts)) for folder in folders}
    assert set(SETTINGS["tool"]["setuptools"]["packages"]) == expected


def test_every_data_file_ships():
    patterns = SETTINGS["tool"]["setuptools"]["package-data"]["*"]
    left_behind = [
        str(path)
        for path in source_files("*")
        if path.suffix != ".py" and not any(fnmatch(path.name, pattern) for pattern in patterns)
    ]
    assert left_behind == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_marked_as_typed(room):
    assert (ROOT / room / "py.typed").is_file()


def test_type_checkers_see_the_import_names():
    for room in ROOMS:
        link = ROOT / ".typing" / "wavepipe" / room
        assert link.is_symlink()
        assert link.resolve() == ROOT / room


def test_nothing_installs_under_the_bare_name_of_a_room():
    # The root of the repository is not on the path here: `import pipeline` would otherwise give
    # a second copy of every class.
    assert str(ROOT) not in sys.path
    for room in ROOMS:
        assert importlib.util.find_spec(room) is None


def test_dependencies_are_pinned_to_exact_versions():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(line.count("==") == 1 for line in pins)
    names = {line.split("==")[0].lower().replace("_", "-") for line in pins}
    wanted = [
        *SETTINGS["project"]["dependencies"],
        *SETTINGS["project"]["optional-dependencies"]["dev"],
    ]
    for requirement in wanted:
        name = requirement.split(">")[0].split("<")[0].split("=")[0].strip()
        assert name.lower() in names


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_the_examples_in_docstrings_hold(name):
    # Imported by its own name: `pytest --doctest-modules` would import a second copy.
    failures, _ = doctest.testmod(importlib.import_module(name))
    assert failures == 0


@pytest.mark.parametrize(
    "name", ["wavepipe.cli.main", "wavepipe.pipeline.job", "wavepipe.propagators.errors"]
)
def test_a_bad_job_is_answered_without_loading_heavy_libraries(name):
    heavy = ("torch", "dask", "distributed", "scipy", "matplotlib", "xarray", "zarr")
    program = f"import sys, {name}; print(*[m for m in {heavy!r} if m in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    assert answer.stdout.split() == []
