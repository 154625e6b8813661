"""The commands of the id server: one parsed command becomes one encoded reply, or an attempt to make again later.

    NEXT type [count]   "Q123"; with a count an array of ids
    INCR type           the number of the next id
    RANGE type count    first and last number of consecutive ids
    INFO, PING, ECHO    state of the server, signs of life
    HELLO, CLIENT, COMMAND, CONFIG, SELECT, QUIT   what Redis clients say when they come and go
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wbd.errors import BadInput
from wbd.ids import resp
from wbd.ids.entity_id import EntityType, parse_type
from wbd.ids.pool import Lane

if TYPE_CHECKING:
    from wbd.ids.connection import Connection

# What redis-benchmark asks for before it begins; nothing is ever saved here.
_CONFIG = {b"save": b"", b"appendonly": b"no"}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A command that found too few ids; run() returns its reply once there are enough, else None."""

    entity_type: EntityType
    run: Callable[[], bytes | None]


Reply = bytes | Attempt
Handler = Callable[["Connection", list[bytes]], Reply]


def execute(connection: Connection, command: Any) -> Reply:
    """
    Return the reply to one command as hiredis parsed it.

    Raises:
        ProtocolError: not an array of bulk strings.
    """
    if type(command) is not list:
        raise resp.ProtocolError("expected '*'")
    for part in command:
        if type(part) is not bytes:
            raise resp.ProtocolError("expected '$'")
    if not command:
        # As Redis does: an empty command has no answer.
        return b""
    name = command[0]
    handler = _HANDLERS.get(name) or _HANDLERS.get(name.upper())
    if handler is None:
        return resp.error(f"unknown command {resp.shown(name)}; there are: {_NAMES}")
    try:
        return handler(connection, command)
    except BadInput as error:
        return resp.error(str(error))


def _incr(connection: Connection, command: list[bytes]) -> Reply:
    if len(command) != 2:
        raise BadInput("usage: INCR type")
    lane = _lane(connection, command[1])

    def run() -> bytes | None:
        number = lane.take_one()
        return b":%d\r\n" % number if number else None

    return run() or Attempt(lane.entity_type, run)


def _next(connection: Connection, command: list[bytes]) -> Reply:
    if not 2 <= len(command) <= 3:
        raise BadInput("usage: NEXT type [count]")
    lane = _lane(connection, command[1])
    count = _count(connection, command[2]) if len(command) == 3 else 1
    header = b"*%d\r\n" % count if len(command) == 3 else b""

    def run() -> bytes | None:
        pieces = lane.take(count)
        return None if pieces is None else header + b"".join(map(resp.id_bulks, pieces))

    return run() or Attempt(lane.entity_type, run)


def _range(connection: Connection, command: list[bytes]) -> Reply:
    if len(command) != 3:
        raise BadInput("usage: RANGE type count")
    lane = _lane(connection, command[1])
    count = _count(connection, command[2])

    def run() -> bytes | None:
        block = lane.take_block(count)
        return None if block is None else resp.array([resp.integer(block.first), resp.integer(block.last)])

    return run() or Attempt(lane.entity_type, run)


def _info(connection: Connection, command: list[bytes]) -> Reply:
    return resp.bulk(connection.server.info().encode())


def _ping(connection: Connection, command: list[bytes]) -> Reply:
    return resp.bulk(command[1]) if len(command) > 1 else resp.PONG


def _echo(connection: Connection, command: list[bytes]) -> Reply:
    if len(command) != 2:
        raise BadInput("usage: ECHO message")
    return resp.bulk(command[1])


def _hello(connection: Connection, command: list[bytes]) -> Reply:
    version = command[1] if len(command) > 1 else b"2"
    if version not in (b"2", b"3"):
        return resp.error("unsupported protocol version; there are: 2, 3", "NOPROTO")
    if any(part.upper() == b"AUTH" for part in command[2:]):
        raise BadInput("AUTH: no password is used here; the mode and group of the socket say who may connect")
    return resp.greeting(int(version), connection.number)


def _client(connection: Connection, command: list[bytes]) -> Reply:
    what = command[1].upper() if len(command) > 1 else b""
    if what == b"ID":
        return resp.integer(connection.number)
    if what == b"SETNAME" and len(command) == 3:
        connection.name = command[2]
        return resp.OK
    if what == b"GETNAME":
        return resp.bulk(connection.name)
    if what == b"SETINFO":
        return resp.OK
    raise BadInput("unknown CLIENT command; there are: GETNAME, ID, SETINFO, SETNAME")


def _config(connection: Connection, command: list[bytes]) -> Reply:
    if len(command) != 3 or command[1].upper() != b"GET":
        raise BadInput("CONFIG is read-only; its settings are wbd's own: wbd config")
    value = _CONFIG.get(command[2].lower())
    return resp.EMPTY if value is None else resp.array([resp.bulk(command[2]), resp.bulk(value)])


def _command(connection: Connection, command: list[bytes]) -> Reply:
    if len(command) > 1 and command[1].upper() == b"COUNT":
        return resp.integer(len(_HANDLERS))
    return resp.EMPTY


def _select(connection: Connection, command: list[bytes]) -> Reply:
    if command[1:] != [b"0"]:
        raise BadInput("DB index is out of range; there is only 0")
    return resp.OK


def _quit(connection: Connection, command: list[bytes]) -> Reply:
    connection.quitting = True
    return resp.OK


_HANDLERS: dict[bytes, Handler] = {
    b"NEXT": _next,
    b"INCR": _incr,
    b"RANGE": _range,
    b"INFO": _info,
    b"PING": _ping,
    b"ECHO": _echo,
    b"HELLO": _hello,
    b"CLIENT": _client,
    b"CONFIG": _config,
    b"COMMAND": _command,
    b"SELECT": _select,
    b"QUIT": _quit,
}
_NAMES = ", ".join(sorted(name.decode() for name in _HANDLERS))


def _lane(connection: Connection, name: bytes) -> Lane:
    lane = connection.server.lanes_by_name.get(name)
    return lane or connection.server.pool[parse_type(name.decode("ascii", "replace"))]


def _count(connection: Connection, text: bytes) -> int:
    most = connection.server.limits.count_max
    # More digits than any limit has are not worth converting.
    if text.isdigit() and len(text) <= 19 and 1 <= int(text) <= most:
        return int(text)
    raise BadInput(f"count {resp.shown(text)} is not a number within 1..{most}")
