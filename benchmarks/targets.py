"""What is claimed, as ratios and limits, and whether this run kept it."""

from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.batch import (
    PEERS_OVER_MONTHS,
    READ_WRITE,
    RIDECAST_BEAM,
    RIDECAST_BEAM_START,
    RIDECAST_SCORE,
)
from benchmarks.results import (
    Figure,
    Results,
    Row,
    cpu_seconds,
    first_seconds,
    middle,
    p50,
    p99,
    peak_mb,
    pss_mb,
    rate,
    ratio,
    whole_seconds,
)
from benchmarks.servers import (
    ASGI_ECHO,
    FLASK_ECHO,
    PEERS_OVER_HTTP,
    PLAIN_EVENTS,
    PLAIN_EVENTS_ONNX,
    PYFUNC,
    RIDECAST,
    RIDECAST_EVENTS,
)
from benchmarks.stages import REST

FEWEST_ROUNDS = 3
"""Below which nothing is judged: beside another program one round's ratio was off by a factor of two."""


class Target(NamedTuple):
    """One claim."""

    claim: str
    unit: str
    """Of the measured number: `×`, `µs`, …"""
    measured: float | None
    """None where this run did not measure it."""
    least: float | None = None
    most: float | None = None
    """What is wanted; neither where the number only stands beside the others."""

    @property
    def verdict(self) -> str:
        """`kept` or `missed`; `–` where it is not known or nothing is wanted."""
        if self.measured is None or self.least is self.most is None:
            return "–"
        kept = (self.least is None or self.measured >= self.least) and (
            self.most is None or self.measured <= self.most
        )
        return "kept" if kept else "**missed**"

    @property
    def wanted(self) -> str:
        """The limit with its sign."""
        if self.least is not None:
            return f"≥ {self.least:g} {self.unit}"
        return f"≤ {self.most:g} {self.unit}" if self.most is not None else "–"


def judge(results: Results) -> list[Target]:
    """All targets in the order in which the document tells of them."""
    http, events = results.row(RIDECAST), results.row(RIDECAST_EVENTS)
    echo, plain = results.row(ASGI_ECHO), results.row(PLAIN_EVENTS)
    plain_onnx = results.row(PLAIN_EVENTS_ONNX)
    flask, pyfunc = results.row(FLASK_ECHO), results.row(PYFUNC)
    unary = results.pipes[0] if results.pipes else Row("")

    def beside(
        claim: str,
        pair: tuple[Row, Row],
        figure: Figure,
        least: float | None = None,
        most: float | None = None,
    ) -> Target:
        return Target(claim, "×", ratio(*pair, figure), least, most)

    def best_peer(connections: int) -> Target:
        best = fastest((results.row(name) for name in PEERS_OVER_HTTP), rate(connections))
        return beside(
            f"requests/s at {connections} connections, in the best peer's ({best.name or 'none measured'})",
            (http, best),
            rate(connections),
            least=8,
        )

    score, floor = results.row(RIDECAST_SCORE), results.row(READ_WRITE)
    whole = results.ride("one", "whole")
    many = [microseconds / 1000 for microseconds in results.ride("many", "whole")]
    return [
        beside("HTTP function's start, in the ASGI echo's", (http, echo), first_seconds, most=2.5),
        beside("HTTP function's start, in the Flask echo's", (http, flask), first_seconds),
        beside("start of framework + pyfunc, in the HTTP function's", (pyfunc, http), first_seconds, least=5),
        beside("Pub/Sub function's start, in the ASGI echo's", (events, echo), first_seconds, most=3.5),
        Target("HTTP function's memory", "MB", middle(http.figures(pss_mb)), most=110),
        Target("Pub/Sub function's memory", "MB", middle(events.figures(pss_mb)), most=110),
        *(
            beside(f"requests/s at {n} connections, in the ASGI echo's", (http, echo), rate(n), least=0.7)
            for n in (8, 32)
        ),
        *(best_peer(n) for n in (8, 32)),
        beside("p99 at 8 connections, in the ASGI echo's", (http, echo), p99(8), most=2),
        Target("one ride in process", "µs", middle(whole), most=80),
        Target("one ride, everything but the model", "µs", middle(results.around("one")), most=30),
        Target("1,000 instances in process", "ms", middle(many), most=8),
        beside("events/s at 32 in flight, in the plain way's", (events, plain), rate(32), least=4),
        beside("events/s at 32 in flight, in the plain way's with ONNX", (events, plain_onnx), rate(32)),
        beside("p50 at 1 in flight, in the plain way's", (events, plain), p50(1), most=0.25),
        beside("events/s at 32 in flight, in the bare emulator's, one a call", (events, unary), rate(32)),
        *(
            beside(
                f"{name}: seconds for a month at once, in `score`'s",
                (results.row(name), score),
                whole_seconds,
                least=3,
            )
            for name in PEERS_OVER_MONTHS
        ),
        beside("seconds for a month at once, in reading and writing alone", (score, floor), whole_seconds),
        Target(
            "everything but the model, of a month's processor time",
            "×",
            middle(results.share(REST)),
            most=0.25,
        ),
        beside(
            "rows a processor's second by Beam's two processes, start included, in `score`'s",
            (score, results.row(RIDECAST_BEAM)),
            cpu_seconds,
            least=0.5,
        ),
        Target(
            "processors' seconds of Beam's start alone",
            "s",
            middle(results.row(RIDECAST_BEAM_START).figures(cpu_seconds)),
        ),
        Target("memory for a month at once", "MB", middle(score.figures(peak_mb)), most=400),
    ]


def fastest(rows: Iterable[Row], figure: Figure) -> Row:
    """The row with the highest median; one without a name if nothing was measured."""
    measured = [row for row in rows if row.figures(figure)]
    return max(measured, key=lambda row: middle(row.figures(figure)) or 0.0, default=Row(""))
