"""The picture of the cloud shows what there is, and nothing that is not."""

import hashlib
import re
from collections import defaultdict
from pathlib import Path

from tests.infra.module import Made

TEXT = Path("docs/cloud.d2")
NODE = re.compile(r"^ *([\w-]+): [^{}\n]+ \{ class: (\w+) \}$", re.MULTILINE)


def drawn() -> dict[str, set[str]]:
    """Names by kind."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, kind in NODE.findall(TEXT.read_text()):
        found[kind].add(name)
    return found


def keys(made: Made, kind: str, name: str = "main") -> set[str]:
    return {re.sub("_ride_duration$", "", key or name) for key in made.of(kind, name)}


def test_what_is_drawn_is_made_and_what_is_made_is_drawn(made: Made) -> None:
    shown = drawn()
    assert shown["topic"] == keys(made, "google_pubsub_topic")
    assert shown["bucket"] == keys(made, "google_storage_bucket")
    suffixes = {
        re.sub("^ride-(duration|fare)-", "", key) for key in keys(made, "google_cloudfunctions2_function")
    }
    assert shown["function"] == suffixes
    assert shown["job"] == {key.partition("-")[0] for key in keys(made, "google_cloud_run_v2_job")}
    views = {Path(key).stem for key in made.of("google_bigquery_table", "view")}
    scores = {"scores"} if made.of("google_bigquery_table", "scores") else set()
    assert shown["table"] == {*keys(made, "google_bigquery_table", "stream"), *views, *scores}
    routines = made.of("google_bigquery_routine", "predict").values()
    assert shown["routine"] == {routine["routine_id"] for routine in routines}
    assert shown["trigger"] == keys(made, "google_cloudbuild_trigger")
    assert shown["service"] == {each.values["name"] for each in made.all("google_cloud_run_v2_service")}
    assert len(shown["database"]) == len(made.all("google_sql_database"))
    assert len(shown["secret"]) == len(made.all("google_secret_manager_secret"))
    assert len(shown["registry"]) == len(made.all("google_artifact_registry_repository"))
    assert set(shown) == {
        *("topic", "bucket", "function", "job", "table", "routine", "trigger", "service"),
        *("database", "secret", "registry", "people"),
    }


def test_the_picture_was_drawn_of_this_text() -> None:
    picture = Path("docs/cloud.svg").read_text()
    assert hashlib.sha256(TEXT.read_bytes()).hexdigest() in picture.partition("\n")[0], "run `make diagram`"
    assert picture.count("<image") + picture.count("@import") == 0, "it needs nothing from elsewhere"
