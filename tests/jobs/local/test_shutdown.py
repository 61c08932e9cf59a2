"""What `make` starts ends with it."""

import os
import subprocess
import sys

PROGRAM = """
import sys, time
from jobs.local.shutdown import SignalReceived, raise_on_signal, stop_with_make
try:
    with raise_on_signal():
        stop_with_make()
        print("ready", flush=True)
        time.sleep(60)
except SignalReceived as received:
    print(received, flush=True)
"""


def test_a_killed_make_ends_what_it_started():
    shell = f"{sys.executable} -c '{PROGRAM}'; true"
    make = subprocess.Popen(
        ["sh", "-c", shell], stdout=subprocess.PIPE, text=True, env=os.environ | {"MAKELEVEL": "1"}
    )
    with make.stdout as output:
        assert output.readline() == "ready\n"
        make.kill()
        make.wait()

        assert output.read() == "SIGTERM\n"
