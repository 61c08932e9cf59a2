"""What a person sees: steps with their times, a progress bar, the last rides, a summary.

On a terminal the running steps move; anywhere else the same story is told in plain lines.
"""

import contextlib
import io
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

PICTURE_WIDTH = 104
"""Characters."""
PLAIN_WIDTH = 110
"""Characters of a line where there is no terminal to ask."""
NAME_WIDTH = 17


@dataclass(frozen=True)
class Outcome:
    """What something came to, in the few numbers that matter."""

    title: str
    """In a line."""
    rows: list[tuple[str, str]]
    """Each number under its name."""
    good: bool

    def line(self) -> str:
        """All of it as plain text."""
        return "\n".join([self.title, *(f"  {name:<10} {value}" for name, value in self.rows)])

    def __rich__(self) -> RenderableType:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column()
        for name, value in self.rows:
            grid.add_row(name, Text(value))
        colour = "green" if self.good else "red"
        title = Text(self.title, f"bold {colour}")
        return Panel(grid, title=title, border_style=colour, box=box.ROUNDED, padding=(1, 2))


@dataclass
class Step:
    """One thing that is being done."""

    name: str
    detail: str = ""
    """What came of it; may be set while it runs."""
    began: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    failed: bool = False
    lacking: bool = False
    """It is done, but not as one would wish."""

    def __rich__(self) -> RenderableType:
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(width=1)
        row.add_column(width=NAME_WIDTH, no_wrap=True)
        row.add_column(ratio=1, style="dim")
        row.add_column(width=8, justify="right", style="cyan")
        row.add_row(self._mark(), Text(self.name, "bold"), Text(self.detail), self._time())
        return row

    def _mark(self) -> RenderableType:
        if self.failed:
            return Text("✗", "bold red")
        if self.seconds is None:
            return Spinner("dots", style="yellow")
        return Text("!", "bold yellow") if self.lacking else Text("✓", "bold green")

    def _time(self) -> str:
        seconds = time.monotonic() - self.began if self.seconds is None else self.seconds
        return f"{seconds:.1f} s"

    def line(self) -> str:
        """The finished step as plain text."""
        mark = "✗" if self.failed else "!" if self.lacking else "✓"
        return f"{mark} {self.name:<{NAME_WIDTH}} {self.detail} ({self._time()})"


class Screen:
    """Shows a run; remembers what it has shown for the picture."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.moves = self.console.is_terminal
        if not self.moves:
            self.console.width = PLAIN_WIDTH
        self._lock = threading.Lock()
        self._running: list[Step] = []
        self._shown: list[RenderableType] = []
        self._live: Live | None = None
        self.view: RenderableType = ""
        """Shown below the running steps while the screen moves."""

    def __rich__(self) -> RenderableType:
        # Called by Live, from its own thread, for each picture.
        with self._lock:
            return Group(*self._running, self.view)

    @contextlib.contextmanager
    def moving(self) -> Iterator[None]:
        """Within this, running steps and the view are shown as they change, if there is a terminal."""
        if not self.moves:
            yield
            return
        with Live(self, console=self.console, refresh_per_second=10, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Shows what is done within this as a step; may be used by several threads at once."""
        step = Step(name)
        with self._lock:
            self._running.append(step)
        try:
            yield step
        except BaseException:
            step.failed = True
            raise
        finally:
            step.seconds = time.monotonic() - step.began
            with self._lock:
                self._running.remove(step)
            self.show(step, step.line())

    def show(self, what: RenderableType, plain: str | None = None) -> None:
        """Shows something for good.

        Args:
            plain: what to write instead where there is no terminal.
        """
        self._shown.append(what)
        if plain is None or self.moves:
            self.console.print(what)
        else:
            self.console.print(escape(plain), soft_wrap=True)

    def say(self, text: str) -> None:
        """Writes a line that is not part of the picture."""
        self.console.print(escape(text), soft_wrap=True)

    def save_picture(self, path: Path) -> None:
        """Writes all that was shown as an SVG picture."""
        console = Console(
            record=True, width=PICTURE_WIDTH, file=io.StringIO(), highlight=False, force_terminal=True
        )
        for what in self._shown:
            console.print(what)
        path.parent.mkdir(parents=True, exist_ok=True)
        console.save_svg(str(path), title="make run")
