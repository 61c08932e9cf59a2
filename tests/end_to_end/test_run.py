"""`make run`: rides become predictions, and what it leaves can be gone on with."""

import re
import subprocess

from jobs.settings import PROJECT_ROOT

RIDES = 40


def test_rides_become_predictions_through_the_whole_cloud(start, trips, tmp_path):
    picture, results = tmp_path / "run.svg", tmp_path / "results"
    local = start("run", f"--picture={picture}", f"--output={results}", TRIPS=trips, RIDES=str(RIDES))

    assert local.end() == 0, local.output
    assert f"{RIDES} in, {RIDES} predicted, 0 dead-lettered, 0 lost" in local.output
    assert f"{RIDES} sent, {RIDES} answered, {RIDES} bit-identical" in local.output
    assert re.search(r"[\d.]+ min RMSE on [\d,]+ held-out rides, [\d.]+ without", local.output)
    assert re.search(r"latency +p50 [\d.]+ ms, p99 [\d.]+ ms", local.output)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", local.output), "control characters without a terminal"
    assert picture.read_text().startswith("<svg")
    assert local.left_behind() == []

    _, found, rest = local.output.partition("This run leaves:\n")
    assert found, local.output
    left = [line.split()[0] for line in rest.partition("\n\n")[0].splitlines()]
    assert left == [str(results / "report.html"), str(results / "model")]
    assert "<html" in (results / "report.html").read_text()
    score = next(line for line in rest.splitlines() if " -m jobs score " in line)
    scored = subprocess.run(
        ["bash", "-c", score], cwd=PROJECT_ROOT, env={}, capture_output=True, text=True, check=True
    )
    assert "6,000 rows by " in scored.stdout
    assert list((results / "predictions").rglob("*.parquet"))
