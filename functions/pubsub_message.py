"""Messages out, and what Pub/Sub takes of them."""

import msgspec

MOST_ATTRIBUTES = 100
LONGEST_NAME = 256
"""Bytes of an attribute's name."""
LONGEST_VALUE = 1024
"""Bytes of an attribute's value."""


class OutMessage(msgspec.Struct, frozen=True):
    """What is to be published."""

    data: bytes
    attributes: dict[str, str]

    def size(self) -> int:
        """Bytes on the wire, rounded up: a character has at most 4, a field's frame at most 8."""
        return len(self.data) + 16 + sum(4 * (len(n) + len(v)) + 8 for n, v in self.attributes.items())


def takes(name: str, value: str) -> bool:
    """Whether Pub/Sub takes an attribute from a publisher; those that begin with `goog` are its own."""
    fits = 0 < len(name.encode(errors="replace")) <= LONGEST_NAME and fit_value(value) == value
    return fits and not name.lower().startswith("goog")


def fit_value(text: str) -> str:
    """`text`, cut to what an attribute may hold."""
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= LONGEST_VALUE else encoded[:LONGEST_VALUE].decode(errors="ignore")
