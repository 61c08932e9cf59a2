"""LitServe: the API's four steps, one worker on the CPU."""

import argparse
from typing import Any

import litserve

from benchmarks.peers.model import load


class Rides(litserve.LitAPI):  # type: ignore[misc]
    """Loads the model once, in its worker."""

    def setup(self, device: str) -> None:
        self._predict = load()

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        return request

    def predict(self, ride: dict[str, Any]) -> float:
        return self._predict(ride)

    def encode_response(self, minutes: float) -> dict[str, float]:
        return {"duration": minutes}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    server = litserve.LitServer(Rides(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=parser.parse_args().port, generate_client_file=False, log_level="error")
