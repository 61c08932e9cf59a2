import base64
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jobs.identity_token import fetch_identity_token

PROJECT_ROOT = Path(__file__).parents[2]


def encoded(document):
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


TOKEN = f"{encoded({'alg': 'RS256'})}.{encoded({'exp': int(time.time()) + 3600})}.c2ln"


@pytest.fixture
def metadata():
    """What gives identity tokens on Google Cloud: its address, what it was asked, what it refuses."""
    asked, refused = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            is_token = "/identity?" in self.path
            if is_token and refused:
                self.send_error(404)
                return
            assert self.headers["Metadata-Flavor"] == "Google"
            self.send_response(200)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Type", "application/text" if is_token else "application/json")
            self.end_headers()
            self.wfile.write(TOKEN.encode() if is_token else b'{"email": "ridecast-deploy@project"}')

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", asked, refused
    server.shutdown()
    thread.join()
    server.server_close()


def asking(address, tmp_path):
    """A process of its own: Google's library reads the metadata server's address when it is imported."""
    ask = "from jobs.identity_token import *\ntry: print(fetch_identity_token('https://predict.example'))\n"
    ask += "except NoToken as error: print(error)"
    kept = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    settings = {
        "GCE_METADATA_HOST": address,
        "GCE_METADATA_IP": address,
        "GCE_METADATA_TIMEOUT": "1",
        "CLOUDSDK_CONFIG": str(tmp_path),
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True, check=True, env=kept | settings
    )
    return done.stdout.strip()


def test_the_machine_s_service_account_has_a_token_for_the_service(metadata, tmp_path):
    address, asked, _ = metadata

    assert asking(address, tmp_path) == TOKEN
    assert "audience=https%3A%2F%2Fpredict.example" in asked[-1]


def test_a_service_account_that_may_have_none_is_told_so(metadata, tmp_path):
    address, _, refused = metadata
    refused.append("all")

    said = asking(address, tmp_path)

    assert said.startswith("no identity token for https://predict.example is to be had here: ")


def test_a_service_without_tls_is_told_nothing():
    assert fetch_identity_token("http://127.0.0.1:8080") == ""
