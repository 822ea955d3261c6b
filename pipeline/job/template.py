"""Commented job files to start from; each runs as it is.

``model`` makes the data that ``rtm`` and ``fwi`` then use, so the three can be run one after the
other in the same folder.
"""

from typing import Literal

_HEAD = {
    "model": """\
# wavepipe job: model the gathers of a survey.
# Run it:  wavepipe model {file}
# Then look into {folder}: figures/, shots.sgy, results.zarr.
# Every key that is left out has its default; paths are relative to this file.
""",
    "rtm": """\
# wavepipe job: image a survey by reverse-time migration.
# Run it:  wavepipe rtm {file}
# Its data come from 'wavepipe init model' and 'wavepipe model model.yaml' in this folder;
# put your own SEG-Y file and velocity model in their place.
# Every key that is left out has its default; paths are relative to this file.
""",
    "fwi": """\
# wavepipe job: invert a survey for the earth model.
# Run it:  wavepipe fwi {file}
# Its data come from 'wavepipe init model' and 'wavepipe model model.yaml' in this folder;
# put your own SEG-Y file and starting model in their place.
# Every key that is left out has its default; paths are relative to this file.
""",
}

_EARTH_MODEL = """
kind: {kind}
physics: scalar                    # constant-density acoustics | acoustic: rho | elastic: vs, rho

earth_model:
{vp}
  # Other ways to give vp (unit and axis order are stated, never guessed):
  #   vp: {{path: vp.npy, axes: [z, x], unit: m/s}}
  #   vp: {{path: vp.bin, shape: [101, 301], dtype: <f4, axes: [z, x], unit: m/s}}
  #   vp: {{path: vp.zarr, name: vp}}
  #   vp: {{path: vp.sgy}}
  #   vp: {{constant: 1500}}   or   {{gradient: {{top: 1500, per_metre: 0.6}}}}
  spacing: [10, 10]                # m, [dz, dx] or [dz, dy, dx]
  origin: [0, 0]                   # m, position of the first node
  shape: [101, 301]                # cells; only where no file gives them
"""

_TRUE = """\
  vp:                              # m/s
    layers:
      tops: [0, 200, 450, 700]     # m
      values: [1600, 1900, 2300, 2700]"""

_SMOOTH = """\
  vp:                              # m/s
    layers:
      tops: [0, 200, 450, 700]     # m
      values: [1600, 1900, 2300, 2700]
    smoothing: {smoothing}                  # m; {why}"""

_LAYOUT = """
survey:
  layout:                          # fixed_spread | towed | nodes | table: geometry.csv
    fixed_spread:
      sources: {x: {start: 250, stop: 2750, step: 250}, depth: 10}     # m
      receivers: {x: {start: 0, stop: 3000, step: 20}, depth: 20}      # m
  dt: 0.004                        # s, sample interval of the gathers
  nt: 376                          # samples: 1.5 s
  # components: [vz, vx, pressure] # acoustic and elastic; shots_vz.sgy and so on
  # source: fz                     # pressure | fz | fy | fx | {moment: [[1, 0], [0, 1]]}
  # data: field.sgy                # instead of layout, dt and nt: the geometry of a SEG-Y file
  aperture: null                   # m beyond sources and receivers; null: the whole model
"""

_DATA = """
survey:
  data: runs/model/shots.sgy       # SEG-Y: a file, list or pattern; or {vz: a.sgy, vx: b.sgy}
  shots: all                       # all | "0:100:2" | [1, 5, 9]
  depths: auto                     # auto | elevation | depth | {source: 6, receiver: 10}
  outside: error                   # positions outside the model: error | drop
  aperture: null                   # m beyond sources and receivers; null: the whole model
"""

_PROPAGATION = """
wavelet:                           # source time function
  ricker: {peak_frequency: 10, delay: 0.15}                # Hz, s
  # ormsby: {frequencies: [2, 5, 20, 30], delay: 0.3}      # Hz, s
  # path: wavelet.npy              # with dt: 0.004

propagator:
  order: 8                         # of accuracy in space: 2 | 4 | 6 | 8
  pml_width: 20                    # absorbing layer around the model, cells
  free_surface: []                 # faces where pressure or traction is zero: [z0]
"""

_RTM = """
rtm:
  mute: {velocity: 1600, flat: 0.25, taper: 0.1}   # direct arrival: m/s, s, s; null: none
  low_cut: 40                      # m; removes image variations much longer than this
  illumination: true               # divide by the source illumination
"""

_FWI = """
fwi:
  parameters: {vp: {bounds: [1400, 3200]}}         # m/s
  misfit: l2
  optimizer: {lbfgs: {memory: 8}}  # or {adam: {step_length: 20}}, {sgd: {step_length: 20}}
  stages:                          # low frequencies first
    - {max_frequency: 6, iterations: 4}
    - {max_frequency: 12, iterations: 4}
  smoothing: 20                    # m, Gaussian on the gradient
"""

_END = """
# Workers: local | cuda | slurm | pbs | lsf | sge | oar | htcondor | static (srun, mpirun) | address
cluster: {{kind: local, workers: auto}}            # or {{kind: address, address: "tcp://host:8786"}}
run: {{max_failed_shots: 0, seed: 0}}
output: {{folder: {folder}, segy: true, figures: true}}
"""

DATA_OF_MODEL = "runs/model/shots.sgy"
"""What the model template writes and the others read, relative to their folder."""


def job_template(kind: Literal["model", "rtm", "fwi"], file: str) -> str:
    """The text of a job file that runs.

    Parameters
    ----------
    kind
        Of the job.
    file
        Name it will have, for its comments.
    """
    folder = f"runs/{kind}"
    smooth = {
        "model": _TRUE,
        "rtm": _SMOOTH.format(smoothing=60, why="migration wants no sharp reflectors"),
        "fwi": _SMOOTH.format(smoothing=120, why="the start; the inversion sharpens it"),
    }[kind]
    parts = [
        _HEAD[kind].format(file=file, folder=folder),
        _EARTH_MODEL.format(kind=kind, vp=smooth),
        _LAYOUT if kind == "model" else _DATA,
        _PROPAGATION,
        {"model": "", "rtm": _RTM, "fwi": _FWI}[kind],
        _END.format(folder=folder),
    ]
    return "".join(parts)
