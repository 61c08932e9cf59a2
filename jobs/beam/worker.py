"""python -m jobs.beam.worker LOCK_PATH GRACE_SECONDS: a worker process on this machine.

Runs Beam's own worker, but ends with the command that started it, and ignores the Ctrl-C meant for that.
"""

import os
import signal
import sys
import traceback
from contextlib import redirect_stderr
from pathlib import Path

from jobs.beam.watchdog import exit_when_released


def main(lock_path: str, grace_seconds: float) -> None:
    """Works until the runner ends or the watchdog's lock is released."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    exit_when_released(lock_path, grace_seconds)
    from apache_beam.runners.worker import sdk_worker_main

    try:
        # The command reports errors in bundles; Beam prints them here, too, and blocks until they are read.
        with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
            sdk_worker_main.main([])
    except Exception:
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
