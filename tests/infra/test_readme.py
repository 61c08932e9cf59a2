"""infra/README.md and docs/deploy.md agree with the configuration."""

import re
from pathlib import Path

import pytest

from infra.tables import tables
from tests.infra.module import INFRA, AppliedState, strings


def test_tables_agree_with_the_configuration() -> None:
    text = (INFRA / "README.md").read_text()
    for name, table in tables().items():
        assert f"<!-- {name} -->\n{table}<!-- /{name} -->" in text, "run `make diagram`"
        assert table.count("\n") - 2 == (INFRA / f"{name}.tf").read_text().count(f'\n{name[:-1]} "') + 1


def test_the_reading_order_lists_every_file() -> None:
    order = (INFRA / "README.md").read_text().partition("## Reading order")[2].partition("\n## ")[0]
    assert {path.name for path in INFRA.glob("*.tf")} <= set(re.findall(r"\[([\w.]+)\]", order))
    minutes = [int(number) for number in re.findall(r"^\| (\d+) \|", order, re.MULTILINE)]
    assert sum(minutes) == 20


@pytest.mark.parametrize("page", ["docs/deploy.md", "docs/runbook.md"])
def test_names_in_commands_exist(state: AppliedState, page: str) -> None:
    text = Path(page).read_text()
    existing = {value for each in state.resources for value in strings(each.values)}
    before = r"services (?:proxy|describe|update(?:-traffic)?) |jobs execute |--service=|--job="
    named = re.findall(rf"(?:{before})([a-z][\w-]+)", text)
    named += re.findall(r"subscriptions pull ([\w-]+)", text)
    named += re.findall(r"`((?:score|sync|ridecast|ride-events)-[\w-]+)`", text)
    assert len(named) > 5
    assert not set(named) - existing


def test_tables_in_queries_exist(state: AppliedState) -> None:
    existing = {value for each in state.resources for value in strings(each.values)}
    columns = {"predictions_deduplicated", "predict_duration", "scores_ride_duration"}
    assert columns == set(re.findall(r"\bridecast\.(\w+)", Path("docs/deploy.md").read_text()))
    assert columns <= existing | {Path(key).stem for key in state.of("google_bigquery_table", "view")}


def test_alert_names_agree_with_the_docs(state: AppliedState) -> None:
    alerts = {
        each.values["display_name"].removeprefix("Ridecast: ")
        for each in state.all("google_monitoring_alert_policy")
    }
    called = set(re.findall(r"alert \*([\w ]+)\*", Path("docs/deploy.md").read_text()))
    assert called
    assert called <= alerts
    assert (
        set(re.findall(r"^\| \*([\w ]+)\* \|", Path("docs/runbook.md").read_text(), re.MULTILINE)) == alerts
    )
