import gc
from pathlib import Path

from tests.serving import post

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}


def test_loaded_objects_are_exempt_from_garbage_collection(onnx_folder: Path) -> None:
    before = len(gc.get_objects())
    assert post("predict", {"MODEL_URI": str(onnx_folder)}, "/", json=RIDE).status_code == 200
    assert gc.get_freeze_count() > before / 2
    assert len(gc.get_objects()) < before / 2
    assert gc.get_threshold()[0] == 10_000
