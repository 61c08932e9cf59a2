"""Messages out to a file, or to stdout, where there is no Pub/Sub."""

import base64
import sys
from pathlib import Path
from typing import Any

import msgspec

from functions.errors import PublishFailed
from functions.pubsub_message import OutMessage


class LinePublisher:
    """Appends each message as a line of JSON.

    A line is `{"attributes": {…}, "data": …}`, with JSON written anew; data that is no JSON stands in base64
    under `data_base64`.

    Args:
        path: of the file; None is stdout.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    async def open(self) -> None:
        """The file is opened for each message."""

    async def publish(self, message: OutMessage) -> None:
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
                # One unbuffered write to a file opened for appending is not mixed with another's.
                with self._path.open("ab", buffering=0) as file:
                    file.write(encoded)
        except OSError as error:
            raise PublishFailed(f"{self._path or 'stdout'} cannot be written: {error.strerror}") from error
