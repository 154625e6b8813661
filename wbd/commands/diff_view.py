"""A diff of RDF for people: by subject, what went in red and what came in green, with short names."""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from rich.console import Console

from wbd.errors import PermanentError
from wbd.mapping.vocabulary import Vocabulary
from wbd.rdf.formats import write_lines
from wbd.rdf.graph_diff import RdfDiff
from wbd.rdf.labels import split_quad
from wbd.rdf.prefixes import RDF, Shortener

_BOLD: Final = "\x1b[1m"
_RED: Final = "\x1b[31m"
_GREEN: Final = "\x1b[32m"
_CYAN: Final = "\x1b[36m"
_PLAIN: Final = "\x1b[0m"

_IS_A: Final = f"<{RDF}type>"
_DATATYPE: Final = re.compile(r'(".*"\^\^)(<[^<>"]*>)', re.DOTALL)
# Characters that move the cursor, hide text or turn its direction; lines and names of files can hold them.
_UNSAFE: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def wants_color(choice: str) -> bool:
    """Tell whether to colour: always, never, or auto for a terminal that can and may (NO_COLOR)."""
    if choice == "auto":
        console = Console()
        return console.is_terminal and console.color_system is not None and not console.no_color
    return choice == "always"


class DiffView:
    """Writes a diff as lines; each ends in a line break."""

    def __init__(self, vocabulary: Vocabulary, prefixes: Mapping[str, str], *, color: bool) -> None:
        self._vocabulary = vocabulary
        # The wiki's own prefixes stand first: a document may use one of their names for something else.
        known = {**prefixes, **vocabulary.prefixes}
        self._shorten = Shortener(known)
        self._color = color

    def turtle(self, old: str, new: str, diff: RdfDiff) -> Iterator[str]:
        """Yield the view: subjects that only this graph has first, then shared nodes."""
        yield from self._head(old, new)
        shared = {_subject(line) for line in (*diff.linked_shared, *diff.unlinked_shared)}
        groups: dict[tuple[bool, str, str], list[tuple[str, str]]] = defaultdict(list)
        for sign, lines in (("-", diff.removed), ("+", diff.added)):
            for line in lines:
                subject, predicate, target, graph = split_quad(line)
                shown = f"{self.term(predicate)} {self.term(target)}"
                groups[subject in shared, graph, subject].append((sign, shown))
        linked = {_subject(line) for line in diff.linked_shared}
        for (is_shared, graph, subject), changes in sorted(groups.items(), key=lambda group: group[0]):
            note = f" {'new here' if subject in linked else 'no more used here'}, may be shared" if is_shared else ""
            place = f" in {self.term(graph)}" if graph else ""
            yield self._line(f"@@ {self.term(subject)}{place} @@{note}", _CYAN)
            # By predicate, so that what went stands above what came instead of it.
            for sign, shown in sorted(changes, key=lambda change: (change[1].split(" ", 1)[0], change[0] == "+")):
                yield self._line(f"{sign} {shown}", _RED if sign == "-" else _GREEN)

    def text(self, old: str, new: str, diff: RdfDiff, form: str) -> Iterator[str]:
        """Yield the view in a format of RDF, each of its lines with the sign in front."""
        yield from self._head(old, new)
        for sign, lines, color in (("-", diff.removed, _RED), ("+", diff.added, _GREEN)):
            if lines:
                for line in write_lines(lines, form, self._vocabulary).splitlines():
                    yield self._line(f"{sign} {line}", color)

    def term(self, term: str) -> str:
        """Return a term as short as the prefixes allow."""
        if term == _IS_A:
            return "a"
        if term.startswith("<"):
            return self._shorten(term)[0]
        typed = _DATATYPE.fullmatch(term)
        return f"{typed[1]}{self._shorten(typed[2])[0]}" if typed else term

    def _head(self, old: str, new: str) -> Iterator[str]:
        yield self._line(f"--- {old}", _BOLD)
        yield self._line(f"+++ {new}", _BOLD)

    def _line(self, text: str, color: str) -> str:
        safe = _UNSAFE.sub(lambda unsafe: f"\\u{ord(unsafe[0]):04X}", text)
        return f"{color}{safe}{_PLAIN}\n" if self._color else f"{safe}\n"


def _subject(line: str) -> str:
    return line[: line.index(" ")]


def write_out(lines: Iterable[str]) -> None:
    """
    Write lines to standard output in UTF-8, which RDF and JSON are in whatever the locale, and all of them now.

    Raises:
        BrokenPipeError: the reader (head, less) has seen enough.
        PermanentError: standard output takes no more.
    """
    try:
        sys.stdout.flush()
        sys.stdout.buffer.writelines(line.encode() for line in lines)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        leave_quietly()
        raise PermanentError(f"standard output: {error.strerror}; the rest is not written") from error


def leave_quietly() -> None:
    """Let what is still in the buffer of standard output go nowhere at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
