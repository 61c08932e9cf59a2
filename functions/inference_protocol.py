"""The Open Inference Protocol (KServe V2), as Triton, MLServer and their clients speak it over HTTP.

A request has one tensor per field of a ride. The answer has one tensor, named after the target.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from functions import __version__
from functions.errors import UnreadableBody
from functions.ride_tables import parse_table
from functions.rides import RIDE_FIELDS, Prediction, Ride

_DATATYPES = dict(zip(RIDE_FIELDS, ("INT64", "INT64", "FP64", "BYTES"), strict=True))
_TENSORS = f"one tensor per field of a ride ({', '.join(RIDE_FIELDS)})"

BINARY_HEADER = "inference-header-content-length"
"""Header of a request whose tensors are bytes after the JSON: an extension of Triton, not supported here."""


SERVER_METADATA = {"name": "ridecast", "version": __version__, "extensions": []}
"""The answer to `GET /v2`."""


def model_metadata(name: str, version: str, target: str) -> dict[str, Any]:
    """The answer to `GET /v2/models/NAME`."""
    return {
        "name": name,
        "versions": [version],
        "platform": "ridecast",
        "inputs": [
            {"name": field, "datatype": datatype, "shape": [-1]} for field, datatype in _DATATYPES.items()
        ],
        "outputs": [{"name": target, "datatype": "FP64", "shape": [-1]}],
    }


def require_json(headers: Mapping[str, str]) -> None:
    """Raises UnreadableBody if a request's tensors are bytes after the JSON; header names are lower-case."""
    if BINARY_HEADER in headers:
        hint = "in Triton's client, set_data_from_numpy(…, binary_data=False)"
        raise UnreadableBody(f"must hold its tensors as JSON: {hint}")


def is_inference_request(inputs: object) -> bool:
    """Whether a document's `inputs` are tensors, not rides."""
    return isinstance(inputs, list) and any(isinstance(each, dict) and "datatype" in each for each in inputs)


def parse_tensors(inputs: Sequence[object], pointer: str, repaired: list[str]) -> list[Ride]:
    """Rides from tensors of shape [n] or [n, 1].

    Args:
        inputs: the decoded tensors, each `{"name": …, "shape": […], "datatype": …, "data": […]}`.
        pointer: their position in the body.
        repaired: as in `parse_ride`.

    Raises:
        UnreadableBody: a tensor does not have this form.
        InvalidRide: a tensor is missing, or values are invalid.
    """
    names, columns = [], []
    for index, tensor in enumerate(inputs):
        name, values = _read_tensor(tensor, f"{pointer}/{index}")
        names.append(name)
        columns.append(values)
    if len({len(values) for values in columns}) > 1:
        raise UnreadableBody("must be tensors of the same length", pointer)
    rows = list(zip(*columns, strict=True))
    if not rows:
        raise UnreadableBody("must hold at least one ride", pointer)
    return parse_table(names, rows, pointer, lambda row, column: f"{pointer}/{column}/data/{row}", repaired)


def _read_tensor(tensor: object, pointer: str) -> tuple[str, list[object]]:
    """Its name and values."""
    if not isinstance(tensor, dict) or not all(
        isinstance(tensor.get(name), str) for name in ("name", "datatype")
    ):
        raise UnreadableBody('must be {"name": …, "shape": […], "datatype": …, "data": […]}', pointer)
    shape, values = tensor.get("shape"), tensor.get("data")
    if not (isinstance(shape, list) and shape and all(type(size) is int for size in shape)):
        raise UnreadableBody("must be an array of integers", f"{pointer}/shape")
    if len(shape) > 2 or shape[1:] not in ([], [1]):
        raise UnreadableBody(f"must be [n] or [n, 1]: send {_TENSORS}", f"{pointer}/shape")
    if not isinstance(values, list):
        raise UnreadableBody("must be an array of values", f"{pointer}/data")
    if len(values) != shape[0]:
        raise UnreadableBody(f"must have {shape[0]} values, as shape says", f"{pointer}/data")
    if len(shape) == 2 and all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value[0] for value in values]
    return tensor["name"], values


def inference_response(
    predictions: Sequence[Prediction], model_name: str, request_id: object
) -> dict[str, Any]:
    """The answer to an inference request for at least one ride.

    Args:
        predictions: one per ride.
        model_name: name of the model in the request's path.
        request_id: the request's `id`, which is returned if it is text.
    """
    first = predictions[0]
    identity = {"id": request_id} if isinstance(request_id, str) else {}
    data = [prediction.value for prediction in predictions]
    return {
        "model_name": model_name or first.model,
        "model_version": first.version,
        **identity,
        "outputs": [{"name": first.target, "datatype": "FP64", "shape": [len(data)], "data": data}],
    }
