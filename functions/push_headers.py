"""Reads what a request's headers say of an event that is the whole body.

A push subscription with payload unwrapping writes, if it is told to, Pub/Sub's metadata to
`x-goog-pubsub-…` and each of the message's attributes to a header of its own. A CloudEvent in binary mode has
its attributes in `ce-…`. Header names arrive in lower case, so the case of an attribute's name is lost.
"""

import re
from collections.abc import Mapping

import msgspec

_PREFIX = "x-goog-pubsub-"
_EMULATOR_ORDERING_KEY = "x-goog-ordering-key"
_SUBSCRIPTION = re.compile(r"projects/[^/]+/subscriptions/[^/]+")
_FORM = "application/x-www-form-urlencoded"

_TRANSPORT_HEADERS = frozenset(
    (
        *("accept", "accept-charset", "accept-encoding", "accept-language", "authorization", "cache-control"),
        *(
            "connection",
            "content-encoding",
            "content-length",
            "cookie",
            "date",
            "expect",
            "forwarded",
            "from",
        ),
        *("function-execution-id", "host", "keep-alive", "origin", "pragma", "priority"),
        *("proxy-authorization", "referer", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"),
        *("via", "x-api-key", "x-auth-token", "x-real-ip", "x-request-id"),
    )
)
"""Headers that are no attributes of the message; some of them are secret."""
_TRANSPORT_PREFIXES = (
    *("cf-", "fastly-", "sec-", "x-amz", "x-appengine-", "x-client-", "x-cloud-", "x-endpoint-", "x-envoy-"),
    *("x-forwarded-", "x-goog-", "x-google-", "x-serverless-"),
)


class HeaderMetadata(msgspec.Struct, frozen=True):
    """The metadata and attributes of a message; empty where the headers do not give them."""

    attributes: dict[str, str] = {}
    message_id: str = ""
    publish_time: str = ""
    subscription: str = ""
    """`projects/P/subscriptions/S`."""
    ordering_key: str = ""


def read_headers(headers: Mapping[str, str]) -> HeaderMetadata:
    """The metadata in a request's headers; their names are lower-case, and may be repeated."""
    metadata: dict[str, str] = {}
    attributes: dict[str, str] = {}
    for name, value in headers.items():
        if name.startswith(_PREFIX) or name == _EMULATOR_ORDERING_KEY:
            # Of two, one is an attribute to which the publisher gave this name; nothing tells which.
            metadata[name] = "" if name in metadata else _decode(value)
        elif name not in _TRANSPORT_HEADERS and not name.startswith(_TRANSPORT_PREFIXES):
            attributes[name] = _decode(value)
    if not metadata:
        # Without metadata there are no attributes; the headers are some other sender's.
        return HeaderMetadata({name: text for name, text in attributes.items() if name.startswith("ce-")})
    if attributes.get("content-type", "").startswith(_FORM):
        del attributes["content-type"]  # what the subscription sends without such an attribute
    subscription = metadata.get(f"{_PREFIX}subscription-name", "")
    return HeaderMetadata(
        attributes,
        message_id=metadata.get(f"{_PREFIX}message-id", ""),
        publish_time=metadata.get(f"{_PREFIX}publish-time", ""),
        subscription=subscription if _SUBSCRIPTION.fullmatch(subscription) else "",
        ordering_key=metadata.get(f"{_PREFIX}ordering-key") or metadata.get(_EMULATOR_ORDERING_KEY, ""),
    )


def _decode(value: str) -> str:
    """A header's value as it was sent: servers decode UTF-8 as Latin-1."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except ValueError:
        return value
