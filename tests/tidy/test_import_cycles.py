"""No import cycles: every import counts, also those of functions and those for type checkers only."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imports(name: str, text: str) -> Iterator[str]:
    """Every name that *text*, the source of module *name*, imports: modules, and what it takes from them."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*name.split(".")[: -node.level], *([node.module] if node.module else [])])
            yield base
            for alias in node.names:
                yield f"{base}.{alias.name}"


def cycle(sources: Mapping[str, str]) -> list[str]:
    """Return the modules of one cycle, from a module back to itself; [] if there is none."""
    graph = {
        name: sorted({one for one in imports(name, text) if one in sources and one != name})
        for name, text in sources.items()
    }
    done: set[str] = set()

    def search(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for other in graph[name]:
                if loop := search(other, [*path, name]):
                    return loop
            done.add(name)
        return []

    return next((loop for name in graph if (loop := search(name, []))), [])


def test_no_module_imports_itself_by_way_of_others() -> None:
    files = [path for path in (ROOT / "wbd").rglob("*.py") if path.stem != "__init__"]
    sources = {".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text() for path in files}
    assert "wbd.id_server.connection" in sources
    assert cycle(sources) == []


@pytest.mark.parametrize(
    "back",
    [
        "from wbd.x import server",
        "from wbd.x.server import Server",
        "import wbd.x.server",
        "from . import server",
        "from .server import Server",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from wbd.x.server import Server",
        "def serve():\n    from wbd.x.server import Server",
    ],
)
def test_a_planted_cycle_is_found(back: str) -> None:
    sources = {
        "wbd.x.server": "from wbd.x import connection\nfrom wbd.x.limits import Limits",
        "wbd.x.connection": f"from wbd.x.limits import Limits\n{back}",
        "wbd.x.limits": "import wbd.y",
    }
    assert cycle(sources) == ["wbd.x.server", "wbd.x.connection", "wbd.x.server"]
    assert cycle({**sources, "wbd.x.connection": "from wbd.x.limits import Limits"}) == []
