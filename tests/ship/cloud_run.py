"""A fake of the Cloud Run and Cloud Build APIs that gcloud calls to move traffic, as gcloud's proxy."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Traffic = list[dict[str, Any]]


def service(name: str, traffic: Traffic) -> dict[str, Any]:
    """A ready service."""
    conditions = [
        {"type": kind, "status": "True"} for kind in ("Ready", "RoutesReady", "ConfigurationsReady")
    ]
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "ridecast-dev", "generation": 1},
        "spec": {"template": {"spec": {"containers": [{"image": "i"}]}}, "traffic": traffic},
        "status": {
            "observedGeneration": 1,
            "url": "https://s",
            "latestReadyRevisionName": f"{name}-9",
            "traffic": traffic,
            "conditions": conditions,
        },
    }


def build(number: int, **substitutions: str) -> dict[str, Any]:
    """A running build, started on the day of its number."""
    return {
        "id": f"b-{number}",
        "createTime": f"2026-01-0{number}T00:00:00Z",
        "status": "WORKING",
        "tags": ["ridecast"],
        "substitutions": {"_ENVIRONMENT": "dev"} | substitutions,
    }


class CloudRun(ThreadingHTTPServer):
    """Two functions and another service; one function has a tagged revision without traffic."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.changes: list[tuple[str, Traffic]] = []
        """Each service whose traffic was changed, with its new traffic without tags, in order."""
        self.builds = [build(3, _APPLY="true"), build(1, _APPLY="false"), build(2, _APPLY="true")]
        shares: dict[str, Traffic] = {
            "ride-duration-predict": [
                {"revisionName": "p-7", "percent": 90},
                {"revisionName": "p-6", "percent": 10},
                {"revisionName": "p-1", "tag": "old"},
            ],
            "ride-duration-predict-event": [{"revisionName": "e-3", "percent": 100, "latestRevision": True}],
            "ridecast-mlflow": [{"revisionName": "m-1", "percent": 100, "latestRevision": True}],
        }
        self.services = {name: service(name, traffic) for name, traffic in shares.items()}

    def __enter__(self) -> "CloudRun":
        self._thread = threading.Thread(target=self.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def set_traffic(self, name: str, traffic: Traffic) -> None:
        """Changes the traffic of a service."""
        shares = [share for share in traffic if share.get("percent")]
        shares.sort(key=lambda share: -int(share["percent"]))
        self.changes.append((name, shares))
        self.services[name]["spec"]["traffic"] = self.services[name]["status"]["traffic"] = [
            {"revisionName": f"{name}-9"} | share for share in traffic
        ]


class Handler(BaseHTTPRequestHandler):
    server: CloudRun

    def do_GET(self) -> None:
        last = self.path.partition("?")[0].rpartition("/")[2]
        if last == "builds":
            self._respond({"builds": self.server.builds})
        elif last == "services":
            kind = {"apiVersion": "serving.knative.dev/v1", "kind": "ServiceList"}
            self._respond(kind | {"items": list(self.server.services.values())})
        else:
            self._respond(self.server.services[last])

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.set_traffic(body["metadata"]["name"], body["spec"]["traffic"])
        self._respond(self.server.services[body["metadata"]["name"]])

    def _respond(self, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
