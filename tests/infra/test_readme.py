"""infra/README.md and docs/deploy.md agree with the configuration."""

import re
from pathlib import Path

import click

from infra.tables import tables
from jobs.__main__ import COMMANDS, Commands
from tests.blocks import blocks_of
from tests.infra.module import INFRA, AppliedState, strings


def test_tables_agree_with_the_configuration() -> None:
    text = (INFRA / "README.md").read_text()
    for name, table in tables().items():
        assert f"<!-- {name} -->\n{table}<!-- /{name} -->" in text, "run `make diagram`"
        assert table.count("\n") - 2 == (INFRA / f"{name}.tf").read_text().count(f'\n{name[:-1]} "') + 1


def test_the_reading_order_lists_every_file() -> None:
    order = (INFRA / "README.md").read_text().partition("## In twenty minutes")[2].partition("\n## ")[0]
    assert {path.name for path in INFRA.glob("*.tf")} <= set(re.findall(r"\[([\w.]+)\]", order))
    minutes = [int(number) for number in re.findall(r"^\| (\d+) \|", order, re.MULTILINE)]
    assert sum(minutes) == 20


def test_names_in_commands_exist(state: AppliedState) -> None:
    text = Path("docs/deploy.md").read_text()
    assert set(re.findall(r"output -raw (\w+)", text)) <= set(state.outputs)
    existing = {value for each in state.resources for value in strings(each.values)}
    named = re.findall(r"(?:services proxy |update-traffic |services update |--service=)(ride[\w-]+)", text)
    named += re.findall(r"`((?:score|sync|ridecast)-[\w-]+)`", text)
    assert len(named) > 5
    assert not set(named) - existing
    columns = {"predictions_deduplicated", "predict_duration", "scores_ride_duration"}
    assert columns == set(re.findall(r"\bridecast\.(\w+)", text))
    assert columns <= existing | {Path(key).stem for key in state.of("google_bigquery_table", "view")}


def test_commands_have_the_options_that_the_docs_use() -> None:
    group = Commands()
    script = "\n".join(block.text for block in blocks_of("docs/deploy.md") if block.kind == "sh")
    lines = re.findall(r"python -m jobs ([^|\n)]+)", script.replace("\\\n", " "))
    for line in lines:
        name = line.split()[0]
        assert name in COMMANDS
        command = group.get_command(click.Context(group), name)
        assert command
        known = {option for each in command.params for option in each.opts}
        assert set(re.findall(r" (--[\w-]+)", line)) <= known, line
    assert len(lines) > 6


def test_alert_names_agree_with_the_docs(state: AppliedState) -> None:
    text = Path("docs/deploy.md").read_text()
    shown = {
        each.values["display_name"].removeprefix("Ridecast: ")
        for each in state.all("google_monitoring_alert_policy")
    }
    called = set(re.findall(r"alert \*([\w ]+)\*", text))
    assert called
    assert called <= shown
