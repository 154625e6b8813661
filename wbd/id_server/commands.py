"""The commands of the id server: one parsed command becomes an object that makes its replies.

    NEXT type [count]   "Q123"; with a count an array of ids
    INCR type           the number of the next id
    INCRBY type count   the last number of consecutive ids
    RANGE type count    first and last number of consecutive ids
    ATTACH              where the ring of ids is, for takers that can map it
    INFO, PING, ECHO    state of the server, signs of life
    HELLO, CLIENT, COMMAND, CONFIG, SELECT, QUIT   sent by Redis clients when they connect and leave

Names of commands and types are read in any case. A malformed command takes no id.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wbd.entity.ids import EntityType, parse_type
from wbd.errors import BadInput
from wbd.id_server import resp
from wbd.ids.attachment import Attachment
from wbd.ids.id_range import IdRange
from wbd.ids.pool import IdPool, Lane

# The parameters that redis-benchmark reads before it begins; this server saves nothing.
_CONFIG = {b"save": b"", b"appendonly": b"no"}
# When a client's turn is measured, a reply without ids costs as much as this many ids.
_OTHER_COST = 64


class Session(Protocol):
    """The client that sent a command, as the command sees it."""

    @property
    def number(self) -> int: ...

    @property
    def name(self) -> bytes: ...

    @property
    def protocol(self) -> int:
        """2 or 3: the version of RESP in which the client reads replies."""

    def set_name(self, name: bytes) -> bytes: ...

    def greet(self, protocol: int) -> bytes: ...

    def quit(self, reply: bytes) -> bytes: ...


class ServerState(Protocol):
    """The server, as its commands see it."""

    @property
    def attachment(self) -> Attachment | str:
        """Where takers find the ring, or why they cannot."""

    def info(self) -> str: ...


class Command:
    """
    One command, to be run once or several times in a row.

    cost: the ids that one run takes, as a measure of its work.
    waits_for: the type of the ids that the command may have to wait for, None if it never waits.
    """

    cost: int = _OTHER_COST
    waits_for: EntityType | None = None

    def run(self, session: Session, times: int) -> tuple[bytes, int]:
        """Return the replies of up to *times* runs, and how many were done: fewer when the lane is short of ids."""
        raise NotImplementedError


class Incr(Command):
    """INCR: the next number. Runs in a row are one take."""

    cost = 1

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.waits_for = lane.entity_type

    def run(self, session: Session, times: int) -> tuple[bytes, int]:
        pieces = self._lane.take_up_to(times)
        replies = [b":%d\r\n" * len(piece) % tuple(piece.numbers()) for piece in pieces]
        return b"".join(replies), sum(map(len, pieces))


class Next(Command):
    """NEXT without a count: one id as text."""

    cost = 1

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.waits_for = lane.entity_type

    def run(self, session: Session, times: int) -> tuple[bytes, int]:
        pieces = self._lane.take_up_to(times)
        return b"".join(map(resp.id_bulks, pieces)), sum(map(len, pieces))


class NextMany(Command):
    """NEXT with a count: an array of ids as text."""

    def __init__(self, lane: Lane, count: int) -> None:
        self._lane = lane
        self._header = b"*%d\r\n" % count
        self.cost = count
        self.waits_for = lane.entity_type

    def run(self, session: Session, times: int) -> tuple[bytes, int]:
        replies: list[bytes] = []
        for done in range(times):
            pieces = self._lane.take(self.cost)
            if pieces is None:
                return b"".join(replies), done
            replies.append(self._header)
            replies += map(resp.id_bulks, pieces)
        return b"".join(replies), times


class Block(Command):
    """RANGE and INCRBY: consecutive ids, said by their first and last number, or by the last alone."""

    def __init__(self, lane: Lane, count: int, reply: Callable[[IdRange], bytes]) -> None:
        self._lane = lane
        self._count = count
        self._reply = reply
        self.waits_for = lane.entity_type

    def run(self, session: Session, times: int) -> tuple[bytes, int]:
        replies: list[bytes] = []
        for done in range(times):
            block = self._lane.take_block(self._count)
            if block is None:
                return b"".join(replies), done
            replies.append(self._reply(block))
        return b"".join(replies), times


@dataclass(frozen=True, slots=True)
class Answer(Command):
    """A fixed reply."""

    reply: bytes

    def run(self, session: Session, times: int) -> tuple[bytes, int]:
        return self.reply * times, times


@dataclass(frozen=True, slots=True)
class Call(Command):
    """A reply that depends on the client, or on the server's state."""

    reply: Callable[[Session], bytes]

    def run(self, session: Session, times: int) -> tuple[bytes, int]:
        return self.reply(session), 1


class Parser:
    """Turns parsed RESP arrays into commands on one pool."""

    def __init__(self, pool: IdPool, count_max: int, server: ServerState) -> None:
        self._lanes = {t.value.encode(): pool[t] for t in EntityType}
        self._count_max = count_max
        self._server = server

    def command(self, read: Any) -> Command:
        """
        Return the command that hiredis has read; a malformed one becomes its error reply.

        Raises:
            ProtocolError: not an array of bulk strings.
        """
        if type(read) is not list:
            raise resp.ProtocolError("expected '*'")
        for part in read:
            if type(part) is not bytes:
                raise resp.ProtocolError("expected '$'")
        if not read:
            # Redis does not answer an empty command either.
            return Answer(b"")
        parse = _PARSERS.get(read[0].upper())
        if parse is None:
            return Answer(resp.error(f"unknown command {resp.shown(read[0])}; there are: {_NAMES}"))
        try:
            return parse(self, read)
        except BadInput as error:
            return Answer(resp.error(str(error)))

    def incr(self, read: list[bytes]) -> Command:
        if len(read) != 2:
            raise BadInput("usage: INCR type")
        return Incr(self._lane(read[1]))

    def incr_by(self, read: list[bytes]) -> Command:
        # redis-py spells INCR as INCRBY 1.
        if len(read) != 3:
            raise BadInput("usage: INCRBY type count")
        lane, count = self._lane(read[1]), self._count(read[2])
        return Incr(lane) if count == 1 else Block(lane, count, lambda block: resp.integer(block.last))

    def next(self, read: list[bytes]) -> Command:
        if not 2 <= len(read) <= 3:
            raise BadInput("usage: NEXT type [count]")
        lane = self._lane(read[1])
        return Next(lane) if len(read) == 2 else NextMany(lane, self._count(read[2]))

    def block(self, read: list[bytes]) -> Command:
        if len(read) != 3:
            raise BadInput("usage: RANGE type count")
        return Block(self._lane(read[1]), self._count(read[2]), resp.ends)

    def attach(self, read: list[bytes]) -> Command:
        if len(read) != 1:
            raise BadInput("usage: ATTACH")
        return Call(lambda session: self._where(session.protocol))

    def info(self, read: list[bytes]) -> Command:
        return Call(lambda session: resp.bulk(self._server.info().encode()))

    def ping(self, read: list[bytes]) -> Command:
        return Answer(resp.bulk(read[1]) if len(read) > 1 else resp.PONG)

    def echo(self, read: list[bytes]) -> Command:
        if len(read) != 2:
            raise BadInput("usage: ECHO message")
        return Answer(resp.bulk(read[1]))

    def hello(self, read: list[bytes]) -> Command:
        version = read[1] if len(read) > 1 else b"2"
        if version not in (b"2", b"3"):
            return Answer(resp.error("unsupported protocol version; there are: 2, 3", "NOPROTO"))
        if any(part.upper() == b"AUTH" for part in read[2:]):
            raise BadInput("AUTH: there is no password; the socket's mode and group say who may connect")
        return Call(lambda session: session.greet(int(version)))

    def client(self, read: list[bytes]) -> Command:
        subcommand = read[1].upper() if len(read) > 1 else b""
        if subcommand == b"ID":
            return Call(lambda session: resp.integer(session.number))
        if subcommand == b"GETNAME":
            return Call(lambda session: resp.bulk(session.name))
        if subcommand == b"SETNAME" and len(read) == 3:
            return Call(lambda session: session.set_name(read[2]))
        if subcommand == b"SETINFO":
            return Answer(resp.OK)
        raise BadInput("unknown CLIENT command; there are: GETNAME, ID, SETINFO, SETNAME")

    def config(self, read: list[bytes]) -> Command:
        if len(read) != 3 or read[1].upper() != b"GET":
            raise BadInput("CONFIG only reads; the settings are those of wbd config")
        value = _CONFIG.get(read[2].lower())
        fields = [] if value is None else [(read[2], resp.bulk(value))]
        return Call(lambda session: resp.mapping(fields, session.protocol))

    def commands(self, read: list[bytes]) -> Command:
        is_count = len(read) > 1 and read[1].upper() == b"COUNT"
        return Answer(resp.integer(len(_PARSERS)) if is_count else resp.EMPTY)

    def select(self, read: list[bytes]) -> Command:
        if read[1:] != [b"0"]:
            raise BadInput("DB index is out of range; there is only 0")
        return Answer(resp.OK)

    def quit(self, read: list[bytes]) -> Command:
        return Call(lambda session: session.quit(resp.OK))

    def _where(self, protocol: int) -> bytes:
        """Return the reply to ATTACH."""
        ring = self._server.attachment
        if isinstance(ring, str):
            return resp.error(resp.one_line(ring), "NOSHM")
        fields = [
            (b"path", resp.bulk(os.fsencode(ring.path))),
            # Text, because RESP integers are signed and these two use all 64 bits.
            (b"device", resp.bulk(b"%d" % ring.device)),
            (b"inode", resp.bulk(b"%d" % ring.inode)),
            (b"layout", resp.integer(ring.layout)),
            (b"count_max", resp.integer(self._count_max)),
        ]
        return resp.mapping(fields, protocol)

    def _lane(self, name: bytes) -> Lane:
        lane = self._lanes.get(name) or self._lanes.get(name.lower())
        if lane is None:
            parse_type(name.decode("ascii", "replace"))
            raise BadInput(f"unknown entity type {resp.shown(name)}")
        return lane

    def _count(self, text: bytes) -> int:
        # No limit has more than 19 digits, so a longer number is not worth converting.
        if text.isdigit() and len(text) <= 19 and 1 <= int(text) <= self._count_max:
            return int(text)
        raise BadInput(f"count {resp.shown(text)} is not a number within 1..{self._count_max}")


_PARSERS: dict[bytes, Callable[[Parser, list[bytes]], Command]] = {
    b"NEXT": Parser.next,
    b"INCR": Parser.incr,
    b"INCRBY": Parser.incr_by,
    b"RANGE": Parser.block,
    b"ATTACH": Parser.attach,
    b"INFO": Parser.info,
    b"PING": Parser.ping,
    b"ECHO": Parser.echo,
    b"HELLO": Parser.hello,
    b"CLIENT": Parser.client,
    b"CONFIG": Parser.config,
    b"COMMAND": Parser.commands,
    b"SELECT": Parser.select,
    b"QUIT": Parser.quit,
}
_NAMES = ", ".join(sorted(name.decode() for name in _PARSERS))

# Commands to run, each with the number of times that it is repeated in a row.
Plan = tuple[tuple[Command, int], ...]


class PlanCache:
    """
    The plans of chunks of bytes that clients send again and again.

    Commands that take ids have no varying argument, so a client's next request is nearly always the same bytes as an
    earlier one. A lookup here costs a tenth of parsing.
    """

    _CHUNK_BYTES_MAX = 4096
    _PLANS_MAX = 256

    def __init__(self, parser: Parser) -> None:
        self.parser = parser
        self._plans: dict[bytes, Plan] = {}
        self.get = self._plans.get

    def add(self, chunk: bytes, plan: Plan) -> None:
        """Remember the plan of a chunk that consists of complete commands, if it is likely to be sent again."""
        if plan and len(chunk) <= self._CHUNK_BYTES_MAX and all(command.waits_for for command, _ in plan):
            if len(self._plans) >= self._PLANS_MAX:
                self._plans.clear()
            self._plans[chunk] = plan
