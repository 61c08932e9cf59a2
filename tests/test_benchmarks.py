"""The benchmark's own computations, without a server: loads, ratios, targets, memory and quoted figures."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from benchmarks.batch import BATCH_PEERS, READ_WRITE, RIDECAST_BEAM, RIDECAST_BEAM_START, RIDECAST_SCORE
from benchmarks.figures import DOCUMENTS, METRICS, UnknownFigure, write_figures
from benchmarks.measure import FULL
from benchmarks.memory import pss_mb
from benchmarks.report import NOT_MEASURED, TEMPLATE, Tables, performance_page
from benchmarks.results import Results, Row, Sample, rate, ratio, startup_seconds
from benchmarks.servers import (
    ASGI_ECHO,
    HTTP_LIMITS,
    HTTP_PEERS,
    LITSERVE,
    PUBSUB_PEERS,
    PYFUNC,
    RIDECAST,
    RIDECAST_EVENTS,
)
from benchmarks.stages import MODEL, REST
from benchmarks.targets import Target, fastest
from benchmarks.workload import RequestCase, WrongResponse, check_echo, prediction_check
from benchmarks.wrk import Load, LoadFailed, read_load
from jobs.ui.markdown import PlaceholderNotFound

GOOD = Load(requests=1000, seconds=2.0, p50_ms=1.0, p99_ms=3.0, refused=0, broken=0)
QUOTE = re.compile(r"<!-- speed:([\w-]+) -->(.*?)<!-- /speed:\1 -->", re.DOTALL)
PARTS = ("whole", "read", "columns", "features", "model", "checks", "write")


def row(name: str, *rates: int) -> Row:
    loads = [msgspec.structs.replace(GOOD, requests=each, seconds=1.0) for each in rates]
    return Row(name, [Sample(dict.fromkeys((1, 8, 32), load), 0.5, 100.0) for load in loads])


def results(*rows: Row, rounds: int = 3) -> Results:
    microseconds = dict.fromkeys(PARTS, 10.0)
    in_process = [{"one": microseconds, "many": microseconds}] * rounds
    stages = [dict.fromkeys((MODEL, REST), 1.0)] * rounds
    return Results(list(rows), [], [], in_process, stages)


def test_the_output_of_wrk_ends_with_its_figures() -> None:
    output = f"Running 1s test\n{msgspec.json.encode(GOOD).decode()}\n"
    assert read_load(output).rate == 500


@pytest.mark.parametrize("fault", [{"refused": 1}, {"broken": 1}, {"requests": 0}])
def test_a_load_in_which_anything_failed_has_no_figures(fault: dict[str, int]) -> None:
    with pytest.raises(LoadFailed):
        read_load(msgspec.json.encode(msgspec.structs.replace(GOOD, **fault)).decode())


def test_a_ratio_is_that_of_the_rounds_not_of_the_medians() -> None:
    # The machine was twice as fast in the second round and half as fast in the third.
    assert ratio(row("a", 100, 200, 50), row("b", 200, 400, 100), rate(8)) == 0.5
    assert ratio(row("a", 100), Row("b"), rate(8)) is None


def test_a_row_that_failed_has_no_figures_though_it_had_some() -> None:
    failed = row("a", 100)
    failed.failure = "it ended"
    assert failed.values(startup_seconds) == []
    assert fastest([failed, row("b", 10), row("c", 20)], rate(8)).name == "c"


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target("", "×", 2.0, maximum=2.0), "met"),
        (Target("", "×", 2.1, maximum=2.0), "**missed**"),
        (Target("", "×", 0.7, minimum=0.7), "met"),
        (Target("", "×", 0.6, minimum=0.7), "**missed**"),
        (Target("", "×", None, minimum=0.7), "–"),
        (Target("", "×", 0.6), "–"),
    ],
)
def test_a_target_is_met_up_to_its_limit(target: Target, verdict: str) -> None:
    assert target.verdict == verdict


def test_one_round_has_no_verdicts() -> None:
    rows = row(RIDECAST, 50, 50, 50), row(ASGI_ECHO, 100, 100, 100)
    assert "missed" in Tables(results(*rows)).targets()
    short = Tables(results(*rows, rounds=1)).targets()
    assert "missed" not in short
    assert "| met |" not in short


def test_a_row_without_figures_has_the_reason() -> None:
    table = Tables(results(row(RIDECAST, 50), Row(PYFUNC, failure="uv found | no version"))).http()
    assert "not measured: uv found \\| no version" in table


def test_a_response_is_the_models_prediction_or_wrong() -> None:
    case = RequestCase(b"{}", 10.0)
    check = prediction_check(lambda response: response["duration"])
    check(case, b'{"duration": 10.0005}', 1e-3)
    for wrong in (b'{"duration": 10.0005}', b'{"duration": NaN}', b'{"minutes": 10}', b"", b"[]"):
        with pytest.raises(WrongResponse):
            check(case, wrong, 0.0)
    check_echo(case, b"{}", 0.0)
    with pytest.raises(WrongResponse):
        check_echo(case, b"{ }", 0.0)


def test_memory_counts_the_session_and_all_that_descend_from_it(tmp_path: Path) -> None:
    # process: parent, session
    family = {10: (1, 10), 11: (10, 10), 12: (11, 12), 13: (12, 12), 14: (1, 10), 20: (1, 20), 21: (20, 20)}
    for process, (parent, session) in family.items():
        folder = tmp_path / str(process)
        folder.mkdir()
        (folder / "stat").write_text(f"{process} (a) name) S {parent} {process} {session} 0 -1")
        (folder / "smaps_rollup").write_text("00-ff ---p 00 00:00 0 [rollup]\nRss: 9 kB\nPss: 1000 kB\n")
    assert pss_mb(10, tmp_path) == pytest.approx(5 * 1.024)
    assert pss_mb(99, tmp_path) is None


def test_a_stage_has_its_share_of_each_round() -> None:
    measured = results(rounds=2)
    measured.stages[1] = {MODEL: 6.0, REST: 2.0}
    assert measured.share(MODEL) == [0.5, 0.75]


def full_run(factor: float, *failed: str) -> Results:
    """A made-up run of all servers and programs; each row has figures of its own."""
    http = (RIDECAST, *HTTP_LIMITS, *HTTP_PEERS, RIDECAST_EVENTS, *PUBSUB_PEERS)
    batch = (RIDECAST_SCORE, RIDECAST_BEAM, RIDECAST_BEAM_START, READ_WRITE, *BATCH_PEERS)
    numbers = {name: (1 + index / 7) * factor for index, name in enumerate((*http, *batch))}

    def measured(name: str) -> Row:
        number = numbers[name]
        load = msgspec.structs.replace(GOOD, requests=round(1000 * number), p50_ms=number, p99_ms=3 * number)
        sample = Sample(dict.fromkeys((1, 8, 32), load), number, 60 * number, number, 2 * number, 99 * number)
        return Row(name, [sample] * 3, "it ended" if name in failed else "")

    microseconds = dict.fromkeys(PARTS, 7.7 * factor)
    in_process = [{"one": microseconds, "many": microseconds}] * 3
    stages = [dict.fromkeys((MODEL, REST), factor)] * 3
    return Results(
        [measured(name) for name in http], [], [measured(name) for name in batch], in_process, stages
    )


def assert_quotes_are_measured(documents: Iterable[Path], page: Path) -> None:
    """Every quoted figure is complete, known, and a median in its row of the page; no other one is quoted."""
    rows = [line.strip("| ").split(" | ") for line in page.read_text().splitlines() if line[:2] == "| "]

    def medians(row: str) -> set[str]:
        return {NOT_MEASURED} | {
            cell.split()[0] for name, *cells in rows if row in ("", name) for cell in cells if cell
        }

    for document in documents:
        text = document.read_text()
        quotes = QUOTE.findall(text)
        assert 0 < len(quotes) == text.count("<!-- speed:") == text.count("<!-- /speed:")
        assert not re.search("^<!-- speed:.+ -->.", text, re.MULTILINE)  # such a line would not be Markdown
        for name, quote in quotes:
            if name == "servers":
                for row, *cells in (line.strip("| ").split(" | ") for line in quote.splitlines()[3:]):
                    assert set(cells) <= medians(row)
            else:
                assert quote in medians(METRICS[name][0] if name in METRICS else "")
        section = re.split("\n##+ (?:Performance|Speed)\n", text)[1].partition("\n##")[0]
        unmarked = set(re.findall(r"\d[\d,.]*\d", QUOTE.sub("", section)))
        assert unmarked <= {"1,000", "1,000,000"}


def test_figures_are_written_between_their_markers(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text(
        "<!-- speed:servers -->\nold\n<!-- /speed:servers -->\n"
        "It is <!-- speed:predict-rate -->9<!-- /speed:predict-rate --> a second, 9 ms, and "
        "<!-- speed:events-p50 -->9<!-- /speed:events-p50 --> or "
        "<!-- speed:predict-rate --><!-- /speed:predict-rate -->\n"
    )
    write_figures(results(row(RIDECAST, 50, 70, 60), row(LITSERVE, 99), row(ASGI_ECHO, 80)), [document])
    table, _, text = document.read_text().partition("<!-- /speed:servers -->\n")
    assert table.splitlines()[:6] == [
        "<!-- speed:servers -->",
        "| server | first answer, s | requests/s at 8 connections | p50, ms | memory, MB |",
        "| --- | --: | --: | --: | --: |",
        "| functions-framework echo, ASGI | 0.50 | 80.0 | 1.00 | 100 |",
        "| LitServe | 0.50 | 99.0 | 1.00 | 100 |",
        "| **Ridecast** `predict` | 0.50 | 60.0 | 1.00 | 100 |",
    ]
    assert "| BentoML | – | – | – | – |\n" in table
    assert re.sub("<!--.*?-->", "", text) == "It is 60.0 a second, 9 ms, and – or 60.0\n"


def test_an_unknown_figure_is_an_error(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("<!-- speed:horses -->9<!-- /speed:horses -->")
    with pytest.raises(UnknownFigure, match="quotes speed:horses: use one of speed:beam-ratio"):
        write_figures(results(), [document])
    document.write_text("<!-- speed:predict-rate -->9")
    with pytest.raises(PlaceholderNotFound, match="speed:predict-rate"):
        write_figures(results(), [document])


def test_quoted_figures_are_those_of_the_page() -> None:
    assert_quotes_are_measured(DOCUMENTS, Path("docs/performance.md"))


@pytest.mark.parametrize("run", [full_run(0.37), full_run(123.4), full_run(5, LITSERVE, RIDECAST_EVENTS)])
def test_quoted_figures_are_those_of_the_page_after_any_run(run: Results, tmp_path: Path) -> None:
    copies = [Path(shutil.copy(document, tmp_path)) for document in DOCUMENTS]
    page = tmp_path / "performance.md"
    page.write_text(performance_page(run, FULL, "synthetic trips", "wrk 4.2", 0.1))
    with pytest.raises(AssertionError):
        assert_quotes_are_measured(copies, page)
    write_figures(run, copies)
    assert_quotes_are_measured(copies, page)


def test_the_page_has_the_text_of_its_template() -> None:
    page = Path("docs/performance.md").read_text()
    fixed = [
        line for line in TEMPLATE.read_text().splitlines() if line and line[0] != "|" and "$" not in line
    ]
    assert len(fixed) > 40
    assert [line for line in page.splitlines() if line in fixed] == fixed, "run `make bench`, or edit both"
