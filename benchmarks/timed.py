"""Measures a program that exits by itself: duration, CPU time and peak memory.

python -m benchmarks.timed COMMAND [ARGUMENT …]
"""

import os
import subprocess
import sys
import time

import msgspec


def run(argv: list[str]) -> None:
    """Runs the program, prints its figures as a line of JSON, and exits with its exit code.

    `cpu_seconds` includes its child processes; `peak_mb` is that of the largest of these processes.
    """
    start = time.perf_counter()
    program = subprocess.Popen(argv)
    _, status, usage = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    figures = {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6,
    }
    print(msgspec.json.encode(figures).decode(), flush=True)
    sys.exit(program.returncode)


if __name__ == "__main__":
    run(sys.argv[1:])
