"""The description is exact: what it allows is answered, what it forbids is refused, and so it says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from functions_framework.aio import create_asgi_app
from hypothesis import given
from hypothesis import strategies as some
from schemathesis import Case, GenerationMode, Response
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.faults.answers import Answer, Tally
from tests.faults.figures import Figures
from tests.faults.inputs import examples
from tests.serving import environment

schemathesis.openapi.format("date-time-local", some.datetimes().map(lambda moment: moment.isoformat()))

BEYOND_A_SCHEMA = (
    "must be an ISO 8601 date",  # a format is an annotation, which the generator does not always keep
    "must be an integer or a string, not a number",  # 256.0 is an integer to JSON Schema
    "must have at most 1024 bytes",  # a schema counts characters
)


@pytest.fixture(scope="module")
def description(onnx_folder: Path) -> Iterator[Any]:
    settings = {"MODEL_URI": str(onnx_folder), "MODEL_REFRESH_SECONDS": "0", "LOG_LEVEL": "CRITICAL"}
    with environment(settings):
        yield schemathesis.openapi.from_asgi("/openapi.json", create_asgi_app("predict", "main.py"))


@pytest.mark.parametrize("mode", GenerationMode)
def test_the_description_says_what_is_answered_and_what_is_refused(
    description: Any, full: bool, figures: Figures, mode: GenerationMode
) -> None:
    tally = Tally(f"OpenAPI, {mode}")

    @examples(full, short=100, long=600)
    @given(description.as_strategy(generation_mode=mode))
    def send(case: Case) -> None:
        response = case.call()
        case.validate_response(response, excluded_checks=beyond_a_schema(case, response))
        answer = Answer(response.status_code, {}, response.content, response.elapsed)
        tally.count(answer, answered=answer.status == 200)

    send()
    tally.report(figures)


def beyond_a_schema(case: Case, response: Response) -> list[Any]:
    """The checks that would ask more of a description than a schema can say."""
    if case.media_type in ("text/csv", "application/x-ndjson"):
        # Any text is a string, and anything is sent as text.
        return [positive_data_acceptance, negative_data_rejection]
    if isinstance(case.body, dict) and {"dataframe_split", "inputs"} & set(case.body):
        # That rows and columns fit each other.
        return [positive_data_acceptance]
    if response.status_code in (400, 422) and all(
        each["detail"].startswith(BEYOND_A_SCHEMA) for each in response.json()["errors"]
    ):
        return [positive_data_acceptance]
    return []
