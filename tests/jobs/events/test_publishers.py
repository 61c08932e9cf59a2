import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobs.events import publishers
from jobs.events.publishers import NotDelivered, open_publisher


@pytest.fixture
def function(monkeypatch):
    """A function that responds with the given statuses in turn, then 200, and records the requests."""
    monkeypatch.setattr(publishers, "RETRY_SECONDS", 0.01)
    posted, statuses, answers = [], [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer = answers.pop(0) if answers else b""
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.posted, server.statuses, server.answers = posted, statuses, answers
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_function_receives_a_push_envelope(function):
    publisher = open_publisher(function.url)

    publisher.send(b'{"ride_id": 256}')
    publisher.finish()

    (envelope,) = function.posted
    message = envelope["message"]
    assert base64.b64decode(message["data"]) == b'{"ride_id": 256}'
    assert message["attributes"] == {}
    assert message["messageId"] == "1"
    assert message["publishTime"].endswith("Z")
    assert envelope["subscription"].startswith("projects/")


def test_what_the_function_says_of_dead_letters_is_counted(function):
    dead = b'{"outcome": "dead_letter", "reason": "r", "detail": "#/ride: is missing", "pointer": "#/ride"}'
    function.answers += [dead, b'{"outcome": "predicted", "prediction": {}}', b"", b"\xff", b"[]", dead]
    publisher = open_publisher(function.url)

    for _ in range(6):
        publisher.send(b"{}")
    publisher.finish()

    assert publisher.dead_letters == ["#/ride: is missing"] * 2


def test_an_event_is_posted_again_until_the_function_acknowledges_it(function):
    function.statuses += [503, 500, 204]
    publisher = open_publisher(function.url)

    publisher.send(b"{}")
    publisher.finish()

    assert len(function.posted) == 3
    assert len({envelope["message"]["messageId"] for envelope in function.posted}) == 1


def test_an_event_that_is_never_acknowledged_is_an_error(function, monkeypatch):
    monkeypatch.setattr(publishers, "CONFIRM_SECONDS", 0.05)
    function.statuses += [503] * 1000
    publisher = open_publisher(function.url)

    publisher.send(b"{}")

    with pytest.raises(NotDelivered, match="answered 503"):
        publisher.finish()
