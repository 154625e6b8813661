"""RDF terms as N-Triples text: escapes of literals and IRIs, percent-encoding of titles.

Every function is pure and returns text that can be put into an N-Triples line as it is. Escapes follow
the canonical form of N-Triples (https://www.w3.org/TR/rdf12-n-triples/#canonical-ntriples).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_plus

_REPLACEMENT: Final = "\ufffd"

_SPECIAL: Final = re.compile('["\\\\\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]')

_ESCAPES: Final[dict[str, str]] = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
}

# The characters that an IRIREF must not contain. MediaWiki percent-encodes spaces, quotes, angle brackets, backslash,
# backtick, caret, bar and braces; controls would break the line, so they are encoded as well.
_NOT_IN_IRI: Final = re.compile('[\x00-\x20"<>\\\\^`{|}\x7f\ud800-\udfff]')

_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

# A literal loses a language tag that does not match: at least two characters, then the N-Triples grammar.
_LANGUAGE: Final = re.compile(r"(?=.{2})[A-Za-z]+(?:-[A-Za-z0-9]+)*")


def _escape_character(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        # A lone surrogate is no character and has no UTF-8 form.
        return _REPLACEMENT
    return _ESCAPES.get(character) or f"\\u{code:04X}"


def literal(text: str) -> str:
    """Return a plain literal; lone surrogates become U+FFFD."""
    # isprintable() rules out every character of _SPECIAL but these two, several times faster.
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'"{_SPECIAL.sub(_escape_character, text)}"'


@lru_cache(maxsize=4096)
def language_suffix(language: str) -> str:
    """Return ``@language``, or "" for a code that no language tag can hold."""
    return f"@{language}" if _LANGUAGE.fullmatch(language) else ""


def _encode_character(match: re.Match[str]) -> str:
    return quote(match.group(), safe="", errors="replace")


def iri(text: str) -> str:
    """Return ``<text>`` with what an IRI cannot hold percent-encoded."""
    if _NOT_IN_IRI.search(text):
        text = _NOT_IN_IRI.sub(_encode_character, text)
    return f"<{text}>"


def is_absolute(text: str) -> bool:
    """Tell whether *text* starts with a scheme."""
    return _ABSOLUTE.match(text) is not None


def wiki_quote(title: str) -> str:
    """Percent-encode as MediaWiki's page URLs do: spaces as ``+``, readable punctuation kept."""
    return quote_plus(title, safe=";@$!*(),/~:", errors="replace")


def raw_quote(text: str) -> str:
    """Percent-encode everything but RFC 3986's unreserved characters."""
    return quote(text, safe="", errors="replace")
