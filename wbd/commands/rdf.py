"""``wbd diff``, ``wbd rdf``, ``wbd canonicalize``: RDF of files, without any server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any, Final

import orjson

from wbd.commands.diff_view import DiffView, leave_quietly, wants_color, write_out
from wbd.commands.rdf_files import (
    JSON,
    RdfFile,
    add_kind_argument,
    entities,
    lines_of,
    one_entity,
    read_file,
    shown_name,
)
from wbd.diff.entities import diff_entities
from wbd.diff.graphs import diff_documents, has_own_labels
from wbd.entity.check import find_fault
from wbd.errors import BadEntity, BadInput, GraphTooHard
from wbd.mapping.context import FLAVOURS, MappingContext
from wbd.mapping.entity import FAULTS
from wbd.rdf.documents import N_QUADS, TRIG, Document, read_document
from wbd.rdf.formats import FORMATS, write_lines
from wbd.rdf.graph_diff import RdfDiff
from wbd.rdf.labels import label_by_content, rdfc_lines, split_line
from wbd.rdf.versions import read_pair
from wbd.settings.load import load
from wbd.wiki import Wiki

_SAME: Final = 0
_DIFFERENT: Final = 1
_LEFT_OUT: Final = 1


class _Formatter(argparse.HelpFormatter):
    """Fills the description, and leaves examples on lines of their own."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


def add_arguments(commands: Any) -> None:
    """Add the parsers of the three commands."""
    _add_diff(commands)
    _add_rdf(commands)
    _add_canonicalize(commands)


def _add_diff(commands: Any) -> None:
    parser = commands.add_parser(
        "diff",
        help="what changed in RDF between two files",
        description="Show what changed between two revisions of an entity, or between two RDF documents, as triples:"
        " by subject, - what went and + what came. Both files are entity JSON (an entity, Special:EntityData) or both"
        " RDF; plain, gzip, bzip2 or zstd; an empty file is an entity or graph that is not there. Blank nodes are"
        " compared by content. Exit code 0: same; 1: different; 2: trouble.",
        epilog="examples:\n  wbd diff Q42.old.json Q42.json\n  wbd diff a.ttl b.nt --json\n"
        "  wbd diff a.json.gz b.json --color always | less -R\n"
        "  wbd diff --format ntriples a.json b.json\n  wbd diff -q x.json - < y.json && echo same",
        formatter_class=_Formatter,
    )
    parser.add_argument("old", metavar="OLD", help="a file, or - for standard input")
    parser.add_argument("new", metavar="NEW", help="a file, or - for standard input")
    add_kind_argument(parser)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        metavar="FORMAT",
        help=f"how triples are written ({', '.join(FORMATS)}); default: turtle, as short as can be",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object; arrays of N-Triples, or --format's text")
    parser.add_argument("--entity", metavar="ID", help="the entity to compare, where a file holds several")
    _add_flavour(parser)
    parser.add_argument(
        "--keep-labels", action="store_true", help="compare blank nodes by their labels, where these stay put"
    )
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: on a terminal")
    parser.add_argument("-q", "--quiet", action="store_true", help="only the exit code")
    parser.set_defaults(run=diff)


def _add_rdf(commands: Any) -> None:
    parser = commands.add_parser(
        "rdf",
        help="an entity, or an RDF document, as RDF",
        description="Write entities of a JSON file as Wikibase's RDF, or an RDF document in another format. Base IRIs"
        " are the settings' (wbd config wikibase). Exit code 0: all is written; 1: an entity could not be and was left"
        " out; 2: trouble.",
        epilog="examples:\n  wbd rdf Q42.json\n  wbd rdf --flavour truthy --format ntriples Q42.json\n"
        "  wbd rdf --format rdfxml - < x.ttl",
        formatter_class=_Formatter,
    )
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    add_kind_argument(parser)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        metavar="FORMAT",
        default="turtle",
        help=f"how it is written ({', '.join(FORMATS)}); default: turtle",
    )
    _add_flavour(parser)
    parser.set_defaults(run=rdf)


def _add_canonicalize(commands: Any) -> None:
    parser = commands.add_parser(
        "canonicalize",
        help="an RDF document in canonical form",
        description="Write an RDF document as sorted canonical N-Quads (N-Triples where it has no named graphs) with"
        " the labels of RDFC-1.0 for blank nodes. Work is bounded: a document whose blank nodes cannot be told apart"
        " within the limit is refused. Exit code 0: written; 2: trouble.",
        epilog="examples:\n  wbd canonicalize x.ttl | sha256sum\n  wbd canonicalize --content-labels x.ttl\n"
        "  wbd rdf Q42.json | wbd canonicalize -",
        formatter_class=_Formatter,
    )
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    add_kind_argument(parser)
    parser.add_argument(
        "--content-labels",
        action="store_true",
        help="wbd's labels instead: a change renames only the blank nodes that it touches",
    )
    parser.add_argument("--hash", choices=("sha256", "sha384"), default="sha256", help="of RDFC-1.0; default: sha256")
    parser.set_defaults(run=canonicalize)


def _add_flavour(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--flavour",
        choices=FLAVOURS,
        metavar="FLAVOUR",
        help=f"how much of an entity is written ({', '.join(FLAVOURS)}); default: full",
    )


def diff(args: argparse.Namespace) -> int:
    """Show what changed; return 0 for same, 1 for different."""
    if args.old == args.new == "-":
        raise BadInput("standard input can be one side only; name a file for the other")
    settings = load().settings
    old, new = read_file(args.old, args.kind), read_file(args.new, args.kind)
    if old.media_type and new.media_type and old.is_json != new.is_json:
        raise BadInput(
            f"{old.name} is {old.kind} and {new.name} is {new.kind}; both sides have to be entities, or both RDF"
            " (wbd rdf FILE makes RDF of an entity)"
        )
    context = Wiki(settings).mapping(args.flavour or "full")
    if old.is_json or new.is_json:
        change, prefixes = _diff_json(old, new, args.entity, context), dict[str, str]()
    else:
        _refuse(args.entity, "--entity", "entity JSON")
        _refuse(args.flavour, "--flavour", "entity JSON")
        change, prefixes = _diff_rdf(old, new, args.keep_labels, context)
    if not args.quiet:
        try:
            _show(args, change, DiffView(context.vocabulary, prefixes, color=wants_color(args.color)), context)
        except BrokenPipeError:
            # The reader has seen enough; the exit code still tells whether the sides differ.
            leave_quietly()
    return _DIFFERENT if change else _SAME


def _refuse(value: object, option: str, wanted: str) -> None:
    if value is not None:
        raise BadInput(f"{option} is for {wanted} only")


def _diff_json(old: RdfFile, new: RdfFile, entity_id: str | None, context: MappingContext) -> RdfDiff:
    before, after = one_entity(old, entity_id), one_entity(new, entity_id)
    try:
        return diff_entities(before, after, context)
    except (BadEntity, *FAULTS) as error:
        for file, entity in ((old, before), (new, after)):
            if entity is not None and find_fault(entity) is not None:
                lines_of(entity, context, file.name)
        raise BadInput(f"{type(error).__name__}: {error}", f"{old.name}, {new.name}") from error


def _diff_rdf(old: RdfFile, new: RdfFile, keep_labels: bool, context: MappingContext) -> tuple[RdfDiff, dict[str, str]]:
    documents = _read_both(old, new)
    keep = keep_labels or all(
        has_own_labels(document, file.data) for document, file in zip(documents, (old, new), strict=True)
    )
    try:
        change = diff_documents(*documents, context.vocabulary, keep_labels=keep)
    except GraphTooHard as error:
        raise error.at(f"{old.name}, {new.name}", ": ") from error
    return change, {**documents[0].prefixes, **documents[1].prefixes}


def _read_both(old: RdfFile, new: RdfFile) -> tuple[Document, Document]:
    if old.media_type == new.media_type and old.media_type is not None:
        try:
            return read_pair(old.data, new.data, old.media_type)
        except BadInput:
            # Read again one by one, to say in which file the fault is.
            pass
    return _read(old), _read(new)


def _read(file: RdfFile) -> Document:
    if file.media_type is None:
        return Document(b"")
    try:
        return read_document(file.data, file.media_type)
    except BadInput as error:
        raise error.at(file.name, ": ") from error


def _show(args: argparse.Namespace, change: RdfDiff, view: DiffView, context: MappingContext) -> None:
    # Names of files can hold bytes that are no UTF-8.
    names = [
        shown_name(name).encode(errors="surrogateescape").decode(errors="replace") for name in (args.old, args.new)
    ]
    if args.json:
        parts = {
            "added": change.added,
            "removed": change.removed,
            "linked_shared": change.linked_shared,
            "unlinked_shared": change.unlinked_shared,
        }
        shown: dict[str, Any] = dict(parts)
        if args.format is not None:
            shown = {key: write_lines(lines, args.format, context.vocabulary) for key, lines in parts.items()}
        result = {"old": names[0], "new": names[1], "same": not change, **shown}
        write_out([orjson.dumps(result, option=orjson.OPT_INDENT_2).decode(), "\n"])
    elif change and args.format in (None, "turtle"):
        write_out(view.turtle(names[0], names[1], change))
    elif change:
        write_out(view.text(names[0], names[1], change, args.format))


def rdf(args: argparse.Namespace) -> int:
    """Write a file's entities or triples; return 1 when an entity was left out."""
    settings = load().settings
    file = read_file(args.file, args.kind)
    context = Wiki(settings).mapping(args.flavour or "full")
    if file.is_json:
        return _write_entities(file, args.format, context)
    _refuse(args.flavour, "--flavour", "entity JSON")
    lines = _read(file).lines()
    if file.media_type in (N_QUADS, TRIG):
        # A named graph has no form in any of the formats.
        for line in lines:
            split_line(line)
    write_out([write_lines(lines, args.format, context.vocabulary)])
    return 0


def _write_entities(file: RdfFile, form: str, context: MappingContext) -> int:
    left_out = written = 0
    for entity in entities(file):
        try:
            text = write_lines(lines_of(entity, context, file.name), form, context.vocabulary)
        except BadInput as error:
            sys.stderr.write(f"wbd: {error}\n")
            left_out += 1
            continue
        if written and form == "rdfxml":
            raise BadInput("holds several entities, which one RDF/XML document cannot; use another --format", file.name)
        write_out([f"\n{text}" if written and form == "turtle" else text])
        written += 1
    if not written and not left_out:
        raise BadInput("holds no entity", file.name)
    return _LEFT_OUT if left_out else 0


def canonicalize(args: argparse.Namespace) -> int:
    """Write the canonical form of an RDF document."""
    file = read_file(args.file, args.kind)
    if file.is_json:
        raise BadInput(f"is entity JSON ({JSON}); make RDF of it first: wbd rdf FILE | wbd canonicalize -", file.name)
    lines: Iterable[str]
    try:
        if file.media_type is None:
            lines = []
        elif args.content_labels:
            lines = label_by_content(read_document(file.data, file.media_type).lines())
        else:
            lines = rdfc_lines(file.data, file.media_type, hash_name=args.hash)
    except (BadInput, GraphTooHard) as error:
        raise error.at(file.name, ": ") from error
    write_out(f"{line}\n" for line in lines)
    return 0
