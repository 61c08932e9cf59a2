"""python -m jobs.dataflow.worker LEASH GRACE: a worker's process on this machine.

It is Beam's own, but it ends with the command that started it, and not by the Ctrl-C that is meant for that.
"""

import signal
import sys

from jobs.dataflow.leash import end_without


def main(leash: str, grace_seconds: float) -> None:
    """Works until the runner or the leash is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_without(leash, grace_seconds)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
