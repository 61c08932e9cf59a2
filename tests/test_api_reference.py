"""docs/api.md says what functions/openapi.json says, and what the functions send."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.rides import FIELD_NAMES

PAGE = Path("docs/api.md").read_text()
OPENAPI: dict[str, Any] = json.loads(Path("functions/openapi.json").read_text())
METHODS = ("get", "post")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of each operation."""
    for path, item in OPENAPI["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method.upper(), item[method]


def paths() -> str:
    rows = ["| method | path | what it does |", "|---|---|---|"]
    rows += [f"| {method} | `{path}` | {operation['summary']} |" for path, method, operation in operations()]
    return "\n".join(rows)


def formats() -> str:
    """Each example of a request with the example of its response."""
    shown: dict[str, str] = {}
    for _, _, operation in operations():
        answers = operation["responses"]["200"].get("content", {}).get("application/json", {})
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for name, example in content.get("examples", {}).items():
                if name in answers.get("examples", {}):
                    request = _one_line(example["value"])
                    answer = _one_line(answers["examples"][name]["value"])
                    text = f"{example['summary']}:\n\n```text\n{request}\n→ {answer}\n```\n"
                    shown.setdefault(name, text)
    return "\n".join(shown.values()).rstrip("\n")


def _one_line(value: object) -> str:
    return value.rstrip("\n") if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("part", [paths, formats])
def test_the_page_says_what_the_description_says(part: Callable[[], str]) -> None:
    assert f"<!-- {part.__name__} -->\n{part()}\n<!-- /{part.__name__} -->" in PAGE


def test_every_status_is_explained() -> None:
    statuses = {status for _, _, operation in operations() for status in operation["responses"]}
    explained = set(re.findall(r"\b\d{3}\b", PAGE.partition("<!-- statuses -->")[2].partition("<!-- /")[0]))
    assert statuses - {"200"} <= explained


def test_every_name_of_a_field_is_in_the_table() -> None:
    table = PAGE.partition("## Fields of a ride")[2].partition("###")[0].lower()
    assert not [name for names in FIELD_NAMES.values() for name in names if f"`{name}`" not in table]
