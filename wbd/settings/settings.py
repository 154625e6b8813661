"""Every setting of wbd, composed from one class per subject.

Names and defaults are those of the requirement documents where they name them. A new subject is a new file beside this
one and its class among the bases of Settings.
"""

from __future__ import annotations

from wbd.settings.api import Api
from wbd.settings.database import Database
from wbd.settings.health import Health
from wbd.settings.ids import Ids
from wbd.settings.importing import Import
from wbd.settings.jobs import Jobs
from wbd.settings.kafka import Kafka
from wbd.settings.objects import Objects
from wbd.settings.process import Process
from wbd.settings.statistics import Statistics
from wbd.settings.stream import EntityDiff
from wbd.settings.subject import Subject
from wbd.settings.watchlist import Watchlist
from wbd.settings.wikibase import Wikibase


# From the last subject to the first: pydantic lists the fields of the last base first.
class Settings(
    Health,
    Api,
    Jobs,
    Watchlist,
    Statistics,
    Import,
    EntityDiff,
    Ids,
    Wikibase,
    Kafka,
    Objects,
    Database,
    Process,
):
    """The settings in force. Build it with load(); attributes are typed and validated."""


def subjects() -> list[type[Subject]]:
    """Return the subjects in the order of their settings, which is that of docs/settings.md and ``wbd config``."""
    return [
        base
        for base in reversed(Settings.__mro__)
        if issubclass(base, Subject) and base is not Subject and base is not Settings
    ]
