import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobs.events import publishers
from jobs.events.publishers import NotDelivered, open_inlet


@pytest.fixture
def function(monkeypatch):
    """A function that answers as told, one status after another, and remembers what was posted."""
    monkeypatch.setattr(publishers, "AGAIN_SECONDS", 0.01)
    posted, statuses = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.posted, server.statuses = posted, statuses
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_function_gets_what_pubsub_would_push(function):
    inlet = open_inlet(function.url)

    inlet.send(b'{"ride_id": 256}')
    inlet.finish()

    (envelope,) = function.posted
    message = envelope["message"]
    assert base64.b64decode(message["data"]) == b'{"ride_id": 256}'
    assert message["attributes"] == {}
    assert message["messageId"] == "1"
    assert message["publishTime"].endswith("Z")
    assert envelope["subscription"].startswith("projects/")


def test_an_event_is_posted_until_the_function_says_done(function):
    function.statuses += [503, 500, 204]
    inlet = open_inlet(function.url)

    inlet.send(b"{}")
    inlet.finish()

    assert len(function.posted) == 3
    assert len({envelope["message"]["messageId"] for envelope in function.posted}) == 1


def test_a_function_that_is_never_done_is_an_error(function, monkeypatch):
    monkeypatch.setattr(publishers, "CONFIRM_SECONDS", 0.05)
    function.statuses += [503] * 1000
    inlet = open_inlet(function.url)

    inlet.send(b"{}")

    with pytest.raises(NotDelivered, match="answered 503"):
        inlet.finish()
