"""A process that holds one code and runs a case when told to.

Lines of JSON come in on standard input and go out on what was standard output; whatever a
library prints goes to standard error.
"""

import gc
import json
import os
import resource
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.bound import copy_bandwidth
from benchmarks.cases import Case
from benchmarks.codes import CODES, Code, Wavepipe


def load(make: Callable[[Case], Code], case: Case) -> tuple[Code, float]:
    """Load a code and its case; also the memory that the process then holds, MB.

    A tiny run of the same kind comes first, so that libraries, kernels and threads are not
    counted as memory of the run.
    """
    shape = (110,) * 2 if case.ndim == 2 else (60,) * 3
    tiny = replace(case, shape=shape, nt=40, half_spread=min(case.half_spread, 16))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its wavelet is cut short, which nobody looks at
        make(tiny).run()
    code = make(case)
    gc.collect()
    return code, _status_mb("VmRSS")


def first_run(code: Code, resident: float, folder: Path, name: str) -> dict[str, Any]:
    """Run once and write what comes out: seconds, the peak of memory above `resident`, choices."""
    _forget_peak()
    start = perf_counter()
    result = code.run()
    seconds, peak = perf_counter() - start, _peak_mb()
    np.save(folder / f"{name}-gather.npy", result.gather.numpy())
    if result.gradient is not None:
        np.save(folder / f"{name}-gradient.npy", result.gradient.numpy())
    return {
        "seconds": seconds,
        "rss_mb": peak - resident,
        "chosen": code.chosen,
        "versions": code.versions(),
    }


def timed_run(code: Code) -> dict[str, Any]:
    """Seconds of one run; what it leaves behind is dropped outside the clock."""
    start = perf_counter()
    result = code.run()
    seconds = perf_counter() - start
    del result
    gc.collect()
    return {"seconds": seconds}


def gradient_of_every_step(case: Case, folder: Path) -> dict[str, Any]:
    """Write our gradient with the wavefield kept at every step."""
    gradient = Wavepipe(case, {"stride": 1}).run().gradient
    assert gradient is not None
    np.save(folder / "ours-gradient-stride1.npy", gradient.numpy())
    return {}


def serve(request: dict[str, Any], answer: Callable[[dict[str, Any]], None]) -> None:
    """Answer commands until standard input ends."""
    torch.set_num_threads(request["threads"])
    case = Case(**{**request["case"], "shape": tuple(request["case"]["shape"])})
    name, storage = request["code"], request.get("storage")
    make = CODES[name] if storage is None else partial(Wavepipe, storage=storage)
    code, resident = load(make, case)
    answer({})
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "first":
            answer(first_run(code, resident, Path(command["folder"]), name))
        elif command["do"] == "time":
            answer(timed_run(code))
        elif command["do"] == "every_step":
            answer(gradient_of_every_step(case, Path(command["folder"])))
        elif command["do"] == "copy":
            answer({"bandwidth": copy_bandwidth()})


def _peak_mb() -> float:
    """Largest memory this process held since `_forget_peak`, MB."""
    try:
        return _status_mb("VmHWM")
    except KeyError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _forget_peak() -> None:
    """Start a new peak where the kernel allows it; in a fresh process the old one is small."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _status_mb(key: str) -> float:
    """One of the kernel's counts of this process's memory, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return int(values[key].split()[0]) / 1024


def main() -> None:
    """Start from one JSON argument: code, case, number of threads and perhaps storage."""
    request = json.loads(sys.argv[1])
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")

    serve(request, answer)


if __name__ == "__main__":
    main()
