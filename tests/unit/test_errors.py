"""The exception tree: its drawing is true, and a message and its place are kept apart."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest

from wbd import errors
from wbd.errors import BadEntity, BadInput, DatabaseError, GraphTooHard, WbdError

_ROW = re.compile(r"(?P<indent>[│├└─ ]*)(?P<name>\w+)")


def drawn(text: str) -> dict[str, str]:
    """Return the parent of every class that a drawing of the tree shows; the root has none ("")."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in text[text.index("WbdError\n") :].split("\n\n")[0].splitlines():
        row = _ROW.match(line)
        assert row is not None, line
        depth = len(row["indent"]) // 4
        del path[depth:]
        parents[row["name"]] = path[-1] if path else ""
        path.append(row["name"])
    return parents


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    classes = [member for _, member in inspect.getmembers(errors, inspect.isclass) if issubclass(member, WbdError)]
    assert drawn(errors.__doc__ or "") == {
        member.__name__: "" if member is WbdError else member.__bases__[0].__name__ for member in classes
    }


def test_a_drawing_gives_each_class_its_parent() -> None:
    assert drawn("Tree:\n\nWbdError\n├── A    one\n│   ├── B\n│   └── C  two\n└── D\n\nE") == {
        "WbdError": "",
        "A": "WbdError",
        "B": "A",
        "C": "A",
        "D": "WbdError",
    }


@pytest.mark.parametrize(
    ("places", "joined"),
    [
        (("mainsnak", "claims.P31[0]"), "claims.P31[0].mainsnak"),
        (("[0].rank", "claims.P31"), "claims.P31[0].rank"),
        (("id", "[2]", "forms"), "forms[2].id"),
        (("", "claims"), "claims"),
        (("claims", ""), "claims"),
        (("", ""), ""),
    ],
)
def test_an_outer_json_path_is_put_in_front(places: tuple[str, ...], joined: str) -> None:
    error = BadEntity("is null", places[0])
    for place in places[1:]:
        error = error.at(place)
    assert (error.message, error.place) == ("is null", joined)
    assert str(error) == (f"{joined}: is null" if joined else "is null")


def test_a_file_is_put_in_front_of_a_position() -> None:
    error = BadInput("broken", "line 2, column 7").at("a.nt", ": ")
    assert (error.place, str(error)) == ("a.nt: line 2, column 7", "a.nt: line 2, column 7: broken")


def test_at_changes_a_copy_of_the_same_class() -> None:
    error = DatabaseError("refused", errno=1062)
    moved = error.at("row 3")
    assert (type(moved), moved.errno, moved.place, str(moved)) == (DatabaseError, 1062, "row 3", "row 3: refused")
    assert (error.place, str(error)) == ("", "refused")


@pytest.mark.parametrize("error", [BadEntity("is null", "claims"), GraphTooHard("too hard"), DatabaseError("x", 7)])
def test_an_error_keeps_all_that_it_says_on_its_way_to_another_process(error: WbdError) -> None:
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 made here
    assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))


_CUT = re.compile(
    r"(?:str\(\w*(?:error|rejection|reason)\w*\)|\.args\[0\])\.(?:\w*(?:split|partition|prefix|find|index))\("
)


def test_no_code_cuts_an_error_text_to_find_its_place() -> None:
    assert _CUT.search('message = str(error).removeprefix(f"{error.place}: ")')
    files = Path(errors.__file__).parent.rglob("*.py")
    assert [str(path) for path in files if _CUT.search(path.read_text())] == []
