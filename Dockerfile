# A CPU image: `docker build -t wavepipe .`, then
# `docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" wavepipe rtm job.yaml`.
FROM python:3.11-slim

# The compiler stays in the image: kernels are emitted and compiled at first use, for the CPU
# that runs them.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/wavepipe

# Dependencies in a layer of their own, so that a change of source does not download torch again.
# PyTorch's own index has the CPU build; the one on PyPI brings gigabytes of CUDA libraries.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; print('\n'.join(project['dependencies'] + ['setuptools']))" > requirements.txt \
    && pip install --no-cache-dir --constraint constraints.txt \
        --extra-index-url https://download.pytorch.org/whl/cpu --requirement requirements.txt

COPY README.md LICENSE ./
COPY cli cli
COPY pipeline pipeline
COPY propagators propagators
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

# Jobs read and write mounted folders, so nothing needs root. The caches lie where any user id
# (docker run --user) may write.
RUN useradd --create-home wavepipe \
    && install --directory --mode=1777 /var/cache/wavepipe
ENV WAVEPIPE_CACHE=/var/cache/wavepipe \
    MPLCONFIGDIR=/var/cache/wavepipe/matplotlib
USER wavepipe
WORKDIR /work

ENTRYPOINT ["wavepipe"]
CMD ["--help"]
