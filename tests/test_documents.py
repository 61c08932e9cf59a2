"""What the documents name is there."""

import re
from pathlib import Path

import pytest

TESTS = "\n".join(path.read_text() for path in Path("tests").rglob("test_*.py"))
DOCUMENTS = [
    Path("README.md"),
    *Path("docs").rglob("*.md"),
    *Path("examples").rglob("*.md"),
    Path("infra/README.md"),
]


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


def test_the_speed_that_the_readme_tells_of_was_measured() -> None:
    readme = Path("README.md").read_text().partition("## How fast")[2].partition("\n## ")[0]
    measured = Path("docs/performance.md").read_text()
    figures = re.findall(r"\d[\d,.]*\d", readme)
    assert figures
    known = [re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d,])", measured) for figure in figures]
    assert all(known), figures


@pytest.mark.parametrize(
    ("row", "source"),
    [
        ("answer is there after", "performance"),
        ("predictions a second, one process", "performance"),
        ("a million, at 1 a second", "scaling"),
        ("a million, at 1,000 a second", "scaling"),
    ],
)
def test_the_figures_by_which_to_choose_are_those_of_their_pages(row: str, source: str) -> None:
    (line,) = re.findall(rf"^\| {row} \|(.*)$", Path("docs/choosing.md").read_text(), re.MULTILINE)
    known = Path(f"docs/{source}.md").read_text()
    figures = re.findall(r"\d+\.\d+|\d+(?:,\d{3})+", line)
    assert figures
    assert not [each for each in figures if not re.search(rf"(?<![\d.,]){re.escape(each)}(?![\d,])", known)]


def test_every_decision_is_listed() -> None:
    index = Path("docs/decisions/README.md").read_text()
    assert not [path.name for path in Path("docs/decisions").glob("0*.md") if path.name not in index]
