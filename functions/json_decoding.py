"""Decodes JSON and text: tolerates what common writers do wrong, and says what was sent instead of UTF-8."""

import json

import msgspec

from functions.errors import UnreadableBody

_decode = msgspec.json.Decoder().decode
_GZIP_MAGIC = b"\x1f\x8b"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def decode_json(content: bytes | bytearray, pointer: str = "#") -> object:
    """The decoded JSON document.

    NaN, infinities and out-of-range numbers are not valid JSON, but Python and others write them: they are
    accepted here so that a later error can name the field. So is a byte order mark, which Windows writes.

    Raises:
        UnreadableBody: the content is not JSON in UTF-8; `pointer` is its position in the body.
    """
    try:
        return _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        text = decode_text(content, pointer)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise UnreadableBody(f"is not valid JSON: {error}", pointer) from error


def decode_text(content: bytes | bytearray, pointer: str = "#") -> str:
    """Text in UTF-8, without its byte order mark; raises UnreadableBody if the content is anything else."""
    if content.startswith(_GZIP_MAGIC):
        hint = "is compressed with gzip: send it uncompressed, or over HTTP with content-encoding: gzip"
        raise UnreadableBody(hint, pointer)
    # No text in UTF-8 contains a NUL; every ASCII character in UTF-16 does.
    if content.startswith(_UTF_16_MARKS) or 0 in content[:4]:
        raise UnreadableBody("is not text in UTF-8, but probably in UTF-16: send it in UTF-8", pointer)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        detail = (
            f"is not text in UTF-8: {error}. Send it in UTF-8; only CSV may be in another character set that "
            "its content type names, text/csv; charset=iso-8859-1"
        )
        raise UnreadableBody(detail, pointer) from error
