"""Language codes, and Wikidata's sites derived from their global ids.

The tables are facts about Wikimedia's wikis and MediaWiki's language codes
(https://meta.wikimedia.org/wiki/Special_language_codes); no list of wikis is needed, since the id of a language
edition spells its host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from wbd.mapping.vocabulary import Site

# Codes that Wikibase replaces before anything else; not normalized further.
_REPLACED: Final[dict[str, str]] = {
    "als": "gsw",
    "bat-smg": "sgs",
    "be-x-old": "be-tarask",
    "bh": "bho",
    "cbk-zam": "cbk-x-zam",
    "crh": "crh-Latn",
    "de-formal": "de-x-formal",
    "es-formal": "es-x-formal",
    "fiu-vro": "vro",
    "hu-formal": "hu-x-formal",
    "map-bms": "jv-x-bms",
    "nl-informal": "nl-x-informal",
    "no": "nb",
    "nrm": "fr-x-nrm",
    "roa-rup": "rup",
    "roa-tara": "it-x-tara",
    "simple": "en-simple",
    "zh-classical": "lzh",
    "zh-min-nan": "nan",
    "zh-yue": "yue",
}

# MediaWiki's own codes and the BCP 47 tags they stand for.
_BCP47: Final[dict[str, str]] = {
    "crh-ro": "crh-Latn-RO",
    "eml": "egl",
    "en-rtl": "en-x-rtl",
    "kk-cn": "kk-Arab-CN",
    "kk-tr": "kk-Latn-TR",
    "mo": "ro-Cyrl-MD",
    "sr-ec": "sr-Cyrl",
    "sr-el": "sr-Latn",
    "zh-cn": "zh-Hans-CN",
    "zh-hk": "zh-Hant-HK",
    "zh-mo": "zh-Hant-MO",
    "zh-my": "zh-Hans-MY",
    "zh-sg": "zh-Hans-SG",
    "zh-tw": "zh-Hant-TW",
}


@lru_cache(maxsize=4096)
def canonical_language(code: str) -> str:
    """
    Return the BCP 47 tag of a MediaWiki language code, as sitelinks carry it.

    Regions are upper case, scripts title case, all else lower case; what follows ``x`` is private and lower case.
    """
    if code in _REPLACED:
        return _REPLACED[code]
    code = code.lower()
    parts = _BCP47.get(code, code).split("-")
    tag = [parts[0].lower()]
    for before, part in pairwise(parts):
        if before.lower() == "x":
            tag.append(part.lower())
        elif len(part) == 2:
            tag.append(part.upper())
        elif len(part) == 4:
            tag.append(part.capitalize())
        else:
            tag.append(part.lower())
    return "-".join(tag)


# Wikis that are not a language edition: host and group; all of them say that their content is English.
_SINGLE: Final[dict[str, tuple[str, str]]] = {
    "commonswiki": ("commons.wikimedia.org", "commons"),
    "foundationwiki": ("foundation.wikimedia.org", "foundation"),
    "incubatorwiki": ("incubator.wikimedia.org", "incubator"),
    "mediawikiwiki": ("www.mediawiki.org", "mediawiki"),
    "metawiki": ("meta.wikimedia.org", "meta"),
    "outreachwiki": ("outreach.wikimedia.org", "outreach"),
    "sourceswiki": ("wikisource.org", "sources"),
    "specieswiki": ("species.wikimedia.org", "species"),
    "wikidatawiki": ("www.wikidata.org", "wikidata"),
    "wikifunctionswiki": ("www.wikifunctions.org", "wikifunctions"),
    "wikimaniawiki": ("wikimania.wikimedia.org", "wikimania"),
}

# Hosts that moved to another code while the global id stayed.
_RENAMED_HOST: Final[dict[str, str]] = {"be-x-old": "be-tarask"}

_EDITION: Final = re.compile(
    r"([a-z][a-z0-9_]*?)(wikibooks|wikinews|wikiquote|wikisource|wikiversity|wikivoyage|wiktionary|wiki)"
)


@lru_cache(maxsize=4096)
def wikidata_site(global_id: str) -> Site | None:
    """
    Derive one of Wikidata's sites from its global id, such as ``zh_min_nanwiki``.

    Returns:
        None for an id that names no Wikimedia wiki; Wikibase leaves such sitelinks out.
    """
    if global_id in _SINGLE:
        host, group = _SINGLE[global_id]
        return Site("en", f"https://{host}/wiki/$1", group)
    edition = _EDITION.fullmatch(global_id)
    if edition is None:
        return None
    language = edition.group(1).replace("_", "-")
    group = "wikipedia" if edition.group(2) == "wiki" else edition.group(2)
    if language == "beta" and group == "wikiversity":
        return Site("en", "https://beta.wikiversity.org/wiki/$1", group)
    host = f"{_RENAMED_HOST.get(language, language)}.{group}.org"
    return Site(language, f"https://{host}/wiki/$1", group)


@dataclass(frozen=True, slots=True)
class SiteTable:
    """Looks sites up in a table; a site that it does not hold is unknown."""

    sites: Mapping[str, Site]

    def __call__(self, global_id: str) -> Site | None:
        return self.sites.get(global_id)
