"""`make retrain`: a retrained model takes over while rides stream on."""

import re


def test_a_new_champion_takes_over_while_rides_stream_on(start, tmp_path):
    picture = tmp_path / "retrain.png"
    local = start("retrain", "--picture", str(picture))

    assert local.end() == 0, local.output
    assert "actual_duration" in local.output, "the report names what has drifted"
    assert re.search(r"events +(\d+) in \d+ s, \1 predicted, 0 lost", local.output)
    assert "1 → 2, 1 change of version in the stream" in local.output
    assert re.search(r"flow +report [\d.]+ s, train [\d.]+ s, promote [\d.]+ s", local.output)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert local.left_behind() == []
