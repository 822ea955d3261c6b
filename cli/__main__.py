"""``python -m wavepipe.cli``: the same as ``wavepipe``."""

from wavepipe.cli.main import main

main()
