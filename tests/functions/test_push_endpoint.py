import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import EVENTS
from tests.models import save_bounded
from tests.serving import call, post

EVENT = {"ride": {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}, "ride_id": 256}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def settings(event_settings: dict[str, str]) -> dict[str, str]:
    return event_settings


def published(settings: dict[str, str], topic: str) -> list[dict[str, Any]]:
    path = Path(settings[topic])
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def push_body(event: Any, attributes: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    message = {"data": base64.b64encode(data).decode(), "attributes": attributes or {}, "messageId": "7"}
    return {"message": message, "subscription": "projects/p/subscriptions/s", **more}


@pytest.mark.parametrize("name", sorted(path.name for path in EVENTS.glob("ride_*.json")))
def test_every_recorded_event_gives_the_courses_prediction_event(settings: dict[str, str], name: str) -> None:
    record = json.loads((EVENTS / name).read_text())
    headers = {name: value.encode("latin-1") for name, value in record["headers"].items()}
    response = post("predict_event", settings, "/", json=record["body"], headers=headers)
    (line,) = published(settings, "PREDICTIONS_TOPIC")
    assert response.status_code == 200
    assert response.json() == {"outcome": "predicted", "prediction": line["data"]}
    assert line["data"]["model"] == "ride_duration_prediction_model"
    assert line["data"]["version"] == "onnx"
    assert line["data"]["prediction"]["ride_id"] == 256
    assert set(line["data"]["prediction"]) == {"ride_duration", "ride_id"}
    assert published(settings, "DEAD_LETTER_TOPIC") == []


def test_the_attributes_of_a_prediction_event(settings: dict[str, str]) -> None:
    post("predict_event", settings, "/", json=push_body(EVENT, {"traceparent": PARENT}))
    attributes = published(settings, "PREDICTIONS_TOPIC")[0]["attributes"]
    assert attributes["ride_id"] == "256"
    assert attributes["model"] == "ride_duration_prediction_model"
    assert attributes["version"] == "onnx"
    assert attributes["content_type"] == "application/json"
    assert attributes["ce-specversion"] == "1.0"
    assert attributes["ce-id"] == attributes["event_id"]
    assert attributes["traceparent"] == PARENT


def test_a_redelivered_event_gives_the_same_bytes_and_id(settings: dict[str, str]) -> None:
    for attempt in (1, 2):
        post("predict_event", settings, "/", json=push_body(EVENT, deliveryAttempt=attempt))
    first, second = published(settings, "PREDICTIONS_TOPIC")
    assert first == second
    post("predict_event", settings, "/", json=push_body(EVENT | {"ride_id": 257}))
    third = published(settings, "PREDICTIONS_TOPIC")[2]
    assert third["attributes"]["event_id"] != first["attributes"]["event_id"]


def test_both_functions_give_the_same_prediction(settings: dict[str, str]) -> None:
    post("predict_event", settings, "/", json=push_body(EVENT))
    answer = post("predict", settings, "/predict", json=EVENT["ride"]).json()
    (line,) = published(settings, "PREDICTIONS_TOPIC")
    assert line["data"]["prediction"]["ride_duration"] == answer["duration"]


def test_a_dead_letter_is_the_unchanged_event_with_reason_attributes(settings: dict[str, str]) -> None:
    event = b'{"ride": {"PULocationID": 999, "DOLocationID": 205, "trip_distance": 1}, "ride_id": 1}'
    body = push_body(event, {"source": "till", "googclient_x": "y"}, deliveryAttempt=3)
    assert post("predict_event", settings, "/", json=body).status_code == 200
    (line,) = published(settings, "DEAD_LETTER_TOPIC")
    assert line["data"] == json.loads(event)
    assert line["attributes"] == {
        "source": "till",
        "dead_letter_reason": "invalid_ride",
        "dead_letter_detail": "#/ride/PULocationID: must be a taxi zone, 1 to 265, like 130, not 999",
        "dead_letter_pointer": "#/ride/PULocationID",
        "dead_letter_subscription": "projects/p/subscriptions/s",
        "dead_letter_message_id": "7",
        "dead_letter_delivery_attempt": "3",
    }
    assert published(settings, "PREDICTIONS_TOPIC") == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (json.dumps(push_body(b"not json")).encode(), "unreadable_body"),
        (json.dumps(push_body(b"\xff")).encode(), "unreadable_body"),
        (json.dumps(push_body(b"")).encode(), "unreadable_body"),
        (json.dumps(push_body([EVENT])).encode(), "invalid_ride"),
        (json.dumps(push_body(EVENT["ride"])).encode(), "invalid_ride"),
        (json.dumps([push_body(EVENT)]).encode(), "invalid_ride"),
        (b"{}", "invalid_ride"),
        (b'{"message": "hello"}', "unreadable_body"),
        (b"nope", "unreadable_body"),
        (b"", "unreadable_body"),
        (b"\xff\x00", "unreadable_body"),
        (b'{"message":' * 100_000, "unreadable_body"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else value,
)
def test_unreadable_events_become_dead_letters(settings: dict[str, str], content: bytes, reason: str) -> None:
    response = post("predict_event", settings, "/", content=content)
    (line,) = published(settings, "DEAD_LETTER_TOPIC")
    attributes = line["attributes"]
    assert attributes["dead_letter_reason"] == reason
    assert response.status_code == 200
    answer = {"reason": reason, "detail": attributes["dead_letter_detail"]}
    pointer = attributes["dead_letter_pointer"]
    assert response.json() == {"outcome": "dead_letter", **answer, "pointer": pointer}


@pytest.mark.parametrize("ride_id", [{}, {"ride_id": 256}])
def test_a_ride_without_its_wrapper_is_told_what_to_send(
    settings: dict[str, str], ride_id: dict[str, int]
) -> None:
    answer = post("predict_event", settings, "/", json=EVENT["ride"] | ride_id).json()
    assert answer["outcome"] == "dead_letter"
    assert answer["detail"].startswith(
        '#/ride: is missing; an event looks like {"ride": {"PULocationID": 130, '
    )
    (line,) = published(settings, "DEAD_LETTER_TOPIC")
    assert line["data"] == EVENT["ride"] | ride_id


UNWRAPPED = {
    "x-goog-pubsub-subscription-name": "projects/p/subscriptions/s",
    "x-goog-pubsub-message-id": "7",
    "x-goog-pubsub-publish-time": "2026-11-28T11:11:55.595Z",
    "x-goog-pubsub-ordering-key": "cab 7",
    "content-type": "application/x-www-form-urlencoded",
    "authorization": "Bearer secret",
}


def test_an_unwrapped_event_gives_the_message_of_a_wrapped_one(settings: dict[str, str]) -> None:
    data = json.dumps(EVENT).encode()
    post("predict_event", settings, "/", json=push_body(data, {"traceparent": PARENT}))
    for headers in (
        UNWRAPPED | {"traceparent": PARENT},
        {"traceparent": PARENT, "content-type": "text/plain"},
    ):
        assert post("predict_event", settings, "/", content=data, headers=headers).status_code == 200
    wrapped, *unwrapped = published(settings, "PREDICTIONS_TOPIC")
    assert unwrapped == [wrapped, wrapped]


def test_the_dead_letter_of_an_unwrapped_event_is_that_of_a_wrapped_one(settings: dict[str, str]) -> None:
    data = b'{"ride": {"PULocationID": 999, "DOLocationID": 205, "trip_distance": 1}, "ride_id": 1}'
    foreign = {"dead_letter_reason": "mine", "x" * 300: "y", "long": "y" * 2000, "googclient_x": "y"}
    attributes = {"source": "till"}
    post("predict_event", settings, "/", content=data, headers=UNWRAPPED | attributes | foreign)
    body = push_body(data, attributes | foreign)
    body["message"] |= {"publishTime": "2026-11-28T11:11:55.595Z", "orderingKey": "cab 7"}
    post("predict_event", settings, "/", json=body)
    unwrapped, wrapped = published(settings, "DEAD_LETTER_TOPIC")
    assert unwrapped == wrapped
    assert unwrapped["attributes"]["source"] == "till"
    assert unwrapped["attributes"]["dead_letter_reason"] == "invalid_ride"
    assert unwrapped["attributes"]["dead_letter_subscription"] == "projects/p/subscriptions/s"
    assert unwrapped["attributes"]["dead_letter_ordering_key"] == "cab 7"
    assert "secret" not in json.dumps(unwrapped)


def test_a_batch_of_cloud_events_is_kept_in_one_dead_letter(settings: dict[str, str]) -> None:
    batch = [{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": EVENT}] * 2
    headers = {"content-type": "application/cloudevents-batch+json"}
    answer = post("predict_event", settings, "/", json=batch, headers=headers).json()
    assert "send each event in a request of its own" in answer["detail"]
    (line,) = published(settings, "DEAD_LETTER_TOPIC")
    assert line["data"] == batch
    assert published(settings, "PREDICTIONS_TOPIC") == []


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_compressed_body_is_decompressed(settings: dict[str, str], wrapped: bool) -> None:
    content = json.dumps(push_body(EVENT) if wrapped else EVENT).encode()
    headers = {"content-encoding": "gzip"}
    response = post("predict_event", settings, "/", content=gzip.compress(content), headers=headers)
    assert response.json()["prediction"]["prediction"]["ride_id"] == 256


@pytest.mark.parametrize(
    ("content", "encoding", "reason"),
    [
        (gzip.compress(json.dumps(EVENT).encode(), mtime=0)[:-4], "gzip", "unreadable_body"),
        (json.dumps(EVENT).encode(), "gzip", "unreadable_body"),
        (b"\x1f\x8b", "br", "unsupported_encoding"),
        (gzip.compress(bytes(30_000_000), mtime=0), "gzip", "too_large"),
        (gzip.compress(json.dumps(EVENT).encode(), mtime=0), "", "unreadable_body"),
    ],
    ids=["cut", "not compressed", "another encoding", "a bomb", "without the header"],
)
def test_what_cannot_be_decompressed_is_dead_lettered_as_it_is(
    settings: dict[str, str], content: bytes, encoding: str, reason: str
) -> None:
    headers = UNWRAPPED | ({"content-encoding": encoding} if encoding else {})
    response = post("predict_event", settings, "/", content=content, headers=headers)
    assert (response.status_code, response.json()["reason"]) == (200, reason)
    (line,) = published(settings, "DEAD_LETTER_TOPIC")
    data = (
        base64.b64decode(line["data_base64"]) if "data_base64" in line else json.dumps(line["data"]).encode()
    )
    assert data == content
    assert line["attributes"]["dead_letter_message_id"] == "7"


@pytest.mark.parametrize("distance", [-1, 100.5, 1e300, "1e400"])
def test_an_impossible_distance_is_predicted_as_not_recorded_and_says_so(
    settings: dict[str, str], distance: float, capsys: pytest.CaptureFixture[str]
) -> None:
    for miles in (0, distance):
        event = EVENT | {"ride": EVENT["ride"] | {"trip_distance": miles}}
        answer = post("predict_event", settings, "/", json=event).json()
    unknown, repaired = published(settings, "PREDICTIONS_TOPIC")
    assert repaired["data"] == unknown["data"] == answer["prediction"]
    assert answer["repaired"] == ["trip_distance"]
    assert repaired["attributes"]["repaired"] == "trip_distance"
    assert "repaired" not in unknown["attributes"]
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["repaired"] == ["trip_distance"]


@pytest.mark.parametrize(
    "ride",
    [
        {"PULocationID": "130", "DOLocationID": 205.0, "trip_distance": " 3.66 ", "ehail_fee": None},
        {"pulocationid": 130, "DOLOCATIONID": 205, "trip_miles": 3.66},
    ],
)
def test_a_tlc_record_gives_the_prediction_of_the_usual_names(
    settings: dict[str, str], ride: dict[str, Any]
) -> None:
    usual = EVENT | {"ride": EVENT["ride"] | {"pickup_datetime": "2021-03-01T08:30:00"}}
    record = EVENT | {"ride": ride | {"lpep_pickup_datetime": "03/01/2021 08:30:00 AM"}}
    for event in (usual, record):
        post("predict_event", settings, "/", json=push_body(event))
    first, second = published(settings, "PREDICTIONS_TOPIC")
    assert first["data"] == second["data"]
    assert first["attributes"]["event_id"] != second["attributes"]["event_id"]


def test_an_oversized_event_is_truncated_and_its_hash_kept(settings: dict[str, str]) -> None:
    event = b"x" * 9_900_000
    assert post("predict_event", settings, "/", json=push_body(event)).status_code == 200
    assert post("predict_event", settings, "/", content=event).status_code == 200
    for line in published(settings, "DEAD_LETTER_TOPIC"):
        assert len(base64.b64decode(line["data_base64"])) == 9_000_000
        assert line["attributes"]["dead_letter_full_size"] == "9900000"
        assert line["attributes"]["dead_letter_full_sha256"] == hashlib.sha256(event).hexdigest()


def test_an_unwrapped_event_above_pubsubs_limit_is_a_dead_letter_and_a_larger_body_is_refused(
    settings: dict[str, str],
) -> None:
    large = json.dumps(EVENT).encode().ljust(10_000_001)
    assert post("predict_event", settings, "/", content=large).json()["reason"] == "too_large"
    assert post("predict_event", settings, "/", content=bytes(20_000_001)).status_code == 413
    assert len(published(settings, "DEAD_LETTER_TOPIC")) == 1


def test_excess_attributes_are_dropped(settings: dict[str, str]) -> None:
    many = {f"a{number}": "x" for number in range(100)}
    post("predict_event", settings, "/", json=push_body(b"bad", many))
    (line,) = published(settings, "DEAD_LETTER_TOPIC")
    assert len(line["attributes"]) <= 100
    assert line["attributes"]["dead_letter_reason"] == "unreadable_body"


def test_without_a_model_valid_events_are_redelivered_and_invalid_ones_are_not(
    settings: dict[str, str], tmp_path: Path
) -> None:
    settings = settings | {"MODEL_URI": str(tmp_path)}
    assert post("predict_event", settings, "/", json=push_body(EVENT)).status_code == 503
    assert published(settings, "PREDICTIONS_TOPIC") == []
    assert post("predict_event", settings, "/", json=push_body(b"bad")).status_code == 200
    assert len(published(settings, "DEAD_LETTER_TOPIC")) == 1


@pytest.mark.parametrize(("topic", "event"), [("PREDICTIONS_TOPIC", EVENT), ("DEAD_LETTER_TOPIC", b"bad")])
def test_an_event_is_redelivered_if_its_result_cannot_be_published(
    settings: dict[str, str], tmp_path: Path, topic: str, event: Any
) -> None:
    unwritable = settings | {topic: str(tmp_path / "no folder" / "topic")}
    assert post("predict_event", unwritable, "/", json=push_body(event)).status_code == 503


def test_all_missing_settings_are_named_at_once() -> None:
    response = post("predict_event", {}, "/", json=push_body(EVENT))
    assert response.status_code == 503
    for name in ("MODEL_URI", "PREDICTIONS_TOPIC", "DEAD_LETTER_TOPIC"):
        assert name in response.json()["detail"]


def test_one_log_line_per_event_with_its_trace(
    settings: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        await client.get("/health")
        capsys.readouterr()
        await client.post("/", json=push_body(EVENT, {"traceparent": PARENT}))
        await client.post("/", json=push_body(b"bad"))

    call("predict_event", settings, scenario)
    predicted, dead = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert predicted["outcome"] == "predicted"
    assert predicted["ride_id"] == 256
    assert predicted["model_version"] == "onnx"
    assert predicted["latency_ms"] > 0
    assert predicted["logging.googleapis.com/trace"] == "0af7651916cd43dd8448eb211c80319c"
    assert dead["outcome"] == "dead_letter"
    assert dead["reason"] == "unreadable_body"
    assert (dead["message_id"], dead["model_version"]) == ("7", "onnx")
    assert "logging.googleapis.com/trace" not in dead


def test_one_log_line_per_event_that_is_redelivered(
    settings: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    post("predict_event", settings | {"MODEL_URI": str(tmp_path)}, "/", json=push_body(EVENT))
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["severity"] == "ERROR"
    assert line["outcome"] == "again"
    assert (line["ride_id"], line["message_id"]) == (256, "7")
    assert "MLmodel" in line["reason"]
    assert line["latency_ms"] > 0


def test_an_implausible_prediction_is_a_dead_letter(settings: dict[str, str], tmp_path: Path) -> None:
    settings = settings | {"MODEL_URI": str(save_bounded(tmp_path / "model"))}
    far = {"ride": EVENT["ride"] | {"trip_distance": 19.0}, "ride_id": "far"}
    assert post("predict_event", settings, "/", json=push_body(far)).status_code == 200
    (line,) = published(settings, "DEAD_LETTER_TOPIC")
    assert line["attributes"]["dead_letter_reason"] == "implausible_prediction"
    assert line["attributes"]["dead_letter_model_version"] == "model"


@pytest.mark.parametrize("wrapped", [True, False])
def test_numbers_outside_json(settings: dict[str, str], wrapped: bool) -> None:
    """NaN is no distance; infinite and huge ones are impossible, so predicted as not recorded."""
    for number in (b"NaN", b"-Infinity", b"1e999", b"9" * 400):
        event = json.dumps(EVENT).encode().replace(b"3.66", number)
        content = json.dumps(push_body(event)).encode() if wrapped else event
        assert post("predict_event", settings, "/", content=content).status_code == 200
    (letter,) = published(settings, "DEAD_LETTER_TOPIC")
    assert letter["attributes"]["dead_letter_pointer"] == "#/ride/trip_distance"
    repaired = [line["attributes"]["repaired"] for line in published(settings, "PREDICTIONS_TOPIC")]
    assert repaired == ["trip_distance"] * 3


@pytest.mark.parametrize(
    "topic",
    ["ride-predictions", "project/p/topics/t", "pubsub://p/t", "gs://b/t", "projects/p/t", "topics/t"],
)
def test_a_mistyped_topic_is_rejected(settings: dict[str, str], topic: str) -> None:
    response = post("predict_event", settings | {"PREDICTIONS_TOPIC": topic}, "/", json=push_body(EVENT))
    assert response.status_code == 503
    assert "projects/PROJECT/topics/TOPIC" in response.json()["detail"]


def test_health_and_other_methods(settings: dict[str, str]) -> None:
    health = call("predict_event", settings, lambda client: client.get("/health"))
    assert health.json()["status"] == "ok"
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        answer = call("predict_event", settings, lambda client, method=method: client.request(method, "/"))
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_messages_can_be_published_to_stdout(
    settings: dict[str, str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    post("predict_event", settings | {"PREDICTIONS_TOPIC": "stdout:"}, "/", json=push_body(EVENT))
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["data"]["prediction"]["ride_id"] for line in lines if "data" in line] == [256]
