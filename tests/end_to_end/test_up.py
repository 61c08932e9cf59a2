"""`make up`: stays, and what it prints works."""

import re
import signal
import subprocess
import time

import requests

from jobs.local.up import REPLAYED_RIDES, REPORT
from jobs.settings import PROJECT_ROOT


def test_up_stays_and_what_it_prints_works(start, trips):
    local = start("up", TRIPS=trips)
    local.wait_for("# list dead letters")
    time.sleep(0.5)
    before, _, after = local.output.partition("paste this first:\n\n")
    pages = re.findall(
        r"https?://\S+$", before.partition("Open in a browser:")[2].partition("Running:")[0], re.M
    )
    source, commands = after.splitlines()[0], re.findall(r"^# .*\n(.*)$", after, re.MULTILINE)
    assert len(commands) == 7

    assert len(pages) == 3
    for page in pages:
        assert requests.get(page, timeout=10).ok

    REPORT.unlink(missing_ok=True)
    answers = [paste(f"{source}\n{command}") for command in commands]

    over_http = re.fullmatch(r'\{"duration":([\d.]+),"model_version":"1"\}', answers[0].stdout.strip())
    as_event = re.search(r'"ride_duration":([\d.]+)', answers[1].stdout)
    assert over_http[1] == as_event[1]
    assert f"{REPLAYED_RIDES} events sent" in answers[2].stderr
    assert f"{REPLAYED_RIDES} joined" in answers[3].stdout, answers[3].stdout
    assert re.search(r"✓ all \d+ checks", answers[4].stdout), answers[4].stdout
    assert "<html" in REPORT.read_text()
    assert answers[5].stdout.splitlines()[-1].strip() == "equal to the last bit"
    assert answers[6].stdout == "There are no dead letters\n"
    assert local.end(signal.SIGINT) == 0
    assert local.left_behind() == []


def paste(lines: str) -> "subprocess.CompletedProcess[str]":
    """Runs lines in a shell, in the checkout."""
    done = subprocess.run(
        ["bash", "-c", lines], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{lines}\n{done.stdout}{done.stderr}"
    return done
