"""Settings are composed of subjects: one class, one file and one heading each."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from pydantic import Field

from wbd.settings.settings import Settings, subjects
from wbd.settings.subject import Subject


@pytest.mark.parametrize("subject", subjects(), ids=lambda subject: subject.__name__)
def test_a_subject_has_one_line_with_a_heading_and_an_introduction_and_its_fields_have_a_meaning(
    subject: type[Subject],
) -> None:
    assert subject.__doc__ is not None and "\n" not in subject.__doc__
    assert 0 < len(subject.heading()) <= 30
    assert subject.introduction().endswith(".")
    for name in subject.own_fields():
        assert subject.model_fields[name].description, name


def test_each_setting_is_declared_in_one_subject_and_the_order_is_that_of_the_subjects() -> None:
    declared = [name for subject in subjects() for name in subject.own_fields()]
    assert declared == list(Settings.model_fields)
    assert len(set(declared)) == len(declared)


def test_each_subject_has_a_file_of_its_own() -> None:
    files = [Path(inspect.getfile(subject)) for subject in subjects()]
    assert len(set(files)) == len(files)
    assert {file.parent.name for file in files} == {"settings"}


def test_a_heading_and_an_introduction_are_the_two_parts_of_the_docstring() -> None:
    class Parent(Subject):
        """Parent: a base."""

        inherited: int = 1

    class Toy(Parent):
        """Toys: how many there are."""

        toy_count: int = Field(1, description="toys")

    assert (Toy.heading(), Toy.introduction()) == ("Toys", "How many there are.")
    assert Toy.own_fields() == ["toy_count"]
