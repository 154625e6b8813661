"""Terms, dates, hashes and values: what one data value becomes."""

from __future__ import annotations

import pyoxigraph
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.build.wikibase import item, sitelink
from wbd.entity.ids import normalize_mention, value_id
from wbd.entity.values import decimal, normalize_timestamp
from wbd.mapping import hashes
from wbd.mapping.entity import MappingContext, map_entity
from wbd.mapping.sites import SiteTable, canonical_language, wikidata_site
from wbd.mapping.times import xsd_datetime
from wbd.mapping.units import convert
from wbd.mapping.values import FullValue, ValueBuilders
from wbd.mapping.vocabulary import GREGORIAN, JULIAN, Site, Vocabulary
from wbd.rdf.terms import iri, language_suffix, literal, wiki_quote

BUILDERS = ValueBuilders(Vocabulary.wikidata(), {}, None)


@given(st.text())
def test_a_literal_is_written_as_pyoxigraph_writes_it(text: str) -> None:
    assert literal(text) == str(pyoxigraph.Literal(text))


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert literal("a\ud800b") == '"a\ufffdb"'
    assert iri("http://a.test/\ud800") == "<http://a.test/%3F>"


@given(st.text())
def test_an_iri_never_holds_what_ends_or_breaks_it(text: str) -> None:
    inside = iri(f"http://a.test/{text}")[1:-1]
    assert not set(inside) & set('<>"{}|^`\\ \n\r\t\0')


@pytest.mark.parametrize(
    ("language", "suffix"),
    [("en", "@en"), ("zh-classical", "@zh-classical"), ("be-x-old", "@be-x-old"), ("", ""), ("e", ""), ("en_us", "")],
)
def test_a_language_that_no_tag_can_hold_is_dropped(language: str, suffix: str) -> None:
    assert language_suffix(language) == suffix


def test_titles_are_quoted_as_mediawiki_quotes_them() -> None:
    assert wiki_quote("Ab_c/D:(e)~'&+?ž") == "Ab_c/D:(e)~%27%26%2B%3F%C5%BE"


@pytest.mark.parametrize(
    ("stamp", "precision", "calendar", "expected"),
    [
        ("+2013-01-02T00:00:00Z", 11, GREGORIAN, "2013-01-02T00:00:00Z"),
        ("+2013-00-00T00:00:00Z", 9, GREGORIAN, "2013-01-01T00:00:00Z"),
        ("+2013-07-00T00:00:00Z", 10, GREGORIAN, "2013-07-01T00:00:00Z"),
        ("+2013-07-31T00:00:00Z", 9, GREGORIAN, "2013-01-01T00:00:00Z"),
        ("+2013-02-31T00:00:00Z", 11, GREGORIAN, "2013-02-28T00:00:00Z"),
        ("+2012-02-30T00:00:00Z", 11, GREGORIAN, "2012-02-29T00:00:00Z"),
        ("+1900-02-29T00:00:00Z", 11, GREGORIAN, "1900-02-28T00:00:00Z"),
        ("-0200-00-00T00:00:00Z", 9, GREGORIAN, "-0199-01-01T00:00:00Z"),
        ("-0001-00-00T00:00:00Z", 9, GREGORIAN, "0000-01-01T00:00:00Z"),
        ("-0005-02-29T00:00:00Z", 11, GREGORIAN, "-0004-02-29T00:00:00Z"),
        ("-0004-02-29T00:00:00Z", 11, GREGORIAN, "-0003-02-28T00:00:00Z"),
        # Coarser than a year, the year is not moved.
        ("-0200-00-00T00:00:00Z", 7, GREGORIAN, "-0200-01-01T00:00:00Z"),
        ("-13798000000-00-00T00:00:00Z", 3, GREGORIAN, "-13798000000-01-01T00:00:00Z"),
        # The eleven days, and what is older than the Julian calendar.
        ("+1752-09-02T00:00:00Z", 11, JULIAN, "1752-09-13T00:00:00Z"),
        ("+1900-02-29T00:00:00Z", 11, JULIAN, "1900-03-13T00:00:00Z"),
        ("-0044-03-15T00:00:00Z", 11, JULIAN, "-0043-03-13T00:00:00Z"),
        ("-0001-01-01T00:00:00Z", 11, JULIAN, "-0001-12-30T00:00:00Z"),
        ("+0001-01-01T00:00:00Z", 11, JULIAN, "0000-12-30T00:00:00Z"),
        # Without the day there is nothing to convert.
        ("+1752-09-00T00:00:00Z", 10, JULIAN, "1752-09-01T00:00:00Z"),
        # Out of the range that Wikibase converts: taken for Gregorian.
        ("-5000-03-15T00:00:00Z", 11, JULIAN, "-4999-03-15T00:00:00Z"),
        # No such lexical form.
        ("+0000-01-01T00:00:00Z", 11, GREGORIAN, None),
        ("+2013-01-02T00:00:00Z", 11, "http://a.test/calendar", None),
        ("+2013-00-00T00:00:00Z", 9, "http://a.test/calendar", "2013-01-01T00:00:00Z"),
    ],
)
def test_dates_are_converted_as_wikibase_converts_them(
    stamp: str, precision: int, calendar: str, expected: str | None
) -> None:
    assert xsd_datetime(stamp, precision, calendar) == expected


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("+00000002013-00-00T00:00:00Z", "+2013-00-00T00:00:00Z"),
        ("+13-01-01T00:00:00Z", "+0013-01-01T00:00:00Z"),
        ("-0000000000000044-03-15T00:00:00Z", "-0044-03-15T00:00:00Z"),
        ("+2013-13-01T00:00:00Z", None),
        ("+2013-01-32T00:00:00Z", None),
        ("+2013-00-05T00:00:00Z", None),
        ("+2013-01-00T01:00:00Z", None),
        ("2013-01-01T00:00:00Z", None),
        ("+2013-01-01", None),
        ("+٢٠١٣-01-01T00:00:00Z", None),
    ],
)
def test_timestamps_of_old_revisions_are_normalized_and_impossible_ones_refused(
    stamp: str, expected: str | None
) -> None:
    assert normalize_timestamp(stamp) == expected


@given(
    st.integers(-4712, 4000),
    st.integers(1, 12),
    st.integers(1, 28),
    st.integers(9, 14),
    st.sampled_from([GREGORIAN, JULIAN]),
)
def test_every_date_in_range_is_a_valid_xsd_datetime(
    year: int, month: int, day: int, precision: int, calendar: str
) -> None:
    year = year or 1
    stamp = f"{'-' if year < 0 else '+'}{abs(year):04d}-{month:02d}-{day:02d}T00:00:00Z"
    text = xsd_datetime(stamp, precision, calendar)
    assert text is not None
    kind = pyoxigraph.NamedNode("http://www.w3.org/2001/XMLSchema#dateTime")
    # Oxigraph only normalizes lexical forms that it understands.
    store = pyoxigraph.Store()
    query = f'ASK {{ FILTER(datatype(xsd:dateTime("{text}")) = {kind}) }}'
    assert bool(store.query(query, prefixes={"xsd": "http://www.w3.org/2001/XMLSchema#"}))


def test_floats_are_written_as_php_writes_them() -> None:
    written = [hashes.php_float(n) for n in (12, 0.0625, 51.56652777777778, 2.777777777777778e-05, 1e-05, -0.0001, 0)]
    assert written == ["12", "0.0625", "51.566527777778", "2.7777777777778E-5", "1.0E-5", "-0.0001", "0"]


def test_amounts_have_a_sign_and_no_negative_zero() -> None:
    assert [decimal(text) for text in ("1", "+1.50", " -0.00 ", "-2", 3)] == ["+1", "+1.50", "+0.00", "-2", "+3"]
    assert [decimal(text) for text in ("", "1,5", "01", "1.", "1e3", "+" + "9" * 127)] == [None] * 6


def test_units_are_converted_exactly_and_rounded_to_what_is_certain() -> None:
    assert convert("+694", None, None, "1000") == ("+694000", None, None)
    assert convert("+10", None, None, "0.3048") == ("+3.0480", None, None)
    # Bounds equal to the amount: exact.
    assert convert("-4", "-4", "-4", "0.01") == ("-0.04", "-0.04", "-0.04")
    # Half a unit to either side: the tenth is the last certain digit.
    assert convert("+10", "+10.5", "+9.5", "0.3048") == ("+3.0", "+3.2", "+2.9")
    # Wikibase has no negative zero.
    assert convert("-1", "+99", "-101", "0.0254") == ("+0", "+3", "-3")


def test_bounds_the_wrong_way_round_give_no_value() -> None:
    bounded = {"amount": "+5", "unit": "1", "upperBound": "+10", "lowerBound": "-10"}
    assert isinstance(BUILDERS.quantity(bounded), FullValue)
    assert BUILDERS.quantity({**bounded, "upperBound": "+4"}) is None
    assert BUILDERS.quantity({**bounded, "lowerBound": "+6"}) is None
    assert BUILDERS.quantity({**bounded, "lowerBound": None}) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.decimals(-5, 5, places=2))
def test_bounds_are_compared_as_numbers(amount: object, distance: object) -> None:
    from decimal import Decimal

    middle, step = Decimal(str(amount)), Decimal(str(distance))
    if abs(middle) > 10**20:
        return
    value = {"amount": f"{middle:+f}", "unit": "1", "upperBound": f"{middle + step:+f}", "lowerBound": f"{middle:+f}"}
    assert (BUILDERS.quantity(value) is not None) == (step >= 0)


def test_a_globe_other_than_the_earth_is_named_in_the_point() -> None:
    moon = {"latitude": 1, "longitude": 2.5, "precision": None, "globe": "http://www.wikidata.org/entity/Q405"}
    value = BUILDERS.coordinate(moon)
    assert isinstance(value, FullValue)
    assert value.simple.startswith('"<http://www.wikidata.org/entity/Q405> Point(2.5 1)"^^')
    assert any("GeoAutoPrecision" in line for line in value.lines)
    assert any('"0.00027777777777778"' in line for line in value.lines)
    with pytest.raises(ValueError):
        BUILDERS.coordinate({**moon, "latitude": 361})


def test_entity_ids_come_from_type_and_number_where_old_json_has_no_id() -> None:
    assert value_id({"entity-type": "item", "numeric-id": 42}) == "Q42"
    assert value_id({"entity-type": "property", "numeric-id": 7}) == "P7"
    assert normalize_mention("l42-f1") == "L42-F1"
    for bad in ("", "Q", "Q0", "Q1 ", "42", "Q1> <x"):
        with pytest.raises(ValueError):
            normalize_mention(bad)


def test_snak_and_reference_hashes_follow_from_content() -> None:
    one = hashes.snak_hash("somevalue", "P1")
    other = hashes.snak_hash("novalue", "P1")
    assert one != other and len(one) == 40
    assert hashes.reference_hash({one, other}) == hashes.reference_hash({other, one})


@pytest.mark.parametrize(
    ("site", "language", "path", "group", "tag"),
    [
        ("enwiki", "en", "https://en.wikipedia.org/wiki/$1", "wikipedia", "en"),
        ("simplewiki", "simple", "https://simple.wikipedia.org/wiki/$1", "wikipedia", "en-simple"),
        ("be_x_oldwiki", "be-x-old", "https://be-tarask.wikipedia.org/wiki/$1", "wikipedia", "be-tarask"),
        ("zh_min_nanwiki", "zh-min-nan", "https://zh-min-nan.wikipedia.org/wiki/$1", "wikipedia", "nan"),
        ("nds_nlwiki", "nds-nl", "https://nds-nl.wikipedia.org/wiki/$1", "wikipedia", "nds-NL"),
        ("nowikiquote", "no", "https://no.wikiquote.org/wiki/$1", "wikiquote", "nb"),
        ("dewikisource", "de", "https://de.wikisource.org/wiki/$1", "wikisource", "de"),
        ("commonswiki", "en", "https://commons.wikimedia.org/wiki/$1", "commons", "en"),
        ("specieswiki", "en", "https://species.wikimedia.org/wiki/$1", "species", "en"),
        ("sourceswiki", "en", "https://wikisource.org/wiki/$1", "sources", "en"),
        ("map_bmswiki", "map-bms", "https://map-bms.wikipedia.org/wiki/$1", "wikipedia", "jv-x-bms"),
        ("crhwiki", "crh", "https://crh.wikipedia.org/wiki/$1", "wikipedia", "crh-Latn"),
    ],
)
def test_wikidatas_sites_follow_from_their_ids(site: str, language: str, path: str, group: str, tag: str) -> None:
    assert wikidata_site(site) == Site(language, path, group)
    assert canonical_language(language) == tag


def test_an_unknown_site_is_none() -> None:
    assert wikidata_site("example") is None and wikidata_site("wiki") is None


@pytest.mark.parametrize(
    ("path", "wiki"),
    [
        ("https://En.Wiki.test:8080/$1", "https://En.Wiki.test/"),
        ("http://user@wiki.test/x?t=$1", "http://wiki.test/"),
        ("//wiki.test/$1", "http://wiki.test/"),
    ],
)
def test_a_page_belongs_to_the_host_of_its_path_without_port_and_user(path: str, wiki: str) -> None:
    context = MappingContext(sites=SiteTable({"x": Site("en", path)}))
    lines = map_entity(item(sitelinks=sitelink("x", "A b")), context)
    assert f'<{wiki}> <http://wikiba.se/ontology#wikiGroup> "none" .' in lines
