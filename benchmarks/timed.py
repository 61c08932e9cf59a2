"""A program that ends by itself: how long it took, its processors' time, and the most memory it had.

python -m benchmarks.timed WORDS…
"""

import os
import subprocess
import sys
import time

import msgspec


def run(words: list[str]) -> None:
    """Runs it; the last line that is printed is JSON.

    `seconds`; `cpu_seconds` of it and all that it started; `peak_mb` of the largest of these processes.
    """
    began = time.perf_counter()
    program = subprocess.Popen(words)
    _, status, used = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    took = {
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss * 1024 / 1e6,
    }
    print(msgspec.json.encode(took).decode(), flush=True)
    sys.exit(program.returncode)


if __name__ == "__main__":
    run(sys.argv[1:])
