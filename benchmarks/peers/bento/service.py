"""BentoML: a service class with one API method."""

from typing import Any

import bentoml

from benchmarks.peers.model import load


@bentoml.service(workers=1)
class Rides:
    """Loads the model once, in its worker."""

    def __init__(self) -> None:
        self._predict = load()

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, ride: dict[str, Any]) -> dict[str, float]:
        """Predicts the minutes of a ride."""
        return {"duration": self._predict(ride)}
