"""The text of docs/commands.md, from the parsers of the command line. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from wbd.cli import _parser

HEAD = """# Commands

Every command and option of `wbd`, written from its parsers by `make generate`. `wbd COMMAND --help` prints the same.

A setting can be given to any command as an environment variable; see [Settings](settings.md). A setting that is unknown
or not allowed ends the command with exit code 78.
"""


def commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield name, one-line help and parser of each command below *parser*, actions of a command after it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for word, sub in action.choices.items():
                yield f"{name} {word}", helps.get(word, ""), sub
                yield from commands(sub, f"{name} {word}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            continue
        shown = action.metavar or (None if action.option_strings else action.dest)
        if shown is None and action.nargs != 0:
            shown = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
        names = [f"`{name} {shown}`" if shown else f"`{name}`" for name in action.option_strings] or [f"`{shown}`"]
        yield f"| {', '.join(names)} | {_cell(action.help or '')} |"


def command_page() -> str:
    """Return the page."""
    lines = [HEAD]
    for name, help_text, parser in commands(_parser(), "wbd"):
        depth = "##" if name.count(" ") == 1 else "###"
        lines += [f"{depth} {name}", "", _cell(parser.description or f"{help_text[:1].upper()}{help_text[1:]}."), ""]
        if rows := list(_rows(parser)):
            lines += ["| argument | meaning |", "| --- | --- |", *rows, ""]
        if parser.epilog:
            lines += ["```text", parser.epilog.strip(), "```", ""]
    return "\n".join(lines)
