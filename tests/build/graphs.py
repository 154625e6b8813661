"""Generated RDF graphs as canonical N-Triples lines, with awkward terms and blank nodes."""

from __future__ import annotations

from hypothesis import strategies as st

from wbd.rdf.terms import iri, literal

iris = st.sampled_from(
    [
        "<http://www.wikidata.org/entity/Q1>",
        "<http://www.wikidata.org/prop/direct/P31>",
        "<http://www.wikidata.org/entity/statement/Q1-a.b>",
        "<http://a.test/>",
        "<http://a.test/ž?x=[1]#y%20z>",
        "<http://schema.org/a-b_c->",
        "<http://www.wikidata.org/entity/statement/>",
        "<urn:x:y>",
    ]
) | st.text(max_size=5).map(lambda text: iri(f"http://b.test/{text}"))
predicates = st.sampled_from(
    [
        "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>",
        "<http://www.wikidata.org/prop/P1>",
        "<http://schema.org/name>",
        "<http://a.test/p>",
    ]
)
_tags = st.sampled_from(["", "@en", "@zh-classical", "@de-x-formal"])
_datatypes = st.sampled_from(
    ["^^<http://www.w3.org/2001/XMLSchema#dateTime>", "^^<http://a.test/t/1>", "^^<http://www.w3.org/2001/XMLSchema#x>"]
)
_texts = st.text(max_size=5) | st.sampled_from(
    ["a\\b", '"', "\n\r\t\b\f", "\x00\x1f\x7f", "<a>", "^^<b>", "> _:c", " .", "\ufffe"]
)
literals = st.builds(lambda text, tail: f"{literal(text)}{tail}", _texts, _tags | _datatypes)
blanks = st.sampled_from(["_:a", "_:b", "_:c", "_:d0", "_:16696d7ad1e9ae4903df6b9ddab8a877"])

ground = st.builds(lambda s, p, o: f"{s} {p} {o} .", iris, predicates, iris | literals)
lines = st.builds(lambda s, p, o: f"{s} {p} {o} .", iris | blanks, predicates, iris | literals | blanks)
graphs = st.lists(lines, unique=True, max_size=12)

# Where blank nodes name graphs, RDFC-1.0 has several answers for some datasets; without, it can be compared.
named_graphs = st.lists(
    st.builds(lambda line, graph: f"{line[:-2]}{graph} .", lines, st.sampled_from(["", " <http://a.test/g>"])),
    unique=True,
    max_size=12,
)
graph_names = st.sampled_from(["", "", " <http://a.test/g>", " _:a", " _:g"])
quads = st.builds(lambda line, graph: f"{line[:-2]}{graph} .", lines, graph_names)
datasets = st.lists(quads, unique=True, max_size=10)
