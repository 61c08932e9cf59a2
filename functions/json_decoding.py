"""JSON decoding that tolerates NaN, infinities and huge numbers."""

import json

import msgspec

from functions.errors import UnreadableBody

_decode = msgspec.json.Decoder().decode


def decode_json(content: bytes | bytearray) -> object:
    """The decoded JSON document; raises UnreadableBody if the content is not JSON.

    NaN, infinities and out-of-range numbers are not valid JSON, but Python and others write them: they are
    accepted here so that a later error can name the field.
    """
    try:
        return _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        try:
            return json.loads(content.decode())
        except (ValueError, RecursionError):
            raise UnreadableBody(f"is not valid JSON: {error}") from error
