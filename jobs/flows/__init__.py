"""What runs by the clock, with Prefect; `python -m jobs schedule` serves it.

months.py      which months
tasks.py       the task that scores one file: trips, or any table
report.py      what came of a file, as Prefect's pages show it
rides.py       two flows of ride durations: the month before, and many past months
retraining.py  and the third: a month that has drifted is learned, and the functions follow
log.py         what the jobs say, said in the log of a run
"""

import os

# Prefect's client tells its makers of its first uses, from the moment of its import.
os.environ.setdefault("DO_NOT_TRACK", "1")
