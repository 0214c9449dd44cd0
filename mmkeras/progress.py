"""Progress that a person can read: what takes long says so by `Progress`; who runs it lets it be seen, or not.

Shown are bars on a terminal, elsewhere a line every so often, and nothing unless somebody asked by `showing_progress`.
"""

from __future__ import annotations

import contextlib
import contextvars
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from mmkeras.printable import printable

if TYPE_CHECKING:
    from mmkeras.progress_display import Display

COLUMNS = 80  # of a line where there is no terminal

Verbose: TypeAlias = int | Literal["auto"]
Part: TypeAlias = tuple[str, int]  # of a line: a text, and how soon it is left out where room is short; 0 never

_DISPLAY: contextvars.ContextVar[Display | None] = contextvars.ContextVar("display", default=None)


class Progress:
    """Something that takes long, and how far it is; it is shown while it is a context, where somebody asked for that.

    Args:
        title: what is done, `"Embedding pictures"`.
        total: how many units there are; `None` where nobody knows.
        unit: what is counted, in the singular.
        verbose: `None` leaves it to the `showing_progress` around it, without which nothing is shown; another value is
            meant as there, for this one and what it takes.
        done: units that were done before.
        more: how many like this one follow it.
        seconds_each: what one of these takes; `None` where that follows from this one's pace.
        clock: function that returns seconds.

    Attributes:
        done: units that are done.
        note: a figure to be read beside the count.

    Example:
        >>> with Progress("Embedding pictures", total=1000, unit="picture") as bar:
        ...     for batch in batches:
        ...         embed(batch)
        ...         bar.advance(len(batch))
    """

    def __init__(
        self,
        title: str,
        total: int | None = None,
        unit: str = "",
        verbose: Verbose | None = None,
        *,
        done: int = 0,
        more: int = 0,
        seconds_each: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title = title
        self.total = total
        self.unit = unit
        self.verbose = verbose
        self.done = done
        self.more = more
        self.seconds_each = seconds_each
        self.clock = clock
        self.note = ""
        self.started = clock()
        self._first: tuple[float, int] | None = None  # when the first units were done, and how many were then
        self._last = self.started
        self._shown = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.started = self._last = self.clock()
        if self.verbose is not None:
            self._shown.enter_context(showing_progress(self.verbose))
        display = _DISPLAY.get()
        if display is not None:
            display.add(self)
            self._shown.callback(display.remove, self)
        return self

    def __exit__(self, *error: object) -> None:
        self._shown.close()

    def advance(self, units: int = 1) -> None:
        """Tell that units were done; it only counts, and takes about a microsecond."""
        self.done += units
        self._last = self.clock()
        if self._first is None:
            self._first = self._last, self.done

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    @property
    def idle(self) -> float:
        """Seconds since units were done."""
        return self.clock() - self._last

    @property
    def rate(self) -> float | None:
        """Units a second, without the first ones, in which much is prepared; `None` until others were done."""
        if self._first is None or self.done == self._first[1] or self._last <= self._first[0]:
            return None
        return (self.done - self._first[1]) / (self._last - self._first[0])

    @property
    def left(self) -> float | None:
        """Seconds that are left by the pace so far; `None` where there is no telling."""
        if self.total is None or self.rate is None:
            return None
        return max(0.0, (self.total - self.done) / self.rate - self.idle)

    @property
    def left_of_all(self) -> float | None:
        """Seconds that are left of this and of those that follow; `None` where there is no telling."""
        each = self.seconds_each
        if each is None and self.total is not None and self.rate is not None:
            each = self.total / self.rate
        left = self.left
        if left is None and self.seconds_each is not None:
            left = max(0.0, self.seconds_each - self.elapsed)
        return None if each is None or left is None else left + self.more * each

    def parts(self) -> list[Part]:
        """What a line says of it, but for the title."""
        counted = f" {self.unit}s" if self.unit else ""
        parts: list[Part] = []
        if self.total is not None:
            parts.append((f"{self.done:,}/{self.total:,}{counted}", 1))
            parts.append((f"{100 * self.done // max(1, self.total)}%", 5))
        elif self.done:
            parts.append((f"{self.done:,}{counted}", 1))
        if self.note:
            parts.append((self.note, 3))
        rate, left = self.rate, self.left
        if rate is not None:
            parts.append((_pace(rate, self.unit or "one"), 6))
        if left is None:
            parts.append((f"{duration(self.elapsed)} so far", 2))
        elif self.done < self.total:  # type: ignore[operator]  # what is left is known
            parts.append((f"{duration(left)} left", 2))
        if self.more and (of_all := self.left_of_all) is not None:
            parts.append((f"{duration(of_all)} to the end", 4))
        return parts

    def line(self, width: int = COLUMNS) -> str:
        """Return it as a line of text of at most `width` columns."""
        return fitted([(self.title, 0), *self.parts()], width)


@contextlib.contextmanager
def showing_progress(verbose: Verbose = "auto") -> Iterator[None]:
    """Show on stdout how far each `Progress` within is: a bar each on a terminal, elsewhere a line every 20 seconds.

    What takes less is not shown. Text that is printed meanwhile stands above the bars.

    Args:
        verbose: 0 shows nothing; 1 bars, where stdout is a terminal that can show them; 2 lines; `"auto"` is 1. Where
            progress is shown already, it goes on as it is.
    """
    before = _DISPLAY.get()
    display = before if verbose else None
    if verbose and display is None:
        from mmkeras.progress_display import open_display

        display = open_display(bars=verbose != 2)
    token = _DISPLAY.set(display)
    try:
        yield
    finally:
        _DISPLAY.reset(token)
        if display is not None and display is not before:
            display.close()


def tell(*parts: Part) -> None:
    """Print a line of parts, as far as they have room, above the bars; nothing where no progress is shown."""
    display = _DISPLAY.get()
    if display is not None:
        display.say(fitted(parts, display.columns()))


def fitted(parts: Iterable[Part], width: int) -> str:
    """Return parts as a line of at most `width` columns: those are left out first whose number is the highest."""
    from rich.cells import cell_len, set_cell_size

    kept = [(printable(text), order) for text, order in parts if text]
    while cell_len(line := "  ".join(text for text, _ in kept)) > width:
        last = max(order for _, order in kept)
        if not last:
            return set_cell_size(line, max(0, width - 2)) + ".."[:width]
        kept.remove(next(part for part in reversed(kept) if part[1] == last))
    return line


def duration(seconds: float) -> str:
    """Return seconds as `8s`, `4m31s` or `2h05m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"


def _pace(rate, unit):
    if rate < 1:
        return f"{1 / rate:.1f}s/{unit}"
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
