"""How progress is shown, once somebody asked for it: by bars that are redrawn, or by a line every so often."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mmkeras.printable import printable
from mmkeras.progress import COLUMNS, Progress, fitted

LINE_EVERY = 20.0  # seconds without a word where there is no terminal
BAR_AFTER = 1.0  # seconds that something takes before it has a bar
LONGEST_BAR, SHORTEST_BAR = 30, 8


class Display:
    """Shows what is going on as lines: how far the innermost `Progress` is, after each 20 seconds without a word.

    The lines come from a thread: the first step of a training, which compiles it, takes long and reports nothing.

    Args:
        clock: function that returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.last = clock()
        self.running: list[Progress] = []
        self._closed = threading.Event()
        self.begin()

    def begin(self) -> None:
        """Start what shows it."""
        threading.Thread(target=self._keep_ticking, daemon=True).start()

    def _keep_ticking(self):
        while not self._closed.wait(min(1.0, LINE_EVERY / 4)):
            try:
                self.tick()
            except (OSError, ValueError):  # nobody reads any more
                return

    def tick(self) -> None:
        """Print a line if one is due."""
        innermost = self.running[-1:]
        if innermost and self.clock() - self.last >= LINE_EVERY:
            self.say(innermost[0].line(self.columns()))

    def columns(self) -> int:
        """How long a line may be."""
        return COLUMNS

    def say(self, line: str) -> None:
        """Print a line."""
        self.last = self.clock()
        sys.stdout.write(printable(f"{line}\n", sys.stdout.encoding))
        sys.stdout.flush()

    def add(self, one: Progress) -> None:
        """Show a `Progress`, inside of those that are shown already."""
        self.running.append(one)

    def remove(self, one: Progress) -> None:
        """Show it no more."""
        if one in self.running:  # after an error all are gone before
            self.running.remove(one)

    def close(self) -> None:
        """Show nothing any more."""
        self.running.clear()
        self._closed.set()


class _Bars(Display):
    """Shows what is going on as bars below what is printed, which a thread of rich's draws four times a second."""

    def begin(self):
        self._console = Console(highlight=False)
        self._live = None

    def columns(self):
        return self._console.width

    def say(self, line):
        self._console.print(line, markup=False, soft_wrap=True)

    def add(self, one):
        super().add(one)
        if self._live is None:
            # What goes to stderr is shown above the bars only where it would come to the same terminal.
            errors = sys.stderr.isatty()
            self._live = Live(self, console=self._console, refresh_per_second=4, transient=True, redirect_stderr=errors)
            self._live.start()

    def remove(self, one):
        super().remove(one)
        if not self.running:
            self._stop()

    def close(self):
        super().close()
        self._stop()

    def _stop(self):
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __rich_console__(self, console, options):
        shown = [one for one in list(self.running) if one.elapsed >= BAR_AFTER]
        yield from (bar(one, options.max_width) for one in shown)
        if shown:
            yield ""  # what TensorFlow's C++ writes past Python begins here, and not behind a bar


def open_display(bars: bool) -> Display:
    """Return what shows progress on stdout: bars if they are wanted and it is a terminal that can show them."""
    return _Bars() if bars and sys.stdout.isatty() and not Console().is_dumb_terminal else Display()


def bar(one: Progress, width: int) -> Table | Text:
    """Return a `Progress` as a row for rich: its title, a bar if there is room for one, and its figures.

    Args:
        one: `Progress`.
        width: columns that there are.
    """
    length = min(LONGEST_BAR, width // 5)  # not all that is free: it would grow and shrink with the figures
    line, title = fitted([(one.title, 0), *one.parts()], width - length - 2), printable(one.title)
    if length < SHORTEST_BAR or not line.startswith(title):
        return Text(fitted([(one.title, 0), *one.parts()], width), no_wrap=True)
    row = Table.grid(padding=(0, 1, 0, 0))
    drawn = ProgressBar(one.total, one.done, width=length, pulse=one.total is None)
    row.add_row(Text(title, no_wrap=True), drawn, Text(line[len(title) :].strip(), no_wrap=True))
    return row
