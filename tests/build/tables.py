"""The tables of a test's own database."""

from __future__ import annotations

from wbd.engines.mysql import Database
from wbd.provision import migrations
from wbd.provision.steps import STEPS


def make_tables(db: Database) -> None:
    """Apply every step of the schema."""
    for step in STEPS:
        migrations.apply(db, step)
