"""infra/README.md tells what the configuration says."""

import re

from infra.tables import tables
from tests.infra.module import INFRA


def test_its_tables_are_those_of_the_configuration() -> None:
    text = (INFRA / "README.md").read_text()
    for name, table in tables().items():
        assert f"<!-- {name} -->\n{table}<!-- /{name} -->" in text, "run `make diagram`"
        assert table.count("\n") - 2 == (INFRA / f"{name}.tf").read_text().count(f'\n{name[:-1]} "') + 1


def test_the_reading_order_leaves_no_file_out() -> None:
    order = (INFRA / "README.md").read_text().partition("## In twenty minutes")[2].partition("\n## ")[0]
    assert {path.name for path in INFRA.glob("*.tf")} <= set(re.findall(r"\[([\w.]+)\]", order))
    minutes = [int(number) for number in re.findall(r"^\| (\d+) \|", order, re.MULTILINE)]
    assert sum(minutes) == 20
