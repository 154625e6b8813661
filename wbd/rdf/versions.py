"""Two versions of one RDF document become two graphs; text that both contain is parsed once.

A diff of two documents spends most of its time parsing, and versions of one document share nearly all of their text.
N-Triples is divided into lines, Turtle at full stops that end a line. The pieces are parsed strictly: by the standards
only a long string can contain a line break, so if parsing succeeds, each of these full stops ended a statement, and
the order of statements has no meaning. Shared pieces are parsed with the prefixes that both documents declare equally.
Documents with long strings, with later directives, or that a strict parser refuses are parsed one by one.
"""

from __future__ import annotations

import re
from typing import Final

from wbd.errors import BadInput
from wbd.rdf.documents import (
    MAX_TEXT_BYTES,
    N_TRIPLES,
    TURTLE,
    UTF8_MARK,
    Document,
    read_document,
    read_strictly,
    syntax_name,
)

_STATEMENT_END: Final = b" .\n"
_HASH: Final = ord("#")
_DIRECTIVES: Final = re.compile(rb"(?:(?:@prefix[ \t]+[^\s<>\"'#]*:|@base)[ \t]*<[^<>\s]*>[ \t]*\.[ \t]*\n\s*)*")
_PREFIX: Final = re.compile(rb"@prefix[ \t]+([^\s<>\"'#]*:)[ \t]*(<[^<>\s]*>)")
# What makes a Turtle document one piece: long strings, and directives further down, here in lower case. Only blanks
# stand between the first directive of SPARQL's spelling and the start of the text, a full stop or the end of a line.
# Strings can look like that too, which costs time only. Several expressions, because one that begins with a fixed
# character is ten times as fast.
_LONG_QUOTES: Final = (b'"""', b"'''")
_DIRECTIVE: Final = rb"[ \t]*(?:prefix|base|version)(?![\w-])"
_FIRST_DIRECTIVE: Final = re.compile(_DIRECTIVE)
_LATER_DIRECTIVES: Final = tuple(re.compile(start + _DIRECTIVE) for start in (rb"@", rb"\.", rb"\n", rb"\r"))


def read_pair(
    old: bytes, new: bytes, media_type: str | None = None, *, max_text_bytes: int = MAX_TEXT_BYTES
) -> tuple[Document, Document]:
    """
    Read two versions of one document; what they share word for word is parsed once.

    As read_document of each, but that lines come in another order. Blank nodes without a label in a shared part have
    the same name on both sides.
    """
    name = syntax_name(old, media_type)
    if name in (TURTLE, N_TRIPLES) and name == syntax_name(new, media_type):
        parts = _shared_parts(old, new, name)
        if parts is not None:
            try:
                both, *sides = (read_strictly(part, name, max_text_bytes=max_text_bytes) for part in parts)
                before, after = (Document(both.text + side.text, side.prefixes) for side in sides)
                return before, after
            except BadInput:
                # The lenient parser may read them, and whole documents have the right place.
                pass
    before, after = (read_document(each, media_type, max_text_bytes=max_text_bytes) for each in (old, new))
    return before, after


def _shared_parts(old: bytes, new: bytes, name: str) -> tuple[bytes, bytes, bytes] | None:
    """Return a document of what both have, and of what only the old and only the new one has."""
    sides = [each.removeprefix(UTF8_MARK) for each in (old, new)]
    heads = [b"", b""]
    if name == N_TRIPLES:
        blocks = [side.split(b"\n") for side in sides]
        end = b"\n"
    else:
        heads = [found[0] if (found := _DIRECTIVES.match(side)) else b"" for side in sides]
        sides = [side[len(head) :] for side, head in zip(sides, heads, strict=True)]
        if _is_one_piece(sides[0]):
            return None
        blocks = [_blocks(side) for side in sides]
        if not all(blocks):
            return None
        end = _STATEMENT_END
    before, after = (dict.fromkeys(each) for each in blocks)
    if name == TURTLE and (len(before) < len(blocks[0]) or len(after) < len(blocks[1])):
        # Equal statements about nodes without a label are about several nodes.
        return None
    parts = [
        [block for block in before if block in after],
        [block for block in before if block not in after],
        [block for block in after if block not in before],
    ]
    shared, left, right = (end.join([*part, b""]) for part in parts)
    if name == TURTLE and _is_one_piece(right):
        return None
    return _shared_head(*heads) + shared, heads[0] + left, heads[1] + right


def _shared_head(old: bytes, new: bytes) -> bytes:
    """Return the directives that both documents have. What needs another one cannot be read then, nor without @base."""
    if old == new:
        return old
    # Of a prefix that is declared again the last IRI counts.
    before, after = (dict(_PREFIX.findall(head)) for head in (old, new))
    return b"".join(b"@prefix %b %b .\n" % (name, iri) for name, iri in before.items() if after.get(name) == iri)


def _is_one_piece(text: bytes) -> bool:
    """Tell whether Turtle may hold a long string, or a directive, which changes what follows."""
    if any(mark in text for mark in _LONG_QUOTES):
        return True
    lower = text.lower()
    return bool(_FIRST_DIRECTIVE.match(lower)) or any(directive.search(lower) for directive in _LATER_DIRECTIVES)


def _blocks(text: bytes) -> list[bytes]:
    """
    Divide Turtle without long strings and directives at ends of statements that end a line; each lacks its full stop.

    A lone full stop at the end of a line ends a statement, unless it stands in a comment. Nothing is returned for a
    text that ends otherwise.
    """
    pieces = (text if text.endswith(b"\n") else text + b"\n").split(_STATEMENT_END)
    if pieces.pop().strip():
        return []
    # Behind a sign of a comment in its line, the full stop can belong to that.
    doubtful = [at for at, piece in enumerate(pieces) if _HASH in piece and _HASH in piece[piece.rfind(b"\n") + 1 :]]
    if not doubtful:
        return pieces
    blocks: list[bytes] = []
    held: list[bytes] = []
    done = 0
    for at in doubtful:
        if held and at > done:
            # The piece behind a doubtful one ends what that began.
            blocks.append(_STATEMENT_END.join([*held, pieces[done]]))
            held = []
            done += 1
        blocks += pieces[done:at]
        held.append(pieces[at])
        done = at + 1
    if held and done < len(pieces):
        held.append(pieces[done])
        done += 1
    return [*blocks, _STATEMENT_END.join(held), *pieces[done:]]
