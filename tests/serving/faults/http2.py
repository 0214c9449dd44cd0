"""HTTP/2 frame by frame, as no gRPC library sends it: calls that are begun and not ended."""

import socket
import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_HEADERS = 4


class Http2:
    """A connection to a gRPC port.

    Args:
        address: "host:port".
    """

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.stream = -1
        self.socket.sendall(_PREFACE + frame(_SETTINGS, 0, 0, b""))

    def begin(self, method, message=None, sent=b""):
        """Begin a call; of a message whose length is told as `message`, send only what is in `sent`."""
        self.stream += 2
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": method,
            ":authority": "localhost",
            "te": "trailers",
            "content-type": "application/grpc",
        }
        block = b"".join(b"\x00" + text(name) + text(value) for name, value in fields.items())
        content = frame(_HEADERS, _END_HEADERS, self.stream, block)
        if message is not None:
            content += frame(_DATA, 0, self.stream, struct.pack(">BL", 0, message) + sent)
        self.socket.sendall(content)

    def close(self):
        self.socket.close()


def frame(kind, flags, stream, payload):
    return struct.pack(">L", len(payload))[1:] + struct.pack(">BBL", kind, flags, stream) + payload


def text(value):
    """A string of HPACK, of at most 126 characters, as it is."""
    return bytes([len(value)]) + value.encode()
