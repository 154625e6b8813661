"""Hooks of mkdocs.yml: pages load the worker shim of the search from the site itself, not from another host."""

from __future__ import annotations

from typing import Any

SHIM, LOCAL = "https://unpkg.com/iframe-worker/shim", "vendor/iframe-worker.js"


def on_post_page(output: str, *, page: Any, config: Any) -> str:
    """Replace the address in a page; all pages are in the folder of the site."""
    return output.replace(SHIM, LOCAL)


def on_post_template(output_content: str, *, template_name: str, config: Any) -> str:
    """Replace the address in a page that is no document, such as 404.html."""
    return output_content.replace(SHIM, LOCAL)
