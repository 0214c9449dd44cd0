import io
import subprocess
import sys

import pytest

from mmkeras.console import print_table
from mmkeras.printable import mmkeras_command, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a red\x1b[31m shape\x07", "a red\ufffd[31m shape\ufffd"),
        ("abc\u202etxt.exe\u202c", "abc\ufffdtxt.exe\ufffd"),
        ("carriage\rreturn\x9b31m\x00", "carriage\ufffdreturn\ufffd31m\ufffd"),
        ("half \ud83d pair", "half \ufffd pair"),
        ("line\nand\ttab, \u03c9, \u00e9, \U0001f468\u200d\U0001f469\u200d\U0001f467, \u0939\u093f\u200d", None),
    ],
)
def test_what_a_terminal_would_obey_is_not_sent(text, shown):
    assert printable(text) == (text if shown is None else shown)


def test_what_an_encoding_lacks_is_spelt():
    assert printable("caf\u00e9 \u03c9", "latin-1") == "caf\u00e9 \\u03c9"
    assert printable("caf\u00e9 \u03c9", "ascii") == "caf\\xe9 \\u03c9"


def test_tables_are_printable(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    print_table("a\x1b[2J title", ("text",), [("wipe\x1b[2Jd",)])
    assert "\x1b[2J" not in stream.getvalue()
    assert "wipe" in stream.getvalue()


def test_commands_can_be_pasted():
    assert (
        mmkeras_command("train", "--resume", "runs/my run; rm -r x") == "mmkeras train --resume 'runs/my run; rm -r x'"
    )
    assert mmkeras_command("evaluate", "runs/mine") == "mmkeras evaluate runs/mine"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_the_command_line_prints_whatever_the_locale_has(encoding):
    """The table of recipes has rules that neither encoding knows, an error a name that it does not."""
    for arguments in (["recipes"], ["train", "\u03c9\u03c9\u03c9"]):
        done = subprocess.run(
            [sys.executable, "-m", "mmkeras.cli", *arguments],
            env={"PYTHONIOENCODING": encoding, "PATH": "", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
        )
        assert b"Traceback" not in done.stderr, done.stderr
        assert done.returncode == (0 if arguments == ["recipes"] else 2)
