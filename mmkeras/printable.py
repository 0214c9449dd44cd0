"""What is printed: foreign text, such as a caption, as a terminal may be given it, and commands to paste."""

import re
import shlex

# Control characters, which move the cursor or change colours; bidirectional overrides and other invisible ones, but for
# the joiners of scripts and emoji; halves of surrogate pairs; separators of lines and paragraphs.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def printable(text: str, encoding: str | None = None) -> str:
    """Return text without characters that a terminal would obey and not show; U+FFFD stands for each.

    Args:
        text: str; line feeds and tabs stay.
        encoding: that of the terminal, such as `sys.stdout.encoding`; what it lacks is spelt as `\\\\u03c9`.

    Example:
        >>> printable("red\\x1b[31m")
        'red\\ufffd[31m'
    """
    text = _HIDDEN.sub("\ufffd", text)
    return text.encode(encoding, "backslashreplace").decode(encoding) if encoding else text


def mmkeras_command(*words: object) -> str:
    """Return a command of ours that can be pasted into a shell: words with spaces and the like are quoted.

    Example:
        >>> mmkeras_command("evaluate", Path("runs/my run"))
        "mmkeras evaluate 'runs/my run'"
    """
    return shlex.join(["mmkeras", *map(str, words)])
