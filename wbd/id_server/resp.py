"""The part of the Redis protocol that the id server speaks: RESP2, and RESP3, whose maps alone differ here. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wbd.ids.id_range import IdRange

OK = b"+OK\r\n"
PONG = b"+PONG\r\n"
EMPTY = b"*0\r\n"

# hiredis allocates an array when it reads the header, so the header of a huge array must not reach it. Five digits
# after an array, map, set, push or attribute sign are refused wherever they stand, also inside an argument: no valid
# command has that many parts, or such an argument.
_HUGE_ARRAY = re.compile(rb"[*%~>|][0-9]{5}")
# One byte less than the pattern matches, so that a header cut in two is seen when its second half comes.
OVERLAP_BYTES = 5
# An incomplete command of more bytes is refused; the longest valid one has about 100.
COMMAND_BYTES_MAX = 16 * 1024
_SHOWN_BYTES = 40


class ProtocolError(Exception):
    """Bytes that are not a command; they are answered with an error, then the connection is closed."""


def refuse_huge_arrays(data: bytes) -> None:
    """Raise ProtocolError when *data* holds the header of an array of 10,000 parts or more."""
    if _HUGE_ARRAY.search(data):
        raise ProtocolError("invalid multibulk length")


def command_bytes(parts: Sequence[bytes]) -> int:
    """Return the length of a command on the wire, where each command has exactly one spelling."""
    size = len(str(len(parts))) + 3
    for part in parts:
        size += len(part) + len(str(len(part))) + 5
    return size


def integer(number: int) -> bytes:
    return b":%d\r\n" % number


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


def error(text: str, code: str = "ERR") -> bytes:
    """Return an error reply; *text* must not come from a client unless shown() has made it safe."""
    return f"-{code} {text}\r\n".encode()


def protocol_error(problem: Exception) -> bytes:
    """Return the reply to bytes that are no command; hiredis quotes them, so the text may hold anything."""
    return error("Protocol error: " + one_line(str(problem)))


def one_line(text: str) -> str:
    """Return *text* without characters that would break the line of an error."""
    return "".join(c if c.isprintable() else "?" for c in text)


def shown(argument: object) -> str:
    """Return an argument of a client in a form that is safe in the line of an error."""
    if not isinstance(argument, bytes):
        return type(argument).__name__
    text = argument[:_SHOWN_BYTES].decode("ascii", "backslashreplace")
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return f"'{text}'" + ("..." if len(argument) > _SHOWN_BYTES else "")


def id_bulks(ids: IdRange) -> bytes:
    """
    Return every id of the range as a bulk string, one after the other, without an array header.

    About 0.1 us an id: ids of one length share their header, so one format call writes all of them.
    """
    prefix = ids.entity_type.prefix.encode()
    parts = []
    first = ids.first
    while first <= ids.last:
        digits = len(str(first))
        last = min(ids.last, 10**digits - 1)
        one = b"$%d\r\n%b%%d\r\n" % (digits + 1, prefix)
        parts.append(one * (last - first + 1) % tuple(range(first, last + 1)))
        first = last + 1
    return b"".join(parts)


def ends(ids: IdRange) -> bytes:
    """Return first and last number of a range as an array."""
    return b"*2\r\n:%d\r\n:%d\r\n" % (ids.first, ids.last)


def mapping(fields: Sequence[tuple[bytes, bytes]], protocol: int) -> bytes:
    """Return names and encoded values as a map, which in RESP2 is a flat array."""
    body = b"".join(bulk(name) + value for name, value in fields)
    return (b"%%%d\r\n" % len(fields) if protocol == 3 else b"*%d\r\n" % (2 * len(fields))) + body


def greeting(protocol: int, client: int) -> bytes:
    """Return the answer to HELLO."""
    fields = [
        (b"server", bulk(b"wbd-ids")),
        (b"version", bulk(b"1.0.0")),
        (b"proto", integer(protocol)),
        (b"id", integer(client)),
        (b"mode", bulk(b"standalone")),
        (b"role", bulk(b"master")),
        (b"modules", EMPTY),
    ]
    return mapping(fields, protocol)
