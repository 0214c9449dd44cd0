"""What a request may ask for by default, of exported graphs and of the embedded server."""

MAX_ROWS = 4096
MAX_TEXT_BYTES = 65_536  # of UTF-8
