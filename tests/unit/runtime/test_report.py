"""Reports of worker processes: to JSON and back, between releases, and what they amount to."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.build.reports import WORKING, report
from wbd.errors import BadInput
from wbd.runtime.report import Check, GroupReport, LastStep, Report, Status, Trouble, Verdict, worst

# JSON carries times to the millisecond.
times = st.integers(0, 2**41).map(lambda ms: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
numbers = st.floats(0, 1e12, allow_nan=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
# No field of Report starts with own_.
own_fields = st.dictionaries(st.text(string.ascii_lowercase).map("own_{}".format) | st.just("own"), values, max_size=4)
troubles = st.builds(Trouble, texts, texts, st.none() | times, st.integers(0, 2**53), numbers)
single_reports = st.builds(
    Report,
    worker=texts,
    status=st.sampled_from(Status).map(str) | texts,
    ready=st.booleans(),
    pid=st.none() | st.integers(1, 2**22),
    worker_id=st.none() | texts,
    last_heartbeat=st.none() | times,
    heartbeat_age_s=st.none() | numbers,
    started_at=st.none() | times,
    uptime_seconds=numbers,
    last_step=st.none() | st.builds(LastStep, times, numbers, texts),
    trouble=st.none() | troubles,
    disabled_by=st.none() | st.text(string.ascii_lowercase, min_size=1),
    own=own_fields,
)
reports = single_reports | st.lists(single_reports, min_size=2, max_size=3).map(lambda drawn: worst(tuple(drawn)))


@given(reports)
def test_a_report_comes_back_from_json_as_it_went(sent: Report) -> None:
    assert Report.from_json(sent.to_json()) == sent
    assert Report.from_bytes(sent.to_bytes()) == sent


@given(reports, st.dictionaries(st.text(string.ascii_lowercase).map("new_{}".format), values, max_size=3))
def test_a_newer_process_is_read_and_its_unknown_fields_are_passed_on(sent: Report, new: dict[str, Any]) -> None:
    read = Report.from_json({**sent.to_json(), **new})
    assert {**read.to_json(), **sent.to_json()} == read.to_json()
    assert {name: read.own[name] for name in new} == new


def test_unknown_fields_inside_a_known_one_are_ignored() -> None:
    value = report(trouble=Trouble("away")).to_json()
    value["trouble"]["new"] = 1
    assert Report.from_json(value) == report(trouble=Trouble("away"))


@given(reports, st.data())
def test_an_older_process_is_read_and_its_missing_fields_have_their_defaults(sent: Report, data: st.DataObject) -> None:
    value = sent.to_json()
    optional = sorted(value.keys() - {"worker", "status"})
    gone = data.draw(st.sets(st.sampled_from(optional)))
    read = Report.from_json({name: item for name, item in value.items() if name not in gone})
    default = Report("", "").to_json()
    for name in value.keys() - {"processes"}:
        assert read.to_json().get(name, default.get(name)) == (default.get(name) if name in gone else value[name])


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"status": 1}, "status"),
        ({"ready": "yes"}, "ready"),
        ({"ready": None}, "ready"),
        ({"pid": True}, "pid"),
        ({"heartbeat_age_s": "0.1"}, "heartbeat_age_s"),
        ({"last_heartbeat": "yesterday"}, "last_heartbeat"),
        ({"last_heartbeat": "2026-01-15T10:30:00"}, "last_heartbeat"),
        ({"trouble": "away"}, "trouble"),
        ({"trouble": {"failures": 1}}, "trouble.message"),
        ({"last_step": {"at": "2026-01-15T10:30:00Z", "duration_s": [], "outcome": "ok"}}, "last_step.duration_s"),
        ({"processes": {}}, "processes"),
        ({"processes": [WORKING.to_json(), {"worker": "api"}]}, "processes[1].status"),
        ({"processes": [1]}, "processes[0]"),
    ],
)
def test_a_malformed_field_is_an_error_with_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(BadInput) as caught:
        Report.from_json({**WORKING.to_json(), **change})
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{"worker": "api",\n "status": running}', "line 2, column 12"),
        (b"", "line 1, column 1"),
        (b"[]", ""),
        (b'{"error": "division by zero"}', "worker"),
        (b'{"worker": "api"}', "status"),
    ],
)
def test_a_text_that_is_no_report_is_an_error_with_its_place(text: bytes, place: str) -> None:
    with pytest.raises(BadInput) as caught:
        Report.from_bytes(text)
    assert caught.value.place == place


def test_the_json_is_flat_and_has_the_names_of_the_requirement_documents() -> None:
    value = report(own={"diffs_computed": 7}).to_json()
    assert value["status"] == "running"
    assert value["last_heartbeat"] == "2026-01-15T10:30:00.000Z"
    assert value["uptime_seconds"] == 3600
    assert value["diffs_computed"] == 7
    assert "disabled_by" not in value
    assert "processes" not in value


@pytest.mark.parametrize("name", ["status", "trouble", "processes"])
def test_a_worker_cannot_overwrite_a_field_of_the_runtime(name: str) -> None:
    with pytest.raises(ValueError, match=f"fields \\['{name}'\\] are the runtime's"):
        report(own={name: "x"})


def test_a_value_of_the_worker_that_json_has_no_form_for_is_written_as_text() -> None:
    assert orjson.loads(report(own={"path": {1}}).to_bytes())["path"] == "{1}"


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({}, Check("healthy", "working")),
        ({"disabled_by": "x_enabled", "ready": False}, Check("healthy", "disabled by x_enabled")),
        ({"status": "stopped"}, Check("unhealthy", "no process of it runs on this host")),
        ({"status": "unresponsive"}, Check("unhealthy", "process 4711 lives and does not answer")),
        ({"heartbeat_age_s": 61.0}, Check("unhealthy", "no heartbeat for 61 s")),
        ({"heartbeat_age_s": 60.0}, Check("healthy", "working")),
        ({"trouble": Trouble("away")}, Check("degraded", "away")),
        ({"trouble": Trouble("away"), "ready": False}, Check("unhealthy", "away")),
        ({"status": "starting", "ready": False}, Check("unhealthy", "starting, not ready")),
    ],
)
def test_a_check_says_whether_the_worker_does_its_work(fields: dict[str, Any], check: Check) -> None:
    assert report(**fields).check() == check


def test_of_several_processes_the_worst_speaks_for_the_worker_and_carries_all() -> None:
    good, degraded, silent = report(pid=1), report(pid=2, status="degraded"), report(pid=3, status="unresponsive")
    assert worst((good,)) == good
    assert worst((good, degraded)).pid == 2
    assert worst((good, degraded, silent)).processes == (good, degraded, silent)
    unknown = report(pid=4, status="hibernating")
    assert worst((silent, unknown)).pid == 4, "a status of a newer release is nothing to be sure of"


@pytest.mark.parametrize(
    ("a", "b", "status"),
    [
        (Verdict.HEALTHY, Verdict.HEALTHY, Verdict.HEALTHY),
        (Verdict.HEALTHY, Verdict.UNHEALTHY, Verdict.DEGRADED),
        (Verdict.DEGRADED, Verdict.HEALTHY, Verdict.DEGRADED),
        (Verdict.UNHEALTHY, Verdict.HEALTHY, Verdict.UNHEALTHY),
    ],
)
def test_a_group_is_unhealthy_only_when_an_essential_worker_is(a: str, b: str, status: str) -> None:
    group = GroupReport.of({"a": Check(a, "."), "b": Check(b, ".")}, essential=frozenset({"a"}))
    assert group.to_json() == {
        "status": status,
        "checks": {"a": {"status": a, "message": "."}, "b": {"status": b, "message": "."}},
    }
