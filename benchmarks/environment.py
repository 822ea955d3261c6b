"""The other code's own virtual environment, made once and kept beside ours."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".venv-deepwave"
DEEPWAVE = "deepwave==0.1.0"

# Both sides use the same torch; its CPU build satisfies the same pin.
SHARED = ("torch", "numpy")


def pinned(names: tuple[str, ...]) -> list[str]:
    """Requirements of `names` with the exact versions that our own environment has."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {line.split("==")[0]: line for line in lines if "==" in line}
    return [pins[name] for name in names]


def deepwave_python() -> Path:
    """Path of a Python that has Deepwave and the same torch as ours, made at the first call."""
    python = FOLDER / "bin" / "python"
    stamp = FOLDER / ".ready"
    requirements = [DEEPWAVE, *pinned(SHARED)]
    wanted = "\n".join(requirements)
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", *requirements]
    subprocess.run(install, check=True, stdout=sys.stderr)
    stamp.write_text(wanted)
    return python
