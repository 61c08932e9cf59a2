"""Terminal output of a run: steps with their times, a progress bar, the latest rides, a summary.

On a terminal, running steps are updated in place; elsewhere the same is printed as plain lines.
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
PLAIN_WIDTH = 110
"""Characters in a line of output that does not go to a terminal."""
NAME_WIDTH = 17


@dataclass(frozen=True)
class SummaryPanel:
    """A titled panel with a run's most important figures, green for success or red for failure."""

    title: str
    rows: list[tuple[str, str]]
    """Names and values."""
    success: bool

    def plain_text(self) -> str:
        """Returns the panel's content for output that does not go to a terminal."""
        return "\n".join([self.title, *(f"  {name:<10} {value}" for name, value in self.rows)])

    def __rich__(self) -> RenderableType:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column()
        for name, value in self.rows:
            grid.add_row(name, Text(value))
        colour = "green" if self.success else "red"
        title = Text(self.title, f"bold {colour}")
        return Panel(grid, title=title, border_style=colour, box=box.ROUNDED, padding=(1, 2))


@dataclass
class Step:
    """A step of a run, running or finished."""

    name: str
    detail: str = ""
    """Describes it or its result; may change while it runs."""
    started: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    failed: bool = False
    degraded: bool = False
    """It finished, but something is missing."""

    def __rich__(self) -> RenderableType:
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(width=1)
        row.add_column(width=NAME_WIDTH, no_wrap=True)
        row.add_column(ratio=1, style="dim")
        row.add_column(width=8, justify="right", style="cyan")
        mark: RenderableType = Spinner("dots", style="yellow") if self.seconds is None else self._mark()
        row.add_row(mark, Text(self.name, "bold"), Text(self.detail), self._time())
        return row

    def _mark(self) -> Text:
        if self.failed:
            return Text("✗", "bold red")
        return Text("!", "bold yellow") if self.degraded else Text("✓", "bold green")

    def _time(self) -> str:
        seconds = time.monotonic() - self.started if self.seconds is None else self.seconds
        return f"{seconds:.1f} s"

    def plain_text(self) -> str:
        """Returns the finished step for output that does not go to a terminal."""
        return f"{self._mark()} {self.name:<{NAME_WIDTH}} {self.detail} ({self._time()})"


class Screen:
    """Shows a run, and records what it has shown for a picture."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.interactive = self.console.is_terminal
        if not self.interactive:
            self.console.width = PLAIN_WIDTH
        self._lock = threading.Lock()
        self._running: list[Step] = []
        self._shown: list[RenderableType] = []
        self._live: Live | None = None
        self.view: RenderableType = ""
        """Shown below the running steps during live updates."""

    def __rich__(self) -> RenderableType:
        # Called by Live, from its own thread, for each refresh.
        with self._lock:
            return Group(*self._running, self.view)

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """Within this context a terminal shows running steps and the view as they change."""
        if not self.interactive:
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
        """Shows the work of this context as a step; several threads may do so at once."""
        step = Step(name)
        with self._lock:
            self._running.append(step)
        try:
            yield step
        except Exception:
            step.failed = True
            raise
        except BaseException:  # a signal, for which the step is not to blame
            self.abandon_steps()
            raise
        finally:
            step.seconds = time.monotonic() - step.started
            with self._lock:
                abandoned = step not in self._running
                if not abandoned:
                    self._running.remove(step)
            if not abandoned:
                self.show(step, step.plain_text())

    def abandon_steps(self) -> None:
        """Shows nothing more of the steps that still run, as they will only fail because others end."""
        with self._lock:
            self._running.clear()

    def show(self, content: RenderableType, plain: str | None = None) -> None:
        """Prints something that is part of the picture too.

        Args:
            plain: printed instead if the output is not a terminal.
        """
        self._shown.append(content)
        if plain is None or self.interactive:
            self.console.print(content)
        else:
            self.console.print(escape(plain), soft_wrap=True)

    def print(self, text: str) -> None:
        """Prints text that is not part of the picture."""
        self.console.print(escape(text), soft_wrap=True)

    def save_picture(self, path: Path) -> None:
        """Saves everything shown so far as an SVG file."""
        console = Console(
            record=True, width=PICTURE_WIDTH, file=io.StringIO(), highlight=False, force_terminal=True
        )
        for content in self._shown:
            console.print(content)
        path.parent.mkdir(parents=True, exist_ok=True)
        console.save_svg(str(path), title="make run")
