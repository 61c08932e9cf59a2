"""A program that ends by itself: how long it took, and the most memory it had.

python -m benchmarks.timed WORDS…
"""

import os
import subprocess
import sys
import time

import msgspec


def run(words: list[str]) -> None:
    """Runs it; the last line that is printed is JSON: `seconds`, and `peak_mb` of its own process."""
    began = time.perf_counter()
    program = subprocess.Popen(words)
    _, status, used = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    kilobytes = used.ru_maxrss
    print(msgspec.json.encode({"seconds": seconds, "peak_mb": kilobytes * 1024 / 1e6}).decode(), flush=True)
    sys.exit(program.returncode)


if __name__ == "__main__":
    run(sys.argv[1:])
