"""The bench's own reckoning, without a server: what wrk says, which target is kept, whose memory counts."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.memory import pss_mb
from benchmarks.questions import Question, WrongAnswer, echoed, predicted
from benchmarks.report import Tables
from benchmarks.results import Results, Row, Sample, first_seconds, rate, ratio
from benchmarks.servers import ASGI_ECHO, PYFUNC, RIDECAST
from benchmarks.stages import MODEL, REST
from benchmarks.targets import Target, fastest
from benchmarks.wrk import BrokenLoad, Load, read_load

GOOD = Load(requests=1000, seconds=2.0, p50_ms=1.0, p99_ms=3.0, refused=0, broken=0)
PARTS = ("whole", "read", "columns", "features", "model", "checks", "write")


def row(name: str, *rates: int) -> Row:
    loads = [msgspec.structs.replace(GOOD, requests=each, seconds=1.0) for each in rates]
    return Row(name, [Sample(dict.fromkeys((1, 8, 32), load), 0.5, 100.0) for load in loads])


def results(*rows: Row, rounds: int = 3) -> Results:
    microseconds = dict.fromkeys(PARTS, 10.0)
    in_process = [{"one": microseconds, "many": microseconds}] * rounds
    stages = [dict.fromkeys((MODEL, REST), 1.0)] * rounds
    return Results(list(rows), [], [], in_process, stages)


def test_what_wrk_says_is_read_from_its_last_run() -> None:
    said = f"Running 1s test\n{msgspec.json.encode(GOOD).decode()}\n"
    assert read_load(said).rate == 500


@pytest.mark.parametrize("fault", [{"refused": 1}, {"broken": 1}, {"requests": 0}])
def test_a_load_in_which_anything_failed_has_no_figures(fault: dict[str, int]) -> None:
    with pytest.raises(BrokenLoad):
        read_load(msgspec.json.encode(msgspec.structs.replace(GOOD, **fault)).decode())


def test_a_ratio_is_that_of_the_rounds_not_of_the_medians() -> None:
    # The machine was twice as fast in the second round and half as fast in the third.
    assert ratio(row("a", 100, 200, 50), row("b", 200, 400, 100), rate(8)) == 0.5
    assert ratio(row("a", 100), Row("b"), rate(8)) is None


def test_a_row_that_failed_has_no_figures_though_it_had_some() -> None:
    failed = row("a", 100)
    failed.failure = "it ended"
    assert failed.figures(first_seconds) == []
    assert fastest([failed, row("b", 10), row("c", 20)], rate(8)).name == "c"


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target("", "×", 2.0, most=2.0), "kept"),
        (Target("", "×", 2.1, most=2.0), "**missed**"),
        (Target("", "×", 0.7, least=0.7), "kept"),
        (Target("", "×", 0.6, least=0.7), "**missed**"),
        (Target("", "×", None, least=0.7), "–"),
        (Target("", "×", 0.6), "–"),
    ],
)
def test_a_target_is_kept_up_to_its_limit(target: Target, verdict: str) -> None:
    assert target.verdict == verdict


def test_one_round_judges_nothing() -> None:
    rows = row(RIDECAST, 50, 50, 50), row(ASGI_ECHO, 100, 100, 100)
    assert "missed" in Tables(results(*rows)).targets()
    short = Tables(results(*rows, rounds=1)).targets()
    assert "missed" not in short
    assert "kept" not in short


def test_a_row_says_why_it_has_no_figures() -> None:
    table = Tables(results(row(RIDECAST, 50), Row(PYFUNC, failure="uv found | no version"))).http()
    assert "not measured: uv found \\| no version" in table


def test_an_answer_is_the_models_or_wrong() -> None:
    question = Question(b"{}", 10.0)
    check = predicted(lambda answer: answer["duration"])
    check(question, b'{"duration": 10.0005}', 1e-3)
    for wrong in (b'{"duration": 10.0005}', b'{"duration": NaN}', b'{"minutes": 10}', b"", b"[]"):
        with pytest.raises(WrongAnswer):
            check(question, wrong, 0.0)
    echoed(question, b"{}", 0.0)
    with pytest.raises(WrongAnswer):
        echoed(question, b"{ }", 0.0)


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
