"""`make run` where no Pub/Sub emulator is installed."""

import shutil

RIDES = 40


def test_it_says_how_to_install_one_and_still_works(start, trips, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sh").symlink_to(shutil.which("sh"))
    results = tmp_path / "results"
    # One month: without a later one there is no report, which takes its time and needs no emulator anyway.
    local = start("run", f"--output={results}", TRIPS=trips.split()[0], RIDES=str(RIDES), PATH=str(tools))

    assert local.end() == 0, local.output
    assert not (results / "report.html").exists()
    assert "gcloud components install pubsub-emulator beta" in local.output
    assert f"{RIDES} in, {RIDES} predicted, 0 dead-lettered, 0 lost" in local.output
    assert local.left_behind() == []
