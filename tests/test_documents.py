"""What the documents name exists: files, tests, links, headings, messages, figures."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.blocks import DOCUMENTS as NAMES

TESTS = "\n".join(path.read_text() for path in Path("tests").rglob("test_*.py"))
DOCUMENTS = [Path(name) for name in NAMES]


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_tests_and_files_that_a_document_names_exist(path: Path) -> None:
    named = re.findall(r"`([^`\n]+)`", path.read_text())
    files = {
        name
        for name in named
        if re.fullmatch(r"(tests|functions|jobs|docs|examples|infra)/[\w/.]+\.\w+", name)
    }
    assert not {name for name in files if not Path(name).is_file()}
    tests = {name for name in named if re.fullmatch(r"test_\w+", name)}
    assert not {name for name in tests if f"def {name}(" not in TESTS}


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    assert not [link for link in links if not (path.parent / link).exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_links_lead_to_headings(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", path.read_text())
    targets = [(path.parent / file if file else path, anchor) for file, anchor in links]
    assert not [(file, anchor) for file, anchor in targets if anchor not in anchors(file)]


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_column_has_a_title(path: Path) -> None:
    headers = re.findall(r"^(\|.*\|)\n\|[-:| ]+\|$", path.read_text(), re.MULTILINE)
    assert not [header for header in headers if re.search(r"\|\s*\|", header)]


def test_troubleshooting_quotes_what_the_code_says() -> None:
    python = "\n".join(
        path.read_text() for folder in ("functions", "jobs") for path in Path(folder).rglob("*.py")
    )
    python = re.sub(r'"\s*\n\s*f?"', "", python)  # strings that go on in the next line
    source = (
        re.sub(r"\{[^{}\n]*\}", "…", python) + Path("Makefile").read_text() + Path("infra/deploy").read_text()
    )
    symptoms = re.findall(r"^\| ([^|]+) \|", Path("docs/troubleshooting.md").read_text(), re.MULTILINE)
    quoted = [part for each in symptoms for text in re.findall("`([^`]+)`", each) for part in text.split("…")]
    messages = [part.strip() for part in quoted if part.strip().count(" ") > 1]
    assert len(messages) > 20
    assert not [message for message in messages if message not in source]


@pytest.mark.parametrize("row", ["a million, at 1 a second", "a million, at 1,000 a second"])
def test_the_costs_by_which_to_choose_are_those_of_their_page(row: str) -> None:
    (line,) = re.findall(rf"^\| {row} \|(.*)$", Path("docs/choosing.md").read_text(), re.MULTILINE)
    known = Path("docs/scaling.md").read_text()
    figures = re.findall(r"\d+\.\d+|\d+(?:,\d{3})+", line)
    assert figures
    assert not [each for each in figures if not re.search(rf"(?<![\d.,]){re.escape(each)}(?![\d,])", known)]


def test_every_decision_is_listed() -> None:
    index = Path("docs/decisions/README.md").read_text()
    assert not [path.name for path in Path("docs/decisions").glob("0*.md") if path.name not in index]


def test_every_page_is_in_the_index() -> None:
    index = Path("docs/README.md").read_text()
    pages = {path.name for path in Path("docs").glob("*.md")} - {"README.md"}
    assert not {page for page in pages if f"({page})" not in index}


def test_the_layers_are_those_that_are_checked() -> None:
    contracts = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    checked = [layer.split(" | ") for contract in contracts for layer in contract.get("layers", ())]
    page = Path("docs/architecture.md").read_text()
    rows = re.findall(r"^\| (`[^|]+`) \|", page.partition("### Everything else")[0], re.MULTILINE)
    described = [re.findall(r"`(\w+)`", row) for row in rows]
    assert sorted(map(sorted, described)) == sorted(map(sorted, checked))
