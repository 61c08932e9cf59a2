"""Publishes messages to a file or to stdout where there is no Pub/Sub."""

import base64
import sys
from pathlib import Path
from typing import Any

import msgspec

from functions.errors import PublishFailed
from functions.pubsub_message import OutgoingMessage


class JsonLinesPublisher:
    """Appends each message as a line of JSON to the file at `path`, or to stdout if that is None.

    A line is `{"attributes": {…}, "data": …}` with reformatted JSON data, or has `data_base64` if the data is
    not JSON.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    async def open(self) -> None:
        """Does nothing: the file is opened for each message."""

    async def publish(self, message: OutgoingMessage) -> None:
        line: dict[str, Any] = {"attributes": message.attributes}
        try:
            encoded = msgspec.json.encode(line | {"data": msgspec.json.decode(message.data)})
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            encoded = msgspec.json.encode(line | {"data_base64": base64.b64encode(message.data).decode()})
        encoded += b"\n"
        try:
            if self._path is None:
                sys.stdout.buffer.write(encoded)
                sys.stdout.buffer.flush()
            else:
                # A single unbuffered write in append mode does not interleave with other processes' writes.
                with self._path.open("ab", buffering=0) as file:
                    file.write(encoded)
        except OSError as error:
            raise PublishFailed(f"cannot write to {self._path or 'stdout'}: {error.strerror}") from error
