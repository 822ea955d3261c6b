"""Gathers of Deepwave, for tests: run by a Python that has it, `python THIS IN.npz OUT.npz`."""

import json
import sys

import deepwave
import numpy as np
import torch


def main(given: str, found: str) -> None:
    """Propagate once and write one array (n_shots, n_receivers, nt) per receiver channel.

    The input holds "options" (JSON: physics and keywords of the propagator), "model_vp" and so on,
    and by channel "amplitudes_<channel>", "sources_<channel>" and "receivers_<channel>".
    """
    torch.set_num_threads(1)
    arrays = np.load(given)
    options = json.loads(str(arrays["options"]))
    named = {
        key.partition("_"): torch.from_numpy(arrays[key]) for key in arrays if key != "options"
    }
    models = {name: array for (kind, _, name), array in named.items() if kind == "model"}
    sources = {
        name: (array, named["sources", "_", name])
        for (kind, _, name), array in named.items()
        if kind == "amplitudes"
    }
    receivers = {name: array for (kind, _, name), array in named.items() if kind == "receivers"}
    physics = options.pop("physics")
    parameters = tuple(models[name] for name in ("vp", "vs", "rho") if name in models)
    if physics == "elastic":
        parameters = deepwave.vpvsrho_to_lambmubuoyancy(*parameters)
    propagate = {"acoustic": deepwave.acoustic, "elastic": deepwave.elastic}[physics]
    with torch.no_grad():
        output = propagate(*parameters, sources=sources, receivers=receivers, **options)
    if output.info.step_ratio != 1:
        sys.exit(f"{output.info.step_ratio} internal steps per sample, not 1")
    np.savez(found, **{name: output.receivers[name].numpy() for name in receivers})


if __name__ == "__main__":
    main(*sys.argv[1:])
