"""The one exception class that the command line prints without a traceback."""


class MmkerasError(ValueError):
    """A mistake in what was given (a file, a record, a setting), told so that its reader can mend it.

    The message names the file, record or argument, the value received and what is allowed. The command line prints it
    as one line and exits with code 2; in Python it is an ordinary `ValueError`.

    Attributes:
        exit_code: what the command line exits with: 2, or that of a server's process which ended by itself.
    """

    exit_code: int = 2
