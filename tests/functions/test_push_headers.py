import pytest
from starlette.datastructures import Headers

from functions.push_headers import HeaderMetadata, read_headers

PUBSUB = {
    "x-goog-pubsub-message-id": "17",
    "x-goog-pubsub-publish-time": "2026-11-28T11:11:55.595Z",
    "x-goog-pubsub-subscription-name": "projects/p/subscriptions/s",
}
METADATA = HeaderMetadata(
    message_id="17", publish_time="2026-11-28T11:11:55.595Z", subscription="projects/p/subscriptions/s"
)
TRANSPORT = {
    "host": "function",
    "user-agent": "CloudPubSub-Google",
    "content-type": "application/x-www-form-urlencoded",
    "content-length": "83",
    "content-encoding": "gzip",
    "authorization": "Bearer secret",
    "cookie": "secret",
    "x-serverless-authorization": "secret",
    "x-goog-iap-jwt-assertion": "secret",
    "x-forwarded-for": "192.0.2.1",
    "x-cloud-trace-context": "0af7651916cd43dd8448eb211c80319c/1",
}


def test_attributes_are_the_headers_that_are_not_the_transports() -> None:
    own = {"source": "till", "content-type": "application/json", "traceparent": "00-1-2-01", "ce-id": "9"}
    assert read_headers(TRANSPORT | PUBSUB) == METADATA
    assert read_headers(TRANSPORT | PUBSUB | own).attributes == own


def test_without_metadata_only_a_cloud_events_attributes_belong_to_the_event() -> None:
    assert read_headers(TRANSPORT | {"source": "curl"}) == HeaderMetadata()
    assert read_headers(TRANSPORT | {"source": "curl", "ce-id": "9"}) == HeaderMetadata({"ce-id": "9"})


def test_utf_8_is_decoded_and_other_bytes_are_kept() -> None:
    wire = {"a": "Zoë 🚕".encode().decode("latin-1"), "b": b"Zo\xeb".decode("latin-1")}
    assert read_headers(PUBSUB | wire).attributes == {"a": "Zoë 🚕", "b": "Zoë"}


@pytest.mark.parametrize("name", PUBSUB)
def test_metadata_that_is_also_an_attribute_is_not_trusted(name: str) -> None:
    headers = [*PUBSUB.items(), (name, "projects/other/subscriptions/other")]
    raw = [(key.encode(), value.encode()) for key, value in headers]
    found = read_headers(Headers(raw=raw))
    assert [found.message_id, found.publish_time, found.subscription].count("") == 1
    assert "other" not in repr(found)


def test_a_subscription_must_be_a_full_name() -> None:
    for name in ("s", "projects/p/topics/t", "projects/p/subscriptions/s/x", "https://example.com"):
        assert not read_headers(PUBSUB | {"x-goog-pubsub-subscription-name": name}).subscription


def test_the_ordering_key_of_pubsub_and_of_the_emulator() -> None:
    for name in ("x-goog-pubsub-ordering-key", "x-goog-ordering-key"):
        assert read_headers(PUBSUB | {name: "cab 7"}).ordering_key == "cab 7"
