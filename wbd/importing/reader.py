"""Read the entities of a file one at a time, each with its place; text that is no entity comes with the reason.

A file is a Wikidata JSON dump (``[``, one entity per line, ``]``), one entity per line, or over any number of lines a
single entity, an array of entities or Special:EntityData JSON; plain, gzip, bzip2 or zstd. Memory is bounded by the
longest line, or whole document, that is allowed. Bad content raises nothing: it is yielded with its reason, and
reading continues.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from wbd.entity.strict_json import JsonPath, parse, show_path
from wbd.errors import BadInput
from wbd.importing.input_file import InputFile, TextLine

DEFAULT_MAX_LINE_BYTES = 64 * 1024 * 1024
# A file without an entity in this many lines is something else; rejecting each of its lines would copy the file.
_HOPELESS_LINES = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """
    One entity of a file, or a part of the file that is none.

    Args:
        number: the line, counted from 1; of a document over several lines, the first.
        offset: byte of the uncompressed file where that line begins.
        raw: the JSON text without framing; of a rejected line perhaps only the beginning.
        entity: the parsed object, not yet validated; None for a rejected line.
        rejection: the reason why it is no entity; its place is inside the line (a column or a JSON path).
    """

    number: int
    offset: int
    raw: bytes
    entity: dict[str, Any] | None = None
    rejection: BadInput | None = None


def read_entities(
    path: Path | str | BinaryIO | InputFile, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
) -> Iterator[Line]:
    """
    Yield every entity of a path, of standard input ("-"), of a binary stream or of an open InputFile.

    Raises:
        BadInput: no such file, a folder, or not readable.
        OSError: the disk or the pipe failed while reading.
    """
    if isinstance(path, InputFile):
        yield from _Framing(path, max_line_bytes).entities()
        return
    with InputFile.open(path) as source:
        yield from _Framing(source, max_line_bytes).entities()


class _Framing:
    """Tells whether each line or the whole file is a JSON text, and yields the entities of each text."""

    def __init__(self, source: InputFile, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lines = source.lines(limit_bytes)
        self._good = 0
        self._bad = 0

    def entities(self) -> Iterator[Line]:
        first = self._next_text()
        second: TextLine | None = None
        if first is not None and not first.too_long and first.trouble is None:
            second = self._next_text()
            if second is not None and _is_document(first.text, second.text):
                yield from self._document(first, second)
                return
        for line in (first, second):
            if line is not None:
                yield from self._line(line)
        for line in self._lines:
            yield from self._line(line)
            if self._good == 0 and self._bad >= _HOPELESS_LINES:
                reason = f"no entity in the first {self._bad} lines; the rest of the file is not read"
                yield _rejected(line, BadInput(reason))
                return

    def _next_text(self) -> TextLine | None:
        return next((line for line in self._lines if line.text.strip() or line.trouble or line.too_long), None)

    def _line(self, line: TextLine) -> Iterator[Line]:
        for entry in self._read_line(line):
            if entry.rejection is None:
                self._good += 1
            else:
                self._bad += 1
            yield entry

    def _read_line(self, line: TextLine) -> Iterator[Line]:
        if line.trouble is not None:
            yield _rejected(line, line.trouble)
            return
        if line.too_long:
            reason = f"line of {line.length_bytes} bytes, over import_max_line_bytes {self._limit_bytes}; skipped"
            yield _rejected(line, BadInput(reason))
            return
        # Text before the entity stays, so that columns count from the start of the line.
        text = line.text.rstrip()
        if text.endswith(b","):
            text = text[:-1].rstrip()
        if text.lstrip() in (b"", b"[", b"]"):
            return
        try:
            parsed = parse(text)
        except BadInput as error:
            # Brackets of the array may share a line with an entity: '[{...},' or '{...}]'.
            inner = text.replace(b"[", b" ", 1) if text.lstrip().startswith(b"[") else text
            inner = inner[:-1] if inner.endswith(b"]") else inner
            try:
                if inner == text:
                    raise error
                parsed = parse(inner)
            except BadInput as inner_error:
                yield _rejected(line, inner_error, text)
                return
            text = inner
        yield from _unpack(line, text, parsed.value, parsed.duplicates)

    def _document(self, first: TextLine, second: TextLine) -> Iterator[Line]:
        """Read the file as one JSON text; if that fails and its lines look like entities, read the lines."""
        text = bytearray(first.text + b"\n" * (second.number - first.number) + second.text)
        beyond: TextLine | None = None
        entity_lines = False
        for line in self._lines:
            if line.trouble is not None or line.too_long or len(text) + line.length_bytes > self._limit_bytes:
                beyond = line
                break
            text += b"\n" + line.text
            entity_lines = entity_lines or line.text.startswith(b'{"')
        reason: BadInput | None = None
        if beyond is None:
            try:
                parsed = parse(bytes(text))
            except BadInput as error:
                reason = error
            else:
                yield from _unpack(first, bytes(text), parsed.value, parsed.duplicates)
                return
        if entity_lines:
            yield from self._lines_of(first, bytes(text))
            if beyond is not None:
                yield from self._line(beyond)
            for line in self._lines:
                yield from self._line(line)
            return
        if beyond is not None and beyond.trouble is not None:
            reason = beyond.trouble
        elif beyond is not None:
            reason = BadInput(f"document over import_max_line_bytes {self._limit_bytes}; not read")
        yield _rejected(first, reason or BadInput("no entity"), bytes(text[:4096]))

    def _lines_of(self, first: TextLine, text: bytes) -> Iterator[Line]:
        """Read the text of a supposed document again, line by line."""
        for line in InputFile(io.BytesIO(text), "held").lines(self._limit_bytes):
            yield from self._line(
                TextLine(line.number + first.number - 1, line.offset + first.offset, line.text, line.length_bytes)
            )


def _is_document(first: bytes, second: bytes) -> bool:
    """Tell a text over many lines from one entity per line, by the first two lines that are not empty."""
    start, goes_on = first.strip(), second.strip()
    if start == b"[":
        return goes_on == b"{"
    if not start.startswith((b"{", b"[{")) or second.startswith((b"{", b"]")):
        return False
    try:
        parse(start[:-1] if start.endswith(b",") else start)
    except BadInput:
        return True
    return False


def _unpack(line: TextLine, raw: bytes, value: Any, duplicates: list[JsonPath]) -> Iterator[Line]:
    """Yield the entities that one JSON text holds: itself, a list of them, or an EntityData document of them."""
    elements: list[tuple[JsonPath, Any]]
    if isinstance(value, list):
        elements = [((index,), element) for index, element in enumerate(value)]
    elif isinstance(value, dict) and "entities" in value and "id" not in value:
        entities = value["entities"]
        if isinstance(entities, dict):
            elements = [(("entities", key), element) for key, element in entities.items()]
        elif entities == []:
            elements = []  # PHP writes an empty map as a list.
        else:
            yield _rejected(line, BadInput("is not an object of entities", "entities"), raw)
            return
    else:
        yield from _one(line, raw, (), value, duplicates)
        return
    outside = [path for path in duplicates if not any(path[: len(prefix)] == prefix for prefix, _ in elements)]
    if outside:
        yield _rejected(line, _twice(outside[0]), raw)
        return
    for prefix, element in elements:
        inside = [path for path in duplicates if path[: len(prefix)] == prefix]
        yield from _one(line, orjson.dumps(element), prefix, element, inside)


def _one(line: TextLine, raw: bytes, prefix: JsonPath, value: Any, duplicates: list[JsonPath]) -> Iterator[Line]:
    if duplicates:
        yield _rejected(line, _twice(duplicates[0]), raw)
    elif not isinstance(value, dict):
        kind = {list: "a list", str: "text", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
        yield _rejected(line, BadInput(f"is {kind}, not an entity object", show_path(prefix)), raw)
    elif "missing" in value:
        yield _rejected(line, BadInput("is missing on the wiki that it was fetched from", show_path(prefix)), raw)
    else:
        yield from _redirects(line, raw, prefix, value)


def _redirects(line: TextLine, raw: bytes, prefix: JsonPath, entity: dict[str, Any]) -> Iterator[Line]:
    """Write each of Wikibase's spellings of a redirect as {"type", "id", "redirect"}, beside the entity if given."""
    if "redirect" in entity and "entity" in entity and "id" not in entity:
        # The text of a redirect's page: {"entity": "Q2", "redirect": "Q1"}.
        others = {key: value for key, value in entity.items() if key != "entity"}
        yield Line(line.number, line.offset, raw, {**others, "id": entity["entity"]})
        return
    given = entity.get("redirects")
    if isinstance(given, dict) and "from" in given and "to" in given:
        # EntityData asked by the redirect's id: the target, and where it was asked from.
        target = {key: value for key, value in entity.items() if key != "redirects"}
        yield Line(line.number, line.offset, raw, target)
        redirect = {"type": entity.get("type"), "id": given["from"], "redirect": given["to"]}
        yield Line(line.number, line.offset, orjson.dumps(redirect), redirect)
        return
    if prefix[:1] == ("entities",) and entity.get("id", prefix[1]) != prefix[1]:
        reason = f"is {entity['id']!r}, but its key is {prefix[1]!r}"
        yield _rejected(line, BadInput(reason, f"{show_path(prefix)}.id"), raw)
        return
    yield Line(line.number, line.offset, raw, entity)


def _twice(path: JsonPath) -> BadInput:
    return BadInput(f"the key {path[-1]!r} is given twice; one of the two would be lost", show_path(path))


def _rejected(line: TextLine, reason: BadInput, raw: bytes | None = None) -> Line:
    return Line(line.number, line.offset, line.text if raw is None else raw, None, reason)
