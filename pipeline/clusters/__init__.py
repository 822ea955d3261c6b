"""Where workers come from: a machine, a batch system, GPUs, a running scheduler; how they end."""
