"""A function between two proxies on a Pub/Sub emulator, and the books of what goes in and comes out.

topic ride-events → push → `front` → function → `back` → topics predictions, dead letters
"""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, Subscription

from jobs.concurrency import run_in_background
from jobs.events.publishers import push_envelope
from jobs.events.pubsub_clients import publisher_client, subscriber_client
from jobs.events.replay import paced
from jobs.events.subscribers import EventSubscriber, ReceivedMessage, open_subscriber
from jobs.local.processes import ManagedProcess, ProcessGroup, free_port, responds
from jobs.local.topics import MAX_DELIVERY_ATTEMPTS, Topics
from tests.faults.oracle import Event, Verdict, judge
from tests.faults.proxy import Proxy
from tests.models import some_rides

START_SECONDS = 180.0
AGAIN_SECONDS = 0.5
RATE = 60.0
"""Events a second: somewhat less than what the emulator's push manages through two proxies."""

Delivery = tuple[Mapping[str, str], bytes]
"""Headers and body of a push request."""


def good_events(count: int, first: int = 0) -> list[Event]:
    """Events of rides all over the city, each another."""
    rides = some_rides(first + count, seed=3)
    return [
        Event(
            number,
            json.dumps(
                {
                    "ride": {
                        "PULocationID": int(rides.PULocationID[number]),
                        "DOLocationID": int(rides.DOLocationID[number]),
                        "trip_distance": float(rides.trip_distance[number]),
                    },
                    "ride_id": number,
                }
            ).encode(),
            good=True,
        )
        for number in range(first, first + count)
    ]


def bad_event(data: bytes) -> Event:
    return Event("", data, good=False)


def envelope(event: Event, number: int = 1) -> Delivery:
    """The event as Pub/Sub would push it."""
    return {"content-type": "application/json"}, push_envelope(event.data, str(number))


class Stage:
    """Starts, disturbs and watches; `check` says whether the promise was kept."""

    def __init__(self, programs: ProcessGroup, environment: Mapping[str, str], topics: Topics) -> None:
        self._programs = programs
        self._environment = dict(environment)
        self.topics = topics
        self.front = Proxy()
        self.back = Proxy()
        self.function: ManagedProcess
        self._started: list[ManagedProcess] = []
        self.events: list[Event] = []
        self.predictions: list[ReceivedMessage] = []
        self.letters: list[ReceivedMessage] = []
        self.recovered_at = 0.0
        """When the last fault was over, in seconds since 1970; 0 while there was none."""
        self._changed = threading.Condition()
        self._subscribers: list[EventSubscriber] = []
        self.move(topics.emulator)
        self.collect()

    def close(self) -> None:
        self.stop_collecting()
        for program in self._started:  # none, if the test failed before
            program.signal(signal.SIGKILL)
        self.front.close()
        self.back.close()
        self.topics.delete()

    # What comes out.

    def collect(self) -> None:
        """Follows both subscriptions from now on."""
        self._subscribers += [
            open_subscriber(self.topics.predictions_pull, self._take(self.predictions), self.topics.emulator),
            open_subscriber(self.topics.dead_letters_pull, self._take(self.letters), self.topics.emulator),
        ]

    def stop_collecting(self) -> None:
        # Each waits for the end of its pull.
        for closing in [run_in_background(subscriber.close) for subscriber in self._subscribers]:
            closing.result()
        self._subscribers.clear()

    def _take(self, heap: list[ReceivedMessage]) -> Any:
        def take(arrival: ReceivedMessage) -> None:
            with self._changed:
                heap.append(arrival)
                self._changed.notify_all()

        return take

    def verdict(self) -> Verdict:
        with self._changed:
            return judge(self.events, list(self.predictions), list(self.letters))

    def settle(self, seconds: float = 180) -> Verdict:
        """Waits until every event is accounted for, and then for what comes twice."""
        deadline = time.monotonic() + seconds
        while (verdict := self.verdict()).lost and time.monotonic() < deadline:
            with self._changed:
                self._changed.wait(0.2)
        time.sleep(1.5)  # the emulator delivers again after one second
        return self.verdict() if not verdict.lost else verdict

    def recovery(self) -> str:
        """Seconds from the end of the last fault to the first message that is published after it."""
        with self._changed:
            after = [each.published - self.recovered_at for each in [*self.predictions, *self.letters]]
        seconds = min((each for each in after if each > 0), default=None)
        return "–" if seconds is None or not self.recovered_at else f"{seconds:.1f}"

    # The function.

    def start(self, *, ready: bool = True, **settings: str) -> None:
        """Starts the function behind `front`; `ready` waits until it has a model, else until it listens."""
        port = free_port()
        framework = str(Path(sys.executable).with_name("functions-framework"))
        self._environment |= {
            "PUBSUB_EMULATOR_HOST": self.back.address,
            "PREDICTIONS_TOPIC": self.topics.predictions,
            "DEAD_LETTER_TOPIC": self.topics.dead_letters,
            "MODEL_REFRESH_SECONDS": "0.5",
            **settings,
        }
        self.function = self._programs.start(
            f"function {port}",
            [framework, "--target=predict_event", "--host=127.0.0.1", f"--port={port}"],
            self._environment,
        )
        self._started.append(self.function)
        self.function.wait_until(
            (lambda: responds(f"http://127.0.0.1:{port}/health")) if ready else (lambda: listens(port)),
            START_SECONDS,
        )
        self.front.upstream = ("127.0.0.1", port)

    def workers(self) -> list[int]:
        """The processes that gunicorn has started."""
        found = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
        ).stdout.split("\n")
        pairs = [line.split() for line in found if line]
        return [int(pid) for pid, parent in pairs if int(parent) == self.function.pid]

    @property
    def url(self) -> str:
        """Where the function answers, through `front`."""
        return f"http://{self.front.address}"

    # What goes in.

    def push(
        self,
        no_wrapper: PushConfig.NoWrapper | None = None,
        *,
        ack_seconds: int = 30,
        attempts: int = MAX_DELIVERY_ATTEMPTS,
    ) -> None:
        """Makes the emulator push ride events to `front`."""
        with subscriber_client(self.topics.emulator) as subscriber:
            subscriber.create_subscription(
                Subscription(
                    name=self.topics.push,
                    topic=self.topics.ride_events,
                    push_config=PushConfig(push_endpoint=self.url, no_wrapper=no_wrapper),
                    ack_deadline_seconds=ack_seconds,
                    dead_letter_policy=DeadLetterPolicy(
                        dead_letter_topic=self.topics.dead_letters, max_delivery_attempts=attempts
                    ),
                )
            )

    def publish(self, events: Sequence[Event], rate: float = RATE) -> None:
        """Publishes to the ride-events topic, confirmed."""
        self.events += events
        client = publisher_client(self.topics.emulator)
        sent = [client.publish(self.topics.ride_events, event.data) for event in paced(events, rate)]
        for future in sent:
            future.result(30)
        client.stop()

    @contextlib.contextmanager
    def stream(self, events: Sequence[Event], rate: float = RATE) -> Iterator[None]:
        """Publishes beside the body, which begins when a quarter has gone."""
        self.events += events
        client = publisher_client(self.topics.emulator)
        sent: list[Any] = []

        def send() -> None:
            for event in paced(events, rate):
                sent.append(client.publish(self.topics.ride_events, event.data))

        sending = threading.Thread(target=send)
        sending.start()
        while len(sent) < len(events) // 4:
            time.sleep(0.01)
        try:
            yield
        finally:
            sending.join()
            for future in sent:
                future.result(60)
            client.stop()

    def deliver(
        self, deliveries: Iterable[Delivery], at_once: int = 2, seconds: float = 60
    ) -> list[list[int]]:
        """Posts push requests to `front`, each again until it is acknowledged; 0 stands for no answer.

        Returns:
            The status codes that each one got, in their order.
        """
        return asyncio.run(_deliver(self.url, list(deliveries), at_once, seconds))

    @contextlib.contextmanager
    def beside(self, work: Callable[[], object]) -> Iterator[None]:
        """Does `work` beside the body, and waits for it."""
        working = run_in_background(work)
        yield
        working.result()

    def move(self, emulator: str) -> None:
        """To another emulator, which has no topics yet."""
        self.topics = replace(self.topics, emulator=emulator)
        self.topics.create()
        host, _, port = emulator.partition(":")
        self.back.upstream = (host, int(port))

    @contextlib.contextmanager
    def fault(self) -> Iterator[None]:
        """Notes when the disturbance in the body is over."""
        yield
        self.recovered_at = time.time()


async def _deliver(url: str, deliveries: Sequence[Delivery], at_once: int, seconds: float) -> list[list[int]]:
    free = asyncio.Semaphore(at_once)
    deadline = time.monotonic() + seconds

    async def post(client: httpx.AsyncClient, delivery: Delivery) -> list[int]:
        codes: list[int] = []
        headers, body = delivery
        while time.monotonic() < deadline and codes[-1:] != [200]:
            if codes:
                await asyncio.sleep(AGAIN_SECONDS)
            async with free:
                try:
                    codes.append((await client.post(url, content=body, headers=dict(headers))).status_code)
                except httpx.TransportError:
                    codes.append(0)
        return codes

    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return await asyncio.gather(*(post(client, delivery) for delivery in deliveries))


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
