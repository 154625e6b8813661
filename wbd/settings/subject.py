"""The base class of each subject of the settings."""

from __future__ import annotations

import inspect

from pydantic import BaseModel, ConfigDict


class Subject(BaseModel):
    """
    Settings that belong together, declared in a file of their own and composed into Settings.

    The docstring of a subject is one line, "Heading: introduction.", from which docs/settings.md is written; each
    field carries its meaning as a description.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, populate_by_name=True)

    @classmethod
    def heading(cls) -> str:
        """Return the part of the docstring before the colon."""
        return (cls.__doc__ or "").partition(": ")[0]

    @classmethod
    def introduction(cls) -> str:
        """Return the part of the docstring after the colon, as a sentence."""
        text = (cls.__doc__ or "").partition(": ")[2]
        return text[:1].upper() + text[1:]

    @classmethod
    def own_fields(cls) -> list[str]:
        """Return the names that this class declares itself, in its order, without those that it inherits."""
        return [name for name in inspect.get_annotations(cls) if name in cls.model_fields]
