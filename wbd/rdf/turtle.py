"""N-Triples lines to Turtle.

Law: parsing the output gives exactly the triples that went in, blank node labels included.

Diffs are sorted, and each event is some of them as Turtle; that is written in C where the extension was built
(turtle.h has the contract in full). Everything else, and what the C code does not take, is written by turtle_twin,
with the same results.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from wbd.errors import BadInput
from wbd.rdf.prefixes import RDF, Prefixes

_IS_A: Final = f"<{RDF}type>"


def turtle_twin(lines: Iterable[str], prefixes: Prefixes) -> str:
    """Return what to_turtle returns, by a table of subjects and one of predicates for each."""
    shorten = prefixes.shorten
    used: set[str | None] = set()
    graph: dict[str, dict[str, list[str]]] = {}
    for line in lines:
        # Canonical lines hold one space after each of the first two terms; shorten() refuses what is no IRI.
        try:
            if line[-2:] != " .":
                raise _not_canonical(line)
            subject, predicate, target = line[:-2].split(" ", 2)
            opening = target[0]
            if opening == '"':
                if target[-1] == ">":
                    value, _, datatype = target.rpartition("^^")
                    datatype, prefix = shorten(datatype)
                    used.add(prefix)
                    target = f"{value}^^{datatype}"
            elif not _is_blank(target):
                target, prefix = shorten(target)
                used.add(prefix)
            graph.setdefault(subject, {}).setdefault(predicate, []).append(target)
        except (ValueError, IndexError):
            raise _not_canonical(line) from None
    blocks = []
    for subject, predicates in graph.items():
        parts = []
        try:
            for predicate, targets in predicates.items():
                verb, prefix = ("a", None) if predicate == _IS_A else shorten(predicate)
                used.add(prefix)
                parts.append(f"{verb} {', '.join(targets)}")
            subject_text, prefix = (subject, None) if _is_blank(subject) else shorten(subject)
        except ValueError:
            raise _not_canonical(f"{subject} {predicate} {targets[0]} .") from None
        used.add(prefix)
        blocks.append(f"{subject_text} " + " ;\n\t".join(parts) + " .\n")
    head = [f"@prefix {prefix}: <{namespace}> .\n" for prefix, namespace in prefixes.prefixes.items() if prefix in used]
    return "\n".join([*(["".join(head)] if head else []), *blocks])


def _is_blank(term: str) -> bool:
    return term.startswith("_:") and len(term) > 2 and " " not in term


def _not_canonical(line: str) -> BadInput:
    return BadInput(f"no canonical triple: {line[:200]!r}; graph set aside")


try:
    from wbd.rdf._turtle import write_sorted as _write_sorted
except ModuleNotFoundError:
    # Not built. An extension that is there and cannot be loaded is a broken installation and raises ImportError.
    def _write_sorted(lines: list[str], prefixes: dict[str, str], /) -> str | None:
        return None


def to_turtle(lines: Iterable[str], prefixes: Prefixes) -> str:
    """
    Write Turtle: the prefixes that are used, then the triples grouped by subject and predicate.

    Subjects, predicates and objects keep the order in which they come first. The text of literals is not looked into.

    Raises:
        BadInput: a line that is not a canonical triple.
    """
    if not isinstance(lines, list):
        lines = list(lines)
    written = _write_sorted(lines, prefixes.prefixes)
    return turtle_twin(lines, prefixes) if written is None else written
