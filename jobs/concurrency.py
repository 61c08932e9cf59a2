"""Runs a function in a daemon thread and returns its result as a future."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def run_in_background(function: Callable[[], Result]) -> "Future[Result]":
    """Calls `function` in a thread that, unlike an executor's, does not keep the process alive."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # raised again by whoever waits for the result
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
