"""What the exit status of a command means; `STOPPED`: stopped from outside, and can go on."""

from wavepipe.pipeline.errors import STOPPED as STOPPED

DONE = 0
"""Every shot accounted for."""

UNEXPECTED = 1
"""A bug; the message says where the traceback is."""

REFUSED = 2
"""A bad job, bad input, or anything else that was found before the work started."""

FAILED_SHOTS = 3
"""More shots failed than ``run.max_failed_shots`` allows."""
