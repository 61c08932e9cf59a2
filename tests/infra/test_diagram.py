"""The diagram of the cloud shows exactly the resources that exist."""

import hashlib
import re
from collections import defaultdict
from pathlib import Path

from tests.infra.module import AppliedState

TEXT = Path("docs/cloud.d2")
GITHUB_WIDTH = 830
"""Pixels of a picture in a document on GitHub."""
NODE = re.compile(r"^ *([\w-]+): [^{}\n]+ \{ class: (\w+) \}$", re.MULTILINE)


def drawn_names() -> dict[str, set[str]]:
    """Names in the diagram, by kind."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, kind in NODE.findall(TEXT.read_text()):
        found[kind].add(name)
    return found


def keys(state: AppliedState, kind: str, name: str = "main") -> set[str]:
    return {re.sub("_ride_duration$", "", key or name) for key in state.of(kind, name)}


def test_the_diagram_shows_exactly_the_resources(state: AppliedState) -> None:
    drawn = drawn_names()
    assert drawn["topic"] == keys(state, "google_pubsub_topic")
    assert drawn["bucket"] == keys(state, "google_storage_bucket")
    suffixes = {
        re.sub("^ride-(duration|fare)-", "", key) for key in keys(state, "google_cloudfunctions2_function")
    }
    assert drawn["function"] == suffixes
    assert drawn["job"] == {key.partition("-")[0] for key in keys(state, "google_cloud_run_v2_job")}
    views = {Path(key).stem for key in state.of("google_bigquery_table", "view")}
    scores = {"scores"} if state.of("google_bigquery_table", "scores") else set()
    assert drawn["table"] == {*keys(state, "google_bigquery_table", "stream"), *views, *scores}
    routines = state.of("google_bigquery_routine", "predict").values()
    assert drawn["routine"] == {routine["routine_id"] for routine in routines}
    assert drawn["trigger"] == keys(state, "google_cloudbuild_trigger")
    assert drawn["service"] == {each.values["name"] for each in state.all("google_cloud_run_v2_service")}
    assert len(drawn["database"]) == len(state.all("google_sql_database"))
    assert len(drawn["secret"]) == len(state.all("google_secret_manager_secret"))
    assert len(drawn["registry"]) == len(state.all("google_artifact_registry_repository"))
    assert set(drawn) == {
        *("topic", "bucket", "function", "job", "table", "routine", "trigger", "service"),
        *("database", "secret", "registry", "people"),
    }


def test_the_svg_was_drawn_from_this_source() -> None:
    picture = Path("docs/cloud.svg").read_text()
    assert hashlib.sha256(TEXT.read_bytes()).hexdigest() in picture.partition("\n")[0], "run `make diagram`"
    assert picture.count("<image") + picture.count("@import") == 0, "it must be self-contained"


def test_it_can_be_read_at_the_width_at_which_it_is_shown() -> None:
    picture = Path("docs/cloud.svg").read_text()
    box = re.search(r'viewBox="0 0 (\d+) (\d+)"', picture)
    assert box
    scale = GITHUB_WIDTH / int(box[1])
    sizes = [int(size) for size in re.findall(r"font-size:(\d+)", picture)]
    assert len(sizes) > 25
    assert min(sizes) * scale > 12
    assert int(box[2]) * scale < 1300
