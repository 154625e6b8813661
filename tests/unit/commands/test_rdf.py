"""`wbd diff`, `wbd rdf` and `wbd canonicalize` on files: exit codes, what is shown, and how they refuse."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.build.wikibase import (
    by_property,
    item,
    redirect,
    reference,
    sitelink,
    snak,
    statement,
    terms,
    text,
    time,
    unknown_value,
)
from wbd.cli import main
from wbd.mapping.context import TRUTHY, MappingContext
from wbd.mapping.entity import map_entity
from wbd.rdf.documents import read_document

Captured = pytest.CaptureFixture[str]
Entity = dict[str, Any]
CORPUS = Path(os.environ.get("WBD_CORPUS", "/nonexistent"))


def text_snak(name: str, value: str) -> Entity:
    return snak(name, text(value), datatype="string")


def year(name: str, number: int) -> Entity:
    return snak(name, time(f"+{number}-00-00T00:00:00Z", 9), datatype="time")


def sample() -> Entity:
    """Return an item with a part of every kind."""
    full = statement(
        "Q1$a",
        text_snak("P1", "x"),
        qualifiers=by_property(text_snak("P2", "before"), year("P3", 1979)),
        references=[reference(year("P3", 2001))],
    )
    return item(
        lastrevid=7,
        modified="2024-01-01T00:00:00Z",
        labels=terms(en="old \x9b name"),
        claims=by_property(full, statement("Q1$b", unknown_value("P1"))),
        sitelinks=sitelink("enwiki", "A"),
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine where nothing is set, in a folder of its own."""
    monkeypatch.setenv("WBD_STATE_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, content: Any) -> str:
    Path(name).write_text(content if isinstance(content, str) else json.dumps(content))
    return name


def two_revisions() -> None:
    """a.json (and q.json, without what is around it), and b.json with another qualifier P3."""
    new = sample()
    new["claims"]["P1"][0]["qualifiers"]["P3"] = [year("P3", 1999)]
    write("q.json", sample())
    write("a.json", {"entities": {"Q1": sample()}})
    write("b.json", new)


def changes(view: str) -> list[str]:
    return [line for line in view.splitlines() if line[0] in "+-" and not line.startswith(("---", "+++"))]


def test_two_files_that_differ_in_one_qualifier_show_exactly_that_change(capsys: Captured) -> None:
    new = sample()
    new["claims"]["P1"][0]["qualifiers"]["P2"] = [text_snak("P2", "after")]
    write("a.json", sample())
    write("b.json", new)
    assert main(["diff", "a.json", "b.json"]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ('--- a.json\n+++ b.json\n@@ wds:Q1-a @@\n- pq:P2 "before"\n+ pq:P2 "after"\n', "")


def test_a_value_that_comes_with_its_node_is_shown_with_it(capsys: Captured) -> None:
    two_revisions()
    assert main(["diff", "a.json", "b.json"]) == 1
    out = re.sub("wdv:[0-9a-f]{32}", "wdv:V", capsys.readouterr().out)
    head, *blocks = re.split("^(?=@@)", out, flags=re.MULTILINE)
    assert head == "--- a.json\n+++ b.json\n"
    assert blocks[0].splitlines() == [
        "@@ wds:Q1-a @@",
        '- pq:P3 "1979-01-01T00:00:00Z"^^xsd:dateTime',
        '+ pq:P3 "1999-01-01T00:00:00Z"^^xsd:dateTime',
        "- pqv:P3 wdv:V",
        "+ pqv:P3 wdv:V",
    ]
    # Their order is that of their hashes.
    assert sorted(blocks[1:]) == [value_node("new here", "+", 1999), value_node("no more used here", "-", 1979)]


def value_node(note: str, sign: str, number: int) -> str:
    lines = [
        f"@@ wdv:V @@ {note}, may be shared",
        f"{sign} a wikibase:TimeValue",
        f"{sign} wikibase:timeCalendarModel wd:Q1985727",
        f'{sign} wikibase:timePrecision "9"^^xsd:integer',
        f'{sign} wikibase:timeTimezone "0"^^xsd:integer',
        f'{sign} wikibase:timeValue "{number}-01-01T00:00:00Z"^^xsd:dateTime',
    ]
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="WBD_CORPUS names no folder of real input")
def test_a_real_item_edited_in_one_qualifier_shows_exactly_that_change(capsys: Captured) -> None:
    document = json.loads((CORPUS / "wikidata/json/Q42.json").read_bytes())
    write("a.json", document)
    statement, qualifier = next(
        (statement, qualifier)
        for group in document["entities"]["Q42"]["claims"].values()
        for statement in group
        for qualifier in (statement.get("qualifiers") or {}).get("P1545", ())
    )
    was = qualifier["datavalue"]["value"]
    qualifier["datavalue"]["value"] = "edited"
    qualifier.pop("hash", None)
    write("b.json", document)
    assert main(["diff", "a.json", "b.json"]) == 1
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"@@ wds:{statement['id'].replace('$', '-')} @@",
        f'- pq:P1545 "{was}"',
        '+ pq:P1545 "edited"',
    ]


def test_same_is_0_and_shows_nothing(capsys: Captured) -> None:
    two_revisions()
    assert main(["diff", "a.json", "a.json"]) == 0
    assert main(["diff", "--quiet", "a.json", "a.json"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["diff", "-q", "a.json", "b.json"]) == 1
    assert capsys.readouterr() == ("", "")


def test_json_holds_all_that_changed_and_what_of_it_may_be_shared(capsys: Captured) -> None:
    two_revisions()
    assert main(["diff", "--json", "a.json", "b.json"]) == 1
    output = json.loads(capsys.readouterr().out)
    assert (output["old"], output["new"], output["same"]) == ("a.json", "b.json", False)
    before, after = (
        set(map_entity(json.loads(Path(name).read_text()), MappingContext())) for name in ("q.json", "b.json")
    )
    assert output["added"] == sorted(after - before) and output["removed"] == sorted(before - after)
    assert output["linked_shared"] == [line for line in output["added"] if "/value/" in line.split(" ")[0]]
    assert output["unlinked_shared"] == [line for line in output["removed"] if "/value/" in line.split(" ")[0]]
    assert main(["diff", "--json", "a.json", "a.json"]) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True


@pytest.mark.parametrize("form", ["turtle", "ntriples", "rdfxml"])
def test_json_holds_text_in_the_format_that_is_asked_for(form: str, capsys: Captured) -> None:
    two_revisions()
    assert main(["diff", "--json", "a.json", "b.json"]) == 1
    lines = json.loads(capsys.readouterr().out)
    assert main(["diff", "--json", "--format", form, "a.json", "b.json"]) == 1
    output = json.loads(capsys.readouterr().out)
    media_type = {"turtle": "text/turtle", "ntriples": "text/plain", "rdfxml": "application/rdf+xml"}[form]
    for part in ("added", "removed", "linked_shared", "unlinked_shared"):
        assert sorted(read_document(output[part].encode(), media_type).lines()) == lines[part]


@pytest.mark.parametrize("form", ["ntriples", "rdfxml"])
def test_the_view_in_a_format_has_each_of_its_lines_with_the_sign_in_front(form: str, capsys: Captured) -> None:
    two_revisions()
    assert main(["diff", "--format", form, "a.json", "b.json"]) == 1
    shown = changes(capsys.readouterr().out)
    assert main(["diff", "--json", "--format", form, "a.json", "b.json"]) == 1
    output = json.loads(capsys.readouterr().out)
    for sign, part in (("-", "removed"), ("+", "added")):
        assert [line[2:] for line in shown if line[0] == sign] == output[part].splitlines()


def test_colours_are_shown_on_demand_and_never_in_a_pipe(capsys: Captured) -> None:
    two_revisions()
    main(["diff", "--color", "always", "a.json", "b.json"])
    colored = capsys.readouterr().out
    main(["diff", "a.json", "b.json"])
    plain = capsys.readouterr().out
    assert "\x1b" not in plain and re.sub("\x1b\\[\\d+m", "", colored) == plain
    assert '\x1b[31m- pq:P3 "1979' in colored and '\x1b[32m+ pq:P3 "1999' in colored
    assert "\x1b[36m@@ wds:Q1-a @@\x1b[0m" in colored and "\x1b[1m--- a.json\x1b[0m" in colored


def test_text_of_an_entity_cannot_steer_the_terminal(capsys: Captured) -> None:
    write("a.json", sample())
    write("b.json", {**sample(), "labels": terms(en="new \u202e name")})
    assert main(["diff", "a.json", "b.json"]) == 1
    out = capsys.readouterr().out
    assert "\\u009B" in out and "\\u202E" in out
    assert "\x9b" not in out and "\u202e" not in out


def test_names_of_files_cannot_steer_the_terminal(capsys: Captured) -> None:
    two_revisions()
    odd = os.fsdecode(b"\xff\x1b[31m\n.json")
    Path(odd).write_bytes(Path("a.json").read_bytes())
    assert main(["diff", odd, "b.json"]) == 1
    assert "--- \ufffd\\u001B[31m\\u000A.json\n+++ b.json\n" in capsys.readouterr().out
    assert main(["diff", "--json", odd, "b.json"]) == 1
    assert json.loads(capsys.readouterr().out)["old"] == "\ufffd\x1b[31m\n.json"


def run_into(stdout: int, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "wbd", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_has_seen_enough_changes_no_exit_code(options: list[str]) -> None:
    two_revisions()
    reader, writer = os.pipe()
    os.close(reader)
    done = run_into(writer, "diff", *options, "a.json", "b.json")
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_finds_no_room_is_trouble() -> None:
    two_revisions()
    with Path("/dev/full").open("wb") as full:
        done = run_into(full.fileno(), "diff", "a.json", "b.json")
    assert done.returncode == 2
    assert done.stderr == b"wbd: standard output: No space left on device; the rest is not written\n"


def test_output_is_utf_8_whatever_the_locale() -> None:
    write("item.json", {**sample(), "labels": terms(en="\u017e")})
    done = run_into(subprocess.PIPE, "rdf", "item.json", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and '"\u017e"@en'.encode() in done.stdout


def test_one_side_can_be_standard_input_and_compressed(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    two_revisions()
    Path("b.json.gz").write_bytes(gzip.compress(Path("b.json").read_bytes()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("a.json").read_bytes())))
    assert main(["diff", "-", "b.json.gz"]) == 1
    assert capsys.readouterr().out.startswith("--- standard input\n+++ b.json.gz\n")
    assert main(["diff", "-", "-"]) == 2
    assert "standard input can be one side only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("item.json", "x.ttl", "item.json is entity JSON and x.ttl is turtle; both sides have to be entities, or both"),
        ("x.rdf", "item.json", "x.rdf is rdfxml and item.json is entity JSON"),
        ("item.json", "missing.json", "missing.json: not readable: No such file or directory"),
        ("broken.json", "item.json", "broken.json: line 1: column"),
        ("two.json", "item.json", "two.json: holds several entities; name one: --entity ID"),
        ("none.json", "item.json", "none.json: holds no entity"),
        ("bad.json", "item.json", "bad.json: claims.P1[0].mainsnak: is a number, expected a snak object"),
        ("item.json", "bad.json", "bad.json: claims.P1[0].mainsnak: is a number, expected a snak object"),
        ("x.ttl", "broken.ttl", "broken.ttl: line 2, column 13: oops is not a valid RDF object"),
        ("broken.ttl", "x.ttl", "broken.ttl: line 2, column 13: oops is not a valid RDF object"),
        ("open.ttl", "x.ttl", "open.ttl: line 2, column 13: Unexpected end of file; graph set aside"),
        ("x.ttl", "x.bin", "x.bin: is no text: it holds NUL bytes; not read"),
        ("x.ttl", "x.zip", "x.zip: format not read: zip"),
        ("x.ttl", ".", ".: is a folder"),
    ],
)
def test_trouble_is_2_and_says_where(old: str, new: str, said: str, capsys: Captured) -> None:
    write("item.json", sample())
    write("two.json", [sample(), {**sample(), "id": "Q2"}])
    write("none.json", [])
    write("broken.json", '{"id": "Q1", ]')
    write("bad.json", {**sample(), "claims": {"P1": [{"id": "Q1$a", "mainsnak": 5}]}})
    write("x.ttl", "<a:s> <a:p> <a:o> .\n")
    write("broken.ttl", "<a:s> <a:p> <a:o> .\n<a:s> <a:p> oops .\n")
    write("open.ttl", '<a:s> <a:p> <a:o> .\n<a:s> <a:p> "o .\n\n')
    Path("x.bin").write_bytes(bytes(range(256)))
    write("x.rdf", '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>')
    write("x.zip", "PK\x03\x04")
    assert main(["diff", old, new]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("wbd: ") and said in err


def test_graphs_too_hard_to_compare_are_named(capsys: Captured) -> None:
    # Tree after tree whose branches are all alike.
    write("hard.nt", "\n".join(f"_:n{n} <a:p> _:n{2 * n + k} ." for n in range(1, 2**13) for k in (0, 1)))
    write("x.nt", "<a:s> <a:p> <a:o> .\n")
    assert main(["diff", "hard.nt", "x.nt"]) == 2
    assert "hard.nt, x.nt: labelling of 16382 triples with blank nodes stopped after" in capsys.readouterr().err


def test_an_entity_is_picked_out_of_several(capsys: Captured) -> None:
    write("two.json", [{**sample(), "id": "Q2"}, sample()])
    write("item.json", sample())
    assert main(["diff", "--entity", "Q1", "two.json", "item.json"]) == 0
    assert main(["diff", "--entity", "Q3", "two.json", "item.json"]) == 2
    assert "two.json: holds no entity Q3" in capsys.readouterr().err


def test_an_empty_file_is_an_entity_or_graph_that_is_not_there(capsys: Captured) -> None:
    write("item.json", sample())
    write("empty", "")
    write("x.nt", "<a:s> <a:p> <a:o> .\n")
    assert main(["diff", "--json", "empty", "item.json"]) == 1
    output = json.loads(capsys.readouterr().out)
    assert output["added"] == sorted(map_entity(sample(), MappingContext())) and output["removed"] == []
    assert main(["diff", "x.nt", "empty"]) == 1
    assert changes(capsys.readouterr().out) == ["- <a:p> <a:o>"]
    assert main(["diff", "empty", "empty"]) == 0


def test_a_redirect_takes_the_place_of_its_entity(capsys: Captured) -> None:
    write("item.json", sample())
    write("redirect.json", redirect("Q1", "Q2"))
    assert main(["diff", "item.json", "redirect.json"]) == 1
    assert "+ owl:sameAs wd:Q2" in capsys.readouterr().out


def test_rdf_of_any_format_is_compared_with_its_own_prefixes(capsys: Captured) -> None:
    write("a.ttl", "@prefix e: <http://e.test/> .\ne:s e:p [ e:q 1 ] , e:o .\n")
    write("b.nt", "<http://e.test/s> <http://e.test/p> <http://e.test/o> .\n")
    assert main(["diff", "a.ttl", "b.nt"]) == 1
    out = re.sub("_:[0-9a-z]+", "_:x", capsys.readouterr().out)
    assert changes(out) == ["- e:p _:x", '- e:q "1"^^xsd:integer'] and "@@ e:s @@" in out
    assert main(["diff", "--from", "turtle", "b.nt", "b.nt"]) == 0


def test_named_graphs_are_named(capsys: Captured) -> None:
    write("a.nq", "<a:s> <a:p> <a:o> .\n")
    write("b.nq", "<a:s> <a:p> <a:o> <a:g> .\n")
    assert main(["diff", "a.nq", "b.nq"]) == 1
    assert capsys.readouterr().out.splitlines()[2:] == [
        "@@ <a:s> @@",
        "- <a:p> <a:o>",
        "@@ <a:s> in <a:g> @@",
        "+ <a:p> <a:o>",
    ]
    assert main(["rdf", "b.nq"]) == 2
    assert "named graph <a:g>" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--entity", "Q1"], ["--flavour", "full"]])
def test_options_of_entities_are_refused_for_rdf(options: list[str], capsys: Captured) -> None:
    write("x.ttl", "<a:s> <a:p> <a:o> .\n")
    assert main(["diff", *options, "x.ttl", "x.ttl"]) == 2
    assert f"{options[0]} is for entity JSON only" in capsys.readouterr().err


def read(text: str, media_type: str) -> list[str]:
    return sorted(read_document(text.encode(), media_type).lines())


def test_rdf_writes_an_entity_in_each_format(capsys: Captured) -> None:
    write("item.json", sample())
    expected = sorted(map_entity(sample(), MappingContext()))
    assert main(["rdf", "item.json"]) == 0
    assert read(capsys.readouterr().out, "text/turtle") == expected
    assert main(["rdf", "--format", "ntriples", "item.json"]) == 0
    assert read(capsys.readouterr().out, "application/n-triples") == expected
    assert main(["rdf", "--format", "rdfxml", "item.json"]) == 0
    write("x.rdf", capsys.readouterr().out)
    write("x.nt", "\n".join(expected))
    assert main(["diff", "x.nt", "x.rdf"]) == 0


def test_rdf_writes_as_much_as_the_flavour_says(capsys: Captured) -> None:
    write("item.json", sample())
    assert main(["rdf", "--flavour", "truthy", "--format", "ntriples", "item.json"]) == 0
    assert capsys.readouterr().out.splitlines() == map_entity(sample(), MappingContext(flavour=TRUTHY))
    assert main(["diff", "--flavour", "truthy", "item.json", "item.json"]) == 0


def test_rdf_uses_the_base_of_this_wiki(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKIBASE_ENTITY_BASE", "http://wiki.test/entity/")
    write("item.json", sample())
    assert main(["rdf", "item.json"]) == 0
    assert "@prefix wd: <http://wiki.test/entity/> .\n" in capsys.readouterr().out


def test_rdf_goes_on_after_an_entity_that_it_cannot_write(capsys: Captured) -> None:
    write("x.json", [item("Q3", labels=5), sample(), {**sample(), "id": "Q2"}])
    assert main(["rdf", "x.json"]) == 1
    out, err = capsys.readouterr()
    both = {line for name in ("Q1", "Q2") for line in map_entity({**sample(), "id": name}, MappingContext())}
    assert set(read(out, "text/turtle")) == both
    assert err == "wbd: x.json: labels: is a number, expected an object; entity set aside\n"
    assert main(["rdf", "--format", "rdfxml", "x.json"]) == 2
    assert "holds several entities" in capsys.readouterr().err


def test_rdf_turns_one_format_into_another(capsys: Captured) -> None:
    write("a.ttl", "@prefix e: <http://e.test/> .\ne:s e:p e:o .\n")
    assert main(["rdf", "--format", "ntriples", "a.ttl"]) == 0
    assert capsys.readouterr().out == "<http://e.test/s> <http://e.test/p> <http://e.test/o> .\n"


def test_canonicalize_numbers_blank_nodes_by_rdfc(capsys: Captured) -> None:
    write("a.ttl", "@prefix e: <http://e.test/> .\ne:s e:p [ e:q 1 ] .\n")
    assert main(["canonicalize", "a.ttl"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "<http://e.test/s> <http://e.test/p> _:c14n0 .",
        '_:c14n0 <http://e.test/q> "1"^^<http://www.w3.org/2001/XMLSchema#integer> .',
    ]
    assert main(["canonicalize", "--hash", "sha384", "a.ttl"]) == 0
    assert "_:c14n0" in capsys.readouterr().out


def test_content_labels_stay_where_others_come(capsys: Captured) -> None:
    write("a.ttl", "@prefix e: <http://e.test/> .\ne:s e:p [ e:q 5 ] .\n")
    write("b.ttl", "@prefix e: <http://e.test/> .\ne:s e:p [ e:q 5 ] , [ e:q 1 ] , [ e:q 2 ] .\n")
    shown = []
    for name in ("a.ttl", "b.ttl"):
        assert main(["canonicalize", "--content-labels", name]) == 0
        shown.append(set(capsys.readouterr().out.splitlines()))
    assert shown[0] < shown[1]


def test_canonicalize_refuses_what_is_too_hard_and_what_is_no_rdf(capsys: Captured) -> None:
    write("clique.nt", "\n".join(f"_:n{a} <a:p> _:n{b} ." for a in range(15) for b in range(15) if a != b))
    write("item.json", sample())
    write("empty", "")
    assert main(["canonicalize", "clique.nt"]) == 2
    assert "clique.nt: canonicalization of 15 blank nodes stopped after" in capsys.readouterr().err
    assert main(["canonicalize", "item.json"]) == 2
    assert "wbd rdf FILE | wbd canonicalize -" in capsys.readouterr().err
    assert main(["canonicalize", "empty"]) == 0
    assert capsys.readouterr().out == ""
