"""Files of entities and of RDF, told apart by what they are, for the commands that read both."""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from wbd.errors import BadEntity, BadInput
from wbd.importing.input_file import InputFile
from wbd.importing.reader import read_entities
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import FAULTS, map_entity
from wbd.rdf.documents import N_QUADS, N_TRIPLES, RDF_XML, TRIG, TURTLE, media_type_of

JSON: Final = "application/json"
# Two sides of this size and what is made of them fit into memory.
MAX_FILE_BYTES: Final = 512 * 1024 * 1024

KINDS: Final = {
    "json": JSON,
    "turtle": TURTLE,
    "rdfxml": RDF_XML,
    "ntriples": N_TRIPLES,
    "nquads": N_QUADS,
    "trig": TRIG,
}
_NAMES: Final = {media_type: name for name, media_type in KINDS.items()} | {JSON: "entity JSON"}


@dataclass(frozen=True, slots=True)
class RdfFile:
    """A file in memory, uncompressed; *media_type* is None for one without content, which is of every kind."""

    name: str
    data: bytes
    media_type: str | None

    @property
    def is_json(self) -> bool:
        """Tell whether it holds entities."""
        return self.media_type == JSON

    @property
    def kind(self) -> str:
        """The kind for people."""
        return _NAMES.get(self.media_type or "", "nothing")


def add_kind_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what a file is."""
    parser.add_argument(
        "--from",
        dest="kind",
        choices=KINDS,
        metavar="KIND",
        help=f"what the input is ({', '.join(KINDS)}); default: by the name, else by the first bytes",
    )


def read_file(path: str, kind: str | None) -> RdfFile:
    """
    Read a file, or standard input for "-"; gzip, bzip2 and zstd are recognised.

    Raises:
        BadInput: not readable, damaged, or over MAX_FILE_BYTES.
    """
    pieces: list[bytes] = []
    size = 0
    source = InputFile.open(path)
    try:
        with source:
            for piece in source.chunks():
                pieces.append(piece)
                size += len(piece)
                if size > MAX_FILE_BYTES:
                    raise BadInput(f"over {MAX_FILE_BYTES} bytes uncompressed; not read")
    except BadInput as error:
        raise error.at(shown_name(path), ": ") from error
    except OSError as error:
        raise BadInput(f"not readable: {error.strerror}", shown_name(path)) from error
    data = b"".join(pieces)
    if kind is None and not named_json(path) and b"\0" in data[:4096]:
        raise BadInput("is no text: it holds NUL bytes; not read", shown_name(path))
    return RdfFile(shown_name(path), data, media_type(path, data, kind) if data.strip() else None)


def shown_name(path: str) -> str:
    """Return the name of a file for people."""
    return "standard input" if path == "-" else path


def media_type(path: str, data: bytes, kind: str | None) -> str:
    """Tell what a file is."""
    if kind is not None:
        return KINDS[kind]
    if named_json(path):
        return JSON
    start = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    named_rdf = media_type_of(path) != TURTLE or PurePath(path).suffix.lower() in (".ttl", ".turtle")
    # Turtle can begin with a bracket too, but not with one before a brace.
    if not named_rdf and start.removeprefix(b"[").lstrip().startswith(b"{"):
        return JSON
    return media_type_of(path, data)


def named_json(path: str) -> bool:
    """Tell whether a name says that the file holds JSON."""
    return any(suffix.lower() in (".json", ".jsonl", ".ndjson") for suffix in PurePath(path).suffixes[-2:])


def one_entity(file: RdfFile, entity_id: str | None = None) -> dict[str, Any] | None:
    """
    Return the one entity of a file, or the one that is asked for; None when the file is empty.

    Raises:
        BadInput: not JSON of entities, none, or several.
    """
    if file.media_type is None:
        return None
    chosen: dict[str, Any] | None = None
    for entity in entities(file):
        if entity_id is not None and entity.get("id", entity.get("entity")) != entity_id:
            continue
        if chosen is not None:
            raise BadInput("holds several entities; name one: --entity ID", file.name)
        chosen = entity
        if entity_id is not None:
            return chosen
    if chosen is None:
        raise BadInput(f"holds no entity {entity_id}" if entity_id else "holds no entity", file.name)
    return chosen


def entities(file: RdfFile) -> Iterator[dict[str, Any]]:
    """
    Yield the entities of a file.

    Raises:
        BadInput: something in it is no entity.
    """
    for line in read_entities(io.BytesIO(file.data), len(file.data) + 1):
        if line.rejection is not None:
            raise line.rejection.at(f"{file.name}: line {line.number}", ": ")
        assert line.entity is not None
        if "redirect" in line.entity:
            # As Wikibase stores it, which is what the mapping takes.
            yield {"entity": line.entity.get("id"), "redirect": line.entity["redirect"]}
        else:
            yield line.entity


def lines_of(entity: dict[str, Any], context: MappingContext, name: str) -> list[str]:
    """
    Map an entity that came from the file *name*.

    Raises:
        BadEntity: it breaks the data model.
    """
    try:
        return map_entity(entity, context)
    except BadEntity as error:
        raise BadInput(error.message, error.place).at(name, ": ") from error
    except FAULTS as error:
        raise BadInput(f"{type(error).__name__}: {error}; entity set aside", name) from error
