from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.capacity_study.document import DOCUMENT
from jobs.commands.capacity import command
from jobs.ui.markdown import PlaceholderNotFound, fill_placeholders

pytestmark = pytest.mark.slow

SMALL = ["--rate", "1", "-c", "80", "--min-instances", "0", "--vcpu", "1"]


def run(*arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), env={"COLUMNS": "250"})


@pytest.fixture(scope="module")
def documents(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "scaling.md").write_text(Path("docs/scaling.md").read_text())
    return folder


@pytest.fixture(scope="module")
def result(documents):
    return run(*SMALL, "--docs", documents)


def test_it_prints_the_instances_and_bottlenecks_of_each_scale(result):
    assert result.exit_code == 0, result.output
    for words in ("100,000", "one instance", "set a higher maximum", "recommended settings by traffic"):
        assert words in result.output


def test_it_fills_the_document_and_draws_the_chart(result, documents):
    text = (documents / "scaling.md").read_text()
    scales = text.partition("<!-- predict-event -->")[2].partition("<!-- /predict-event -->")[0]

    assert len(scales.splitlines()) == 1 + 2 + 6
    assert (
        text.partition("<!-- measured -->")[2]
        == Path("docs/scaling.md").read_text().partition("<!-- measured -->")[2]
    )
    assert (documents / "scaling.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--vcpu", "0.5", "-c", "80"], "set the concurrency to 1"),
        (["--trips", "nowhere.parquet"], "does not exist"),
        (["--docs", "tests"], "scaling.md does not exist"),
        (["--rate", "0"], "not in the range"),
        (["--service-ms", "0"], "not in the range"),
    ],
)
def test_invalid_options_are_errors(arguments, advice):
    result = run(*arguments)

    assert result.exit_code != 0
    assert advice in result.output


def test_a_document_without_a_placeholder_is_an_error(tmp_path):
    (tmp_path / "scaling.md").write_text("# Nothing\n")

    with pytest.raises(PlaceholderNotFound, match="has no placeholder <!-- limits -->"):
        fill_placeholders(tmp_path / DOCUMENT, {"limits": "| a |\n"})
