"""The one exception class that the command line prints without a traceback, and what it leaves out of other texts."""

from __future__ import annotations

import re

_STACK = re.compile(
    r"Graph execution error:\n\n(?:Detected at node [^\n]*\n(?:<stack traces unavailable>\n| [^\n]*\n|\n)*)*"
)
_FIRST_OF_SEVERAL = re.compile(r"\d+ root error\(s\) found\.\n\s*\(0\) \w+: (.*?)\n\s*\(1\) .*", re.DOTALL)
# TensorFlow Serving cuts a text after 1,024 characters, wherever that is.
_QUOTES = re.compile(r"\n\t \[\[[^\n]*|\{\{(?:function_node|node) [^}\n]*(?:\}\}[ ]?|$)| \[Op:\w+\](?: name: )?$")


class MmkerasError(ValueError):
    """A mistake in what was given (a file, a record, a setting), told so that its reader can mend it.

    The message names the file, record or argument, the value received and what is allowed. The command line prints it
    and exits with code 2; in Python it is an ordinary `ValueError`.

    Args:
        message: the text; what TensorFlow's own error texts in it quote of a graph is left out, as by `without_graph`.

    Attributes:
        exit_code: what the command line exits with: 2, or that of a server's process which ended by itself.
    """

    exit_code: int = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(without_graph(message))


def without_graph(text: str) -> str:
    r"""Return TensorFlow's text of an error without what it quotes of its graph: nodes, functions, operations, stacks.

    Of several errors that a graph ran into at once, the first one is left.

    Example:
        >>> without_graph("{{function_node __inference_f_7}} row 0 is no picture\n\t [[{{node Assert}}]]")
        'row 0 is no picture'
    """
    text = _STACK.sub("", text)
    return _QUOTES.sub("", _FIRST_OF_SEVERAL.sub(r"\1", text))
