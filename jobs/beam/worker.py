"""python -m jobs.beam.worker LEASH GRACE: a worker's process on this machine.

It is Beam's own, but it ends with the command that started it, and not by the Ctrl-C that is meant for that.
"""

import os
import signal
import sys
import traceback
from contextlib import redirect_stderr
from pathlib import Path

from jobs.beam.watchdog import end_without


def main(leash: str, grace_seconds: float) -> None:
    """Works until the runner or the leash is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_without(leash, grace_seconds)
    from apache_beam.runners.worker import sdk_worker_main

    try:
        # What fails in a bundle is said by the command; Beam prints it here, too, and waits for a reader.
        with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
            sdk_worker_main.main([])
    except Exception:
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
