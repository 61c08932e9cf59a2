import asyncio
import gzip
import json
import tomllib
import zlib
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from functions import __version__
from tests.models import save_bounded
from tests.serving import call, post

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
OPENAPI = json.loads(Path("functions/openapi.json").read_text())


@pytest.fixture
def settings(onnx_folder: Path) -> dict[str, str]:
    return {"MODEL_URI": str(onnx_folder)}


def test_a_ride_gets_a_duration(settings: dict[str, str]) -> None:
    response = post("predict", settings, "/predict", json=RIDE)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"duration", "model_version"}


def test_every_format_gives_the_same_prediction(settings: dict[str, str]) -> None:
    bodies: list[dict[str, Any]] = [
        {"json": RIDE},
        {"json": {"ride": RIDE, "ride_id": 1}},
        {"json": [RIDE]},
        {"json": {"instances": [RIDE] * 150}},
        {"json": {"dataframe_records": [RIDE]}},
        {"json": {"calls": [["130", 205.0, 3.66]]}},
        {
            "content": b"PULocationID,DOLocationID,trip_distance\n130,205,3.66\n",
            "headers": {"content-type": "text/csv"},
        },
    ]

    async def scenario(client: httpx.AsyncClient) -> set[str]:
        answers = [(await client.post("/", **body)).json() for body in bodies]
        return {repr(number) for answer in answers for number in numbers(answer)}

    assert len(call("predict", settings, scenario)) == 1


def numbers(answer: Any) -> list[float]:
    """All floats in a response body."""
    if isinstance(answer, float):
        return [answer]
    values = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else []
    return [number for value in values for number in numbers(value)]


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"{", 400, "#"),
        (b'{"PULocationID": 1, "DOLocationID": 2, "trip_distance": "far"}', 422, "#/trip_distance"),
        (b'{"calls": [[1, 2, "far"]]}', 400, "#/calls/0/2"),
        (b" " * ((1 << 20) + 1), 413, "#"),
    ],
)
def test_errors_are_problem_json_for_every_client(
    settings: dict[str, str], body: bytes, status: int, pointer: str
) -> None:
    response = post("predict", settings, "/predict", content=body)
    document = response.json()
    assert response.status_code == document["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert document["errors"][0]["pointer"] == pointer
    assert document["error"] == document["errorMessage"]
    assert pointer in document["error"]


def test_max_body_bytes_limits_the_body(settings: dict[str, str]) -> None:
    content = json.dumps(RIDE)
    fitting = settings | {"MAX_BODY_BYTES": str(len(content))}
    assert post("predict", fitting, "/predict", content=content).status_code == 200
    assert post("predict", fitting, "/predict", content=content + " ").status_code == 413


@pytest.mark.parametrize("path", ["/health", "/ping", "/ready"])
def test_health_has_the_versions_of_model_and_service(settings: dict[str, str], path: str) -> None:
    response = call("predict", settings | {"AIP_HEALTH_ROUTE": "/ready"}, lambda client: client.get(path))
    versions = {"model_version": "onnx", "ridecast": __version__}
    assert {"status": "ok", "model": "onnx", **versions}.items() <= response.json().items()


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/predict", "/invocations", "/v1/models/any:predict", "/vertex", "/v2/models/any/infer"),
        *("/predict/", "/invocations/", "/v1/models/any:predict/", "/vertex/", "/v2/models/any/infer/"),
    ],
)
@pytest.mark.parametrize("route", ["/vertex", "/vertex/"])
def test_prediction_paths(settings: dict[str, str], path: str, route: str) -> None:
    assert post("predict", settings | {"AIP_PREDICT_ROUTE": route}, path, json=RIDE).status_code == 200


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/models", {"models": ["onnx"]}),
        ("/v1/models/ride-duration", {"name": "ride-duration", "ready": True}),
        ("/v2", {"name": "ridecast", "version": __version__, "extensions": []}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready/", {"ready": True}),
        ("/v2/models/ride-duration/ready", {"name": "ride-duration", "ready": True}),
        (
            "/v2/models/ride-duration",
            {
                "name": "ride-duration",
                "versions": ["onnx"],
                "platform": "ridecast",
                "inputs": [
                    {"name": "PULocationID", "datatype": "INT64", "shape": [-1]},
                    {"name": "DOLocationID", "datatype": "INT64", "shape": [-1]},
                    {"name": "trip_distance", "datatype": "FP64", "shape": [-1]},
                    {"name": "pickup_datetime", "datatype": "BYTES", "shape": [-1]},
                ],
                "outputs": [{"name": "ride_duration", "datatype": "FP64", "shape": [-1]}],
            },
        ),
    ],
)
def test_questions_of_inference_clients_about_server_and_model(
    settings: dict[str, str], path: str, expected: Any
) -> None:
    assert call("predict", settings, lambda client: client.get(path)).json() == expected


def test_without_a_model_the_server_is_live_and_not_ready(tmp_path: Path) -> None:
    async def ask(client: httpx.AsyncClient) -> list[int]:
        paths = ("/v2/health/live", "/v2/health/ready", "/v2/models/m/ready", "/v2/models/m", "/v1/models/m")
        return [(await client.get(path)).status_code for path in paths]

    settings = {"MODEL_URI": str(tmp_path), "LOG_LEVEL": "CRITICAL"}
    assert call("predict", settings, ask) == [200, 503, 503, 503, 503]


def test_the_model_name_in_the_path_is_that_in_the_answer(settings: dict[str, str]) -> None:
    inputs = [{"name": n, "shape": [1], "datatype": "FP64", "data": [v]} for n, v in RIDE.items()]
    answer = post("predict", settings, "/v2/models/ride-duration/infer", json={"inputs": inputs}).json()
    expected = post("predict", settings, "/predict", json=RIDE).json()
    assert (answer["model_name"], answer["model_version"]) == ("ride-duration", "onnx")
    assert answer["outputs"][0]["data"] == [expected["duration"]]


def test_tensors_as_bytes_are_refused_with_what_to_do(settings: dict[str, str]) -> None:
    inputs = [
        {"name": "PULocationID", "shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": 8}}
    ]
    document = json.dumps({"inputs": inputs}).encode()
    headers = {"inference-header-content-length": str(len(document))}
    content = document + bytes(8)
    response = post("predict", settings, "/v2/models/m/infer", content=content, headers=headers)
    assert response.status_code == 400
    assert "binary_data=False" in response.json()["error"]


def test_impossible_distances_are_named_in_a_header(settings: dict[str, str]) -> None:
    calls = [[130, 205, 3.66, None], *([43, 151, 90000.5, None] for _ in range(30)), [43, 151, 0, None]]
    response = post("predict", settings, "/", json={"calls": calls})
    first, *repaired, unknown = response.json()["replies"]
    assert set(repaired) == {unknown} != {first}
    pointers = response.headers["ridecast-repaired"].split(", ")
    assert pointers == [f"#/calls/{number}/2" for number in range(1, 21)]
    assert "ridecast-repaired" not in post("predict", settings, "/", json=RIDE).headers


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("X-Gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("gzip", lambda body: gzip.compress(body[:20]) + gzip.compress(body[20:])),
    ],
)
def test_a_compressed_body(settings: dict[str, str], encoding: str, compress: Any) -> None:
    headers = {"content-encoding": encoding}
    content = compress(json.dumps(RIDE).encode())
    assert post("predict", settings, "/predict", content=content, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("encoding", "content", "status"),
    [
        ("br", b"{}", 415),
        ("gzip, gzip", b"{}", 415),
        ("gzip", b"{}", 400),
        ("gzip", b"", 400),
        ("gzip", gzip.compress(json.dumps(RIDE).encode(), mtime=0)[:-1], 400),
        ("gzip", gzip.compress(b" " * ((1 << 20) + 1), mtime=0), 413),
        ("deflate", zlib.compress(b" " * 100_000_000), 413),
    ],
)
def test_a_compressed_body_that_is_refused(
    settings: dict[str, str], encoding: str, content: bytes, status: int
) -> None:
    headers = {"content-encoding": encoding}
    response = post("predict", settings, "/predict", content=content, headers=headers)
    assert response.status_code == status
    jsonschema.validate(response.json(), schema("BodyProblem"))
    assert ("accept-encoding" in response.headers) == (status == 415)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/predict", 405, "POST"),
        ("DELETE", "/health", 405, "GET, HEAD"),
        ("POST", "/health", 405, "GET, HEAD"),
        ("GET", "/nothing", 404, None),
        ("POST", "/nothing", 404, None),
        ("POST", "/predict//", 404, None),
        ("GET", "/v2/models/m/infer", 405, "POST"),
        ("POST", "/v2/models/m", 405, "GET, HEAD"),
        ("POST", "/v1/models/m", 405, "GET, HEAD"),
        ("GET", "/v2/models/m/versions/1", 404, None),
        ("HEAD", "/health", 200, None),
    ],
)
def test_unsupported_methods_and_paths(
    settings: dict[str, str], method: str, path: str, status: int, allow: str | None
) -> None:
    response = call("predict", settings, lambda client: client.request(method, path))
    assert response.status_code == status
    assert response.headers.get("allow") == allow


def test_a_large_body_does_not_block_other_requests(settings: dict[str, str]) -> None:
    lines = b"PULocationID,DOLocationID,trip_distance\n" + b"1,2,3\n" * 150_000

    async def scenario(client: httpx.AsyncClient) -> int:
        await client.get("/health")
        large = asyncio.create_task(
            client.post("/invocations", content=lines, headers={"content-type": "text/csv"})
        )
        answers = 0
        while not large.done():
            assert (await client.get("/health")).status_code == 200
            answers += 1
            await asyncio.sleep(0.001)  # without sockets, nothing else yields to the other tasks
        assert len((await large).json()["predictions"]) == 150_000
        return answers

    assert call("predict", settings, scenario) > 10


def test_an_implausible_prediction_is_422(tmp_path: Path) -> None:
    settings = {"MODEL_URI": str(save_bounded(tmp_path / "model"))}
    response = post("predict", settings, "/predict", json=RIDE | {"trip_distance": 19.0})
    assert response.status_code == 422
    assert "which is implausible" in response.json()["error"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 400])
def test_numbers_outside_json_are_reported_with_a_pointer(settings: dict[str, str], number: str) -> None:
    content = json.dumps(RIDE).replace("3.66", number)
    response = post("predict", settings, "/predict", content=content)
    if number == "NaN":
        assert response.status_code == 422
        assert response.json()["errors"][0]["pointer"] == "#/trip_distance"
    else:
        assert response.headers["ridecast-repaired"] == "#/trip_distance"


def test_without_a_model_it_is_503_with_the_reason_in_the_log_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    response = post("predict", {"MODEL_URI": str(tmp_path)}, "/predict", json=RIDE)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert str(tmp_path) not in response.text, "locations of models are not disclosed to clients"
    assert str(tmp_path) in capsys.readouterr().out


def test_missing_settings_are_named_in_the_response() -> None:
    assert "MODEL_URI is not set" in post("predict", {}, "/predict", json=RIDE).json()["detail"]


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "functions.__version__"}
    assert OPENAPI["info"]["version"] == __version__


def test_the_openapi_document_is_served() -> None:
    settings = {"MODEL_URI": "no-such-model"}
    assert call("predict", settings, lambda client: client.get("/openapi.json")).json() == OPENAPI


EXAMPLES = [
    pytest.param(path, kind, name, id=f"{path} {name}")
    for path, operations in OPENAPI["paths"].items()
    if "post" in operations
    for kind, content in operations["post"]["requestBody"]["content"].items()
    for name in content["examples"]
]


def schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": OPENAPI["components"]}


def masked(value: Any) -> Any:
    """A value with its model-specific parts, numbers and versions, masked."""
    if isinstance(value, dict):
        return {k: "…" if k.endswith("version") else masked(v) for k, v in value.items()}
    return (
        [masked(item) for item in value]
        if isinstance(value, list)
        else "…"
        if isinstance(value, float)
        else value
    )


@pytest.mark.parametrize(("path", "kind", "name"), EXAMPLES)
def test_every_example_in_the_openapi_document_is_correct(
    settings: dict[str, str], path: str, kind: str, name: str
) -> None:
    operation = OPENAPI["paths"][path]["post"]
    question = operation["requestBody"]["content"][kind]["examples"][name]["value"]
    content = question if isinstance(question, str) else json.dumps(question)
    response = post(
        "predict",
        settings,
        path.replace("{name}", "ride-duration"),
        content=content,
        headers={"content-type": kind},
    )
    assert response.status_code == 200
    if kind == "application/json":
        jsonschema.validate(question, schema("PredictionRequest"))
    jsonschema.validate(response.json(), schema("PredictionResponse"))
    expected = operation["responses"]["200"]["content"]["application/json"]["examples"][name]["value"]
    assert masked(response.json()) == masked(expected)


@pytest.mark.parametrize("path", [path for path, item in OPENAPI["paths"].items() if "get" in item])
def test_every_other_answer_is_as_the_openapi_document_says(settings: dict[str, str], path: str) -> None:
    content = OPENAPI["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    answer = call("predict", settings, lambda client: client.get(path.replace("{name}", "ride-duration")))
    jsonschema.validate(answer.json(), content["schema"] | {"components": OPENAPI["components"]})
    for example in content.get("examples", {}).values():
        jsonschema.validate(example["value"], content["schema"] | {"components": OPENAPI["components"]})


def test_errors_and_health_match_the_openapi_document(settings: dict[str, str]) -> None:
    jsonschema.validate(post("predict", settings, "/", content=b"{").json(), schema("Problem"))
    health = call("predict", settings, lambda client: client.get("/health"))
    jsonschema.validate(health.json(), schema("Health"))
