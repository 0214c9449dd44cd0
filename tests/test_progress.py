"""What a person reads of work that takes long: figures of a known pace, lines that fit, and nothing unasked."""

import io
import re
import sys
import threading
import time

import pytest
from rich.cells import cell_len
from rich.console import Console

from mmkeras import progress_display
from mmkeras.progress import Progress, duration, fitted, showing_progress, tell
from mmkeras.progress_display import Display, bar


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def paced(clock, seconds, units, **arguments):
    """A `Progress` that took a minute for its first unit and then `seconds` for each of `units`."""
    one = Progress("Epoch 1/12", 71, "step", clock=clock, **arguments)
    clock.now += 60
    one.advance()
    for _ in range(units):
        clock.now += seconds
        one.advance()
    return one


def test_the_time_left_follows_from_the_pace_after_the_first_step(clock):
    one = paced(clock, 2.0, 20)
    assert (one.rate, one.left, one.elapsed) == (0.5, 100.0, 100.0)
    clock.now += 1.5  # within a step
    assert one.left == 98.5
    clock.now += 500  # it never becomes negative
    assert one.left == 0
    one.advance(50)  # what follows the last step, a validation, has no pace
    assert one.left == 0 and "left" not in one.line()


def test_the_time_left_of_all_counts_what_follows(clock):
    assert paced(clock, 2.0, 20, more=3).left_of_all == 100 + 3 * 71 * 2
    known = paced(clock, 2.0, 20, more=3, seconds_each=150.0)  # an epoch with its validation
    assert known.left_of_all == 100 + 3 * 150
    begun = Progress("Epoch 2/12", 71, "step", clock=clock, more=3, seconds_each=150.0)
    clock.now += 10
    assert begun.left is None and begun.left_of_all == 140 + 3 * 150


def test_what_was_done_before_counts_for_the_share_and_not_for_the_pace(clock):
    one = paced(clock, 2.0, 10, done=50)
    assert (one.done, one.rate, one.left) == (61, 0.5, 20.0)


def test_nothing_is_foretold_of_the_first_step(clock):
    one = Progress("Epoch 1/12", 71, "step", clock=clock)
    clock.now += 63
    assert one.line() == "Epoch 1/12  0/71 steps  0%  1m03s so far"
    one.advance()
    assert one.left is None
    assert Progress("Writing the SavedModel", clock=clock).line() == "Writing the SavedModel  0s so far"


def test_a_line_holds_the_figures_and_leaves_out_the_least_first(clock):
    one = paced(clock, 2.0, 20, more=11)
    one.note = "loss 3.214"
    whole = "Epoch 1/12  21/71 steps  29%  loss 3.214  2.0s/step  1m40s left  27m42s to the end"
    assert one.line(len(whole)) == whole
    assert one.line(80) == "Epoch 1/12  21/71 steps  29%  loss 3.214  1m40s left  27m42s to the end"
    assert one.line(50) == "Epoch 1/12  21/71 steps  loss 3.214  1m40s left"
    assert one.line(36) == "Epoch 1/12  21/71 steps  1m40s left"
    assert one.line(10) == "Epoch 1/12"
    assert one.line(9) == "Epoch 1.."


@pytest.mark.parametrize("width", [1, 2, 5, 20, 31, 32, 39, 40, 79, 80, 120])
def test_a_bar_is_one_row_of_the_terminal(clock, width):
    one = paced(clock, 2.0, 20, more=11)
    one.title, one.note = "Epoch 100/120 (modality_classifier, 分類)", "loss 123.4567"
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=True, color_system=None).print(bar(one, width))
    (row,) = stream.getvalue().splitlines()
    assert cell_len(row) <= width


def test_a_bar_has_the_share_of_its_length(clock):
    one = Progress("Embedding pictures", 4, "picture", clock=clock, done=1)
    stream = io.StringIO()
    Console(file=stream, width=80, color_system=None).print(bar(one, 80))
    assert stream.getvalue().strip() == f"Embedding pictures ━━━━{' ' * 12} 1/4 pictures  25%  0s so far"


@pytest.mark.parametrize(
    "seconds, text",
    [(0.4, "0s"), (59.6, "1m00s"), (271, "4m31s"), (3600, "1h00m"), (7530, "2h05m"), (400_000, "111h06m")],
)
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text


def test_foreign_text_moves_no_cursor():
    assert fitted([("stage\x1b[2J", 0)], 80) == "stage\ufffd[2J"


def test_a_line_is_printed_at_intervals_and_the_innermost_is_told(clock, capsys, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    display = Display(clock)
    outer, inner = (Progress(title, 10, "text", clock=clock) for title in ("Epoch 1/1", "Embedding texts"))
    display.add(outer)
    told = []
    for second in range(1, 62):
        clock.now += 1
        outer.advance()
        if second == 30:
            display.add(inner)
        if second == 45:
            display.remove(inner)
        display.tick()
        told += [(second, line.split("  ")[0]) for line in capsys.readouterr().out.splitlines()]
    assert told == [(20, "Epoch 1/1"), (40, "Embedding texts"), (60, "Epoch 1/1")]
    clock.now += 19
    display.say("Epoch 1/1  loss 2")  # the time counts from the last word
    clock.now += 19
    display.tick()
    assert capsys.readouterr().out == "Epoch 1/1  loss 2\n"


def test_elsewhere_lines_come_while_a_step_is_slow(capsys, monkeypatch):
    monkeypatch.setattr(progress_display, "LINE_EVERY", 0.05)
    with showing_progress(), Progress("Epoch 1/1", 3, "step"):
        time.sleep(0.5)  # nothing advances
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2 and set(lines) <= {
        "Epoch 1/1  0/3 steps  0%  0s so far",
        "Epoch 1/1  0/3 steps  0%  1s so far",
    }


def test_what_is_quick_and_what_nobody_asked_for_is_silent(capsys, monkeypatch):
    with showing_progress(), Progress("Embedding texts", 3, "text") as quick:
        quick.advance(3)
    monkeypatch.setattr(progress_display, "LINE_EVERY", 0.02)
    with Progress("Embedding texts", 3, "text"), showing_progress(0):
        tell(("Epoch 1/1", 0))
        with Progress("Embedding pictures", 3, "picture", verbose=0):
            time.sleep(0.1)
    assert capsys.readouterr().out == ""
    with Progress("Features", 3, "picture", verbose="auto"):
        time.sleep(0.2)
    assert capsys.readouterr().out.startswith("Features  0/3 pictures")
    time.sleep(0.1)
    assert capsys.readouterr().out == ""  # nor afterwards


@pytest.fixture
def be_terminal(monkeypatch, capsys):
    """A function that makes stdout a terminal of 80 columns; it returns one that reads it, without its movements."""

    def be_terminal(kind="xterm"):  # in the test itself: pytest's streams are other ones in fixtures
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        monkeypatch.setattr(progress_display, "BAR_AFTER", 0)
        for name, value in (("TERM", kind), ("COLUMNS", "80")):
            monkeypatch.setenv(name, value)
        return lambda: re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out)

    return be_terminal


def test_what_is_printed_meanwhile_stands_above_the_bar(be_terminal):
    terminal = be_terminal()
    with showing_progress(), Progress("Embedding pictures", 2, "picture"):
        time.sleep(0.3)
        print("Note: one caption is cut")
        print("UserWarning: somebody's", file=sys.stderr)
        tell(("Epoch 1/1", 0), ("loss 2.5", 0))
        time.sleep(0.3)
    lines = [line.rstrip() for line in re.split(r"[\r\n]", terminal())]
    assert {"Note: one caption is cut", "UserWarning: somebody's", "Epoch 1/1  loss 2.5"} <= set(lines)
    assert f"Embedding pictures {'━' * 16} 0/2 pictures  0%  0s so far" in lines


def test_an_error_ends_the_bars(be_terminal):
    terminal, before = be_terminal(), sys.stdout
    with pytest.raises(RuntimeError), showing_progress():
        Progress("Epoch 1/1", 3).__enter__()  # as a callback, which no error leaves
        assert sys.stdout is not before
        raise RuntimeError
    assert sys.stdout is before
    print("after")
    assert terminal().endswith("after\n")


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(be_terminal, monkeypatch):
    terminal = be_terminal("dumb")
    monkeypatch.setattr(progress_display, "LINE_EVERY", 0.02)
    with showing_progress(), Progress("Embedding pictures", 2, "picture"):
        time.sleep(0.2)
    assert terminal().startswith("Embedding pictures  0/2 pictures")
