"""One code in a process of its own, seen from the process that compares."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from benchmarks.cases import Case
from benchmarks.environment import ROOT


class Side:
    """A worker process; it computes only while an answer is awaited.

    Parameters
    ----------
    storage
        Options of our `Storage`; as the case says if None.
    """

    def __init__(
        self,
        python: Path,
        code: str,
        case: Case,
        threads: int,
        storage: Mapping[str, Any] | None = None,
    ) -> None:
        request = {"code": code, "case": asdict(case), "threads": threads, "storage": storage}
        self.code = code
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        self._answer()

    @property
    def pid(self) -> int:
        """Process number of the worker."""
        return self._process.pid

    def ask(self, do: str, **details: str) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            message = f"the process of {self.code} ended with code {self._process.wait()}"
            raise RuntimeError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
