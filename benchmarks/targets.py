"""The targets: claims as ratios and limits, and whether a run met them."""

from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.batch import (
    BATCH_PEERS,
    READ_WRITE,
    RIDECAST_BEAM,
    RIDECAST_BEAM_START,
    RIDECAST_SCORE,
)
from benchmarks.results import (
    Metric,
    Results,
    Row,
    cpu_seconds,
    optional_median,
    p50,
    p99,
    peak_mb,
    pss_mb,
    rate,
    ratio,
    startup_seconds,
    total_seconds,
)
from benchmarks.servers import (
    ASGI_ECHO,
    FLASK_ECHO,
    HTTP_PEERS,
    PLAIN_EVENTS,
    PLAIN_EVENTS_ONNX,
    PYFUNC,
    RIDECAST,
    RIDECAST_EVENTS,
)
from benchmarks.stages import REST

MIN_ROUNDS = 3
"""Rounds needed for a verdict: with another program running, one round's ratio was off by a factor of two."""


class Target(NamedTuple):
    """A claim and its measured figure."""

    claim: str
    unit: str
    """Of the figure: `×`, `µs`, …"""
    measured: float | None
    """None if it was not measured."""
    minimum: float | None = None
    maximum: float | None = None
    """Limits of the figure; neither is given if it is only reported."""

    @property
    def verdict(self) -> str:
        """`met` or `**missed**`; `–` if it was not measured or has no limit."""
        if self.measured is None or self.minimum is self.maximum is None:
            return "–"
        met = (self.minimum is None or self.measured >= self.minimum) and (
            self.maximum is None or self.measured <= self.maximum
        )
        return "met" if met else "**missed**"

    @property
    def limit(self) -> str:
        """The limit with its sign."""
        if self.minimum is not None:
            return f"≥ {self.minimum:g} {self.unit}"
        return f"≤ {self.maximum:g} {self.unit}" if self.maximum is not None else "–"


def evaluate_targets(results: Results) -> list[Target]:
    """All targets in the order of the document."""
    http, events, echo, plain = map(results.row, (RIDECAST, RIDECAST_EVENTS, ASGI_ECHO, PLAIN_EVENTS))
    flask, pyfunc, plain_onnx = map(results.row, (FLASK_ECHO, PYFUNC, PLAIN_EVENTS_ONNX))
    score, floor = results.row(RIDECAST_SCORE), results.row(READ_WRITE)
    beam_pair = score, results.row(RIDECAST_BEAM)
    beam_start = results.row(RIDECAST_BEAM_START)
    emulator = results.emulator[0] if results.emulator else Row("")

    def relative(claim: str, pair: tuple[Row, Row], metric: Metric, **limit: float) -> Target:
        return Target(claim, "×", ratio(*pair, metric), **limit)

    def best_peer(connections: int) -> Target:
        best = fastest(map(results.row, HTTP_PEERS), rate(connections))
        claim = f"requests/s at {connections} connections, relative to the best other tool"
        named = f"{claim} ({best.name or 'none measured'})"
        return relative(named, (http, best), rate(connections), minimum=8)

    def absolute(claim: str, unit: str, values: Iterable[float], **limit: float) -> Target:
        return Target(claim, unit, optional_median(values), **limit)

    to_echo, to_http = "relative to the ASGI echo", "relative to the HTTP function"
    to_plain, to_score = "relative to the plain implementation", "relative to `score`"
    to_emulator = "relative to the emulator only, one message per call"
    many_ms = [microseconds / 1000 for microseconds in results.in_process_us("many", "whole")]
    return [
        relative(f"HTTP function start-up, {to_echo}", (http, echo), startup_seconds, maximum=2.5),
        relative("HTTP function start-up, relative to the Flask echo", (http, flask), startup_seconds),
        relative(f"{PYFUNC} start-up, {to_http}", (pyfunc, http), startup_seconds, minimum=5),
        relative(f"Pub/Sub function start-up, {to_echo}", (events, echo), startup_seconds, maximum=3.5),
        absolute("HTTP function memory", "MB", http.values(pss_mb), maximum=110),
        absolute("Pub/Sub function memory", "MB", events.values(pss_mb), maximum=110),
        relative(f"requests/s at 8 connections, {to_echo}", (http, echo), rate(8), minimum=0.7),
        relative(f"requests/s at 32 connections, {to_echo}", (http, echo), rate(32), minimum=0.7),
        best_peer(8),
        best_peer(32),
        relative(f"p99 at 8 connections, {to_echo}", (http, echo), p99(8), maximum=2),
        absolute("one ride in process", "µs", results.in_process_us("one", "whole"), maximum=80),
        absolute("one ride, everything but the model", "µs", results.overhead_us("one"), maximum=30),
        absolute("1,000 instances in process", "ms", many_ms, maximum=8),
        relative(f"events/s at 32 in flight, {to_plain}", (events, plain), rate(32), minimum=4),
        relative(f"events/s at 32 in flight, {to_plain} with ONNX", (events, plain_onnx), rate(32)),
        relative(f"p50 at 1 in flight, {to_plain}", (events, plain), p50(1), maximum=0.25),
        relative(f"events/s at 32 in flight, {to_emulator}", (events, emulator), rate(32)),
        *(
            relative(f"duration of {row.name}, {to_score}", (row, score), total_seconds, minimum=3)
            for row in map(results.row, BATCH_PEERS)
        ),
        relative(f"duration of `score`, relative to {READ_WRITE}", (score, floor), total_seconds),
        absolute("share of CPU time of `score` outside the model", "×", results.share(REST), maximum=0.25),
        relative(
            f"`beam` rows per CPU second with start-up, {to_score}", beam_pair, cpu_seconds, minimum=0.5
        ),
        absolute("CPU time of `beam` start-up", "s", beam_start.values(cpu_seconds)),
        absolute("memory of `score`", "MB", score.values(peak_mb), maximum=400),
    ]


def fastest(rows: Iterable[Row], metric: Metric) -> Row:
    """The row with the highest median; one without a name if none was measured."""
    measured = [row for row in rows if row.values(metric)]
    return max(measured, key=lambda row: optional_median(row.values(metric)) or 0.0, default=Row(""))
