"""JSON in, as it is sent and not only as it should be."""

import json

import msgspec

from functions.errors import UnreadableBody

_decode = msgspec.json.Decoder().decode


def read_document(content: bytes | bytearray) -> object:
    """The decoded JSON.

    NaN, infinities and numbers beyond any range are no JSON, but Python and others write them: they are
    read, so that the field which holds one can be named.

    Raises:
        UnreadableBody: it is no JSON.
    """
    try:
        return _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        try:
            return json.loads(content.decode())
        except (ValueError, RecursionError):
            raise UnreadableBody(f"is no JSON: {error}") from error
