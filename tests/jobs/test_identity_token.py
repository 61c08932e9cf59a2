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


def encode(document):
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


TOKEN = f"{encode({'alg': 'RS256'})}.{encode({'exp': int(time.time()) + 3600})}.c2ln"


@pytest.fixture
def metadata_server():
    """Google Cloud's metadata server: its address, the requested paths, a list that makes it refuse."""
    paths, refused = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
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
    yield f"127.0.0.1:{server.server_port}", paths, refused
    server.shutdown()
    thread.join()
    server.server_close()


def fetch_in_subprocess(address, tmp_path):
    """Google's library reads the metadata server's address when it is imported."""
    program = (
        "from jobs.identity_token import *\ntry: print(fetch_identity_token('https://predict.example'))\n"
    )
    program += "except TokenUnavailable as error: print(error)"
    inherited = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    settings = {
        "GCE_METADATA_HOST": address,
        "GCE_METADATA_IP": address,
        "GCE_METADATA_TIMEOUT": "1",
        "CLOUDSDK_CONFIG": str(tmp_path),
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    process = subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=inherited | settings,
    )
    return process.stdout.strip()


def test_the_machines_service_account_gets_a_token_for_the_service(metadata_server, tmp_path):
    address, paths, _ = metadata_server

    assert fetch_in_subprocess(address, tmp_path) == TOKEN
    assert "audience=https%3A%2F%2Fpredict.example" in paths[-1]


def test_a_refused_token_is_an_error(metadata_server, tmp_path):
    address, _, refused = metadata_server
    refused.append("all")

    message = fetch_in_subprocess(address, tmp_path)

    assert message.startswith("cannot get an identity token for https://predict.example: ")


def test_a_service_without_tls_needs_no_token():
    assert fetch_identity_token("http://127.0.0.1:8080") == ""
