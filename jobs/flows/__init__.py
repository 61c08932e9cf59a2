"""Scheduled runs with Prefect; `python -m jobs schedule` serves them.

tasks.py        the task that scores one file: trips, or any table
artifacts.py    the report on a scored file that Prefect's UI shows
scoring.py      two flows of ride durations: the month before, and a backfill of past months
retraining.py   the flow that retrains and promotes when a month has drifted
run_console.py  the jobs' console output, sent to the log of a flow run
"""

import os

# Prefect's client sends telemetry from the moment it is imported.
os.environ.setdefault("DO_NOT_TRACK", "1")
