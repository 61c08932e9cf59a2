from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.capacity_study.document import DOCUMENT
from jobs.commands.capacity import command
from jobs.ui.markdown import NoDocument, fill_tables

SMALL = ["--rate", "1", "-c", "80", "--min-instances", "0", "--vcpu", "1"]


def run(*words):
    return CliRunner().invoke(command, list(map(str, words)), env={"COLUMNS": "250"})


@pytest.fixture(scope="module")
def documents(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "scaling.md").write_text(Path("docs/scaling.md").read_text())
    return folder


@pytest.fixture(scope="module")
def ran(documents):
    return run(*SMALL, "--docs", documents)


def test_it_says_what_each_scale_needs_and_meets(ran):
    assert ran.exit_code == 0, ran.output
    for words in ("100,000", "one instance", "set a higher maximum", "which choice for which traffic"):
        assert words in ran.output


def test_it_fills_the_document_and_draws_the_picture(ran, documents):
    text = (documents / "scaling.md").read_text()
    scales = text.partition("<!-- predict-event -->")[2].partition("<!-- /predict-event -->")[0]

    assert len(scales.splitlines()) == 1 + 2 + 6
    assert (
        text.partition("<!-- measured -->")[2]
        == Path("docs/scaling.md").read_text().partition("<!-- measured -->")[2]
    )
    assert (documents / "scaling.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["--vcpu", "0.5", "-c", "80"], "set the concurrency to 1"),
        (["--trips", "nowhere.parquet"], "does not exist"),
        (["--docs", "tests"], "scaling.md does not exist"),
        (["--rate", "0"], "not in the range"),
        (["--service-ms", "0"], "not in the range"),
    ],
)
def test_what_cannot_be_simulated_is_said(words, advice):
    ran = run(*words)

    assert ran.exit_code != 0
    assert advice in ran.output


def test_a_document_without_a_place_for_a_table_is_an_error(tmp_path):
    (tmp_path / "scaling.md").write_text("# Nothing\n")

    with pytest.raises(NoDocument, match="no place <!-- limits -->"):
        fill_tables(tmp_path / DOCUMENT, {"limits": "| a |\n"})
