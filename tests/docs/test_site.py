"""The documentation builds strictly, and its pages need no other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

_LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(https?:[^\"]+)|<link\b[^>]*\bhref=\"(https?:[^\"]+)"
)


def other_hosts(html: str) -> list[str]:
    """Return the addresses of other hosts from which a page loads something."""
    return [script or link for script, link in _LOADED.findall(html)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    assert {page.name: hosts for page in pages if (hosts := other_hosts(page.read_text()))} == {}


def test_what_pages_load_from_the_site_is_there(site: Path) -> None:
    for page in site.glob("*.html"):
        if page.name != "404.html":
            for name in re.findall(r"<script src=\"([^\"]+)\"", page.read_text()):
                assert (page.parent / name).is_file(), f"{page.name}: {name}"


def test_files_are_included_and_not_named(site: Path) -> None:
    assert [page.name for page in site.glob("*.html") if "--8" in page.read_text()] == []
    assert "IdClient(socket)" in re.sub("<[^>]+>", "", (site / "ids.html").read_text())


def test_a_page_that_loads_from_another_host_is_noticed() -> None:
    assert other_hosts('<script src="https://cdn.example/x.js">') == ["https://cdn.example/x.js"]
    assert other_hosts('<link rel="stylesheet" href="https://fonts.example/x.css">') == ["https://fonts.example/x.css"]
    assert other_hosts('<a href="https://www.example.org/">') == []
