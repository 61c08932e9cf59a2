"""Outgoing Pub/Sub messages and the limits of their attributes."""

import msgspec

MAX_ATTRIBUTES = 100
MAX_ATTRIBUTE_NAME_BYTES = 256
MAX_ATTRIBUTE_VALUE_BYTES = 1024


class OutgoingMessage(msgspec.Struct, frozen=True):
    """A message to publish."""

    data: bytes
    attributes: dict[str, str]

    def size(self) -> int:
        """Upper bound of the bytes on the wire: up to 4 per character and 8 of framing per field."""
        return len(self.data) + 16 + sum(4 * (len(n) + len(v)) + 8 for n, v in self.attributes.items())


def is_valid_attribute(name: str, value: str) -> bool:
    """Whether Pub/Sub accepts an attribute from a publisher; names that begin with `goog` are reserved."""
    name_fits = len(name) > 0 and _truncate(name, MAX_ATTRIBUTE_NAME_BYTES) == name
    return name_fits and truncate_value(value) == value and not name.lower().startswith("goog")


def truncate_value(value: str) -> str:
    """`value`, truncated to the size limit of an attribute; valid Unicode, whatever it was."""
    return _truncate(value, MAX_ATTRIBUTE_VALUE_BYTES)


def _truncate(text: str, max_bytes: int) -> str:
    encoded = text.encode(errors="replace")
    return encoded[:max_bytes].decode(errors="ignore")
