"""Turn rows of the outbox into entity change events on Kafka.

Reads:    event_outbox, in id order
Writes:   the topics named in the rows; deletes each row once the broker has its event
Repeats:  a crash between the two publishes a row again; its event_id is the same
Schedule: polls; at once while there are rows, every second when there are none

One process on all hosts publishes at a time, by a lease, so that the events of one entity keep their order.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from wbd.engines.kafka import Event, EventProducer
from wbd.engines.mysql import Database, Transaction
from wbd.errors import BrokerUnavailable
from wbd.runtime.clock import iso
from wbd.runtime.leases import SlotLeases
from wbd.runtime.process import run_worker
from wbd.runtime.worker import Run
from wbd.settings.settings import Settings
from wbd.wiki import Wiki

_BATCH = 1000
_IDLE_S = 1.0
_LEASE_S = 30.0


class EntityChangeWorker:
    """Publishes the events that writers committed to the outbox."""

    def __init__(self, db: Database, producer: EventProducer) -> None:
        self._db = db
        self._producer = producer
        self._leases: SlotLeases | None = None
        self._published = 0
        self._set_aside = 0
        self._last_published_at: datetime | None = None
        self._waiting = 0

    def start(self, run: Run) -> None:
        """Check both servers, then compete for the lease."""
        self._db.query("SELECT 1 FROM event_outbox LIMIT 1")
        self._producer.ping()
        self._leases = SlotLeases(self._db, run.name, run.lease_owner, slots=1, lease_s=_LEASE_S, clock=run.clock)
        self._gauge = run.metrics.gauge("worker_queue_length", "Events that wait in the outbox, up to 1,000.")
        self._counter = run.metrics.counter("wbd_entity_change_published_total", "Entity change events published.")
        run.ready()

    def step(self, run: Run) -> float:
        """Publish one batch of rows; return 0 while there may be more."""
        assert self._leases is not None
        if not self._leases.renew():
            return _IDLE_S
        rows = self._db.query("SELECT id, topic, event_key, payload FROM event_outbox ORDER BY id LIMIT %s", (_BATCH,))
        self._gauge.set(len(rows))
        self._waiting = len(rows)
        if not rows:
            return _IDLE_S
        self._leases.confirm()
        events = [Event(topic, key, bytes(payload)) for _, topic, key, payload in rows]
        outcome = self._producer.publish(events)
        done: list[int] = []
        failed: BrokerUnavailable | None = None
        for (row_id, topic, key, _), error in zip(rows, outcome, strict=True):
            if error is None:
                done.append(row_id)
            elif isinstance(error, BrokerUnavailable):
                failed = failed or error
            else:
                # No change event comes near the limit of a topic, so this row is not one; it must not block the others.
                run.log.error(str(error), row_id=row_id, topic=topic, key=key, action="dropped")
                self._set_aside += 1
                done.append(row_id)
        if done:
            self._db.transaction(lambda tx: self._delete(tx, done))
            self._published += len(done)
            self._counter.inc(len(done))
            self._last_published_at = run.clock.now()
            run.log.debug("published", events=len(done))
        if failed is not None:
            raise failed
        return 0.0 if len(rows) == _BATCH else _IDLE_S

    def _delete(self, tx: Transaction, row_ids: list[int]) -> None:
        """Delete rows of the outbox. Raises LeaseLost when another process publishes now; it publishes them again."""
        assert self._leases is not None
        self._leases.fence(tx)
        marks = ",".join(["%s"] * len(row_ids))
        tx.execute(f"DELETE FROM event_outbox WHERE id IN ({marks})", row_ids)

    def stop(self) -> None:
        """Give the lease back."""
        if self._leases is not None and self._leases.held:
            self._leases.release()
        self._db.close()

    def health(self) -> dict[str, Any]:
        """Return counts of events, and whether this process holds the lease."""
        return {
            "publishes": bool(self._leases and self._leases.held),
            "events_published": self._published,
            "events_dropped": self._set_aside,
            "outbox_waiting": self._waiting,
            "last_published_at": self._last_published_at and iso(self._last_published_at),
        }


def build(settings: Settings) -> EntityChangeWorker:
    """Wire the worker to the servers of the settings."""
    wiki = Wiki(settings, connections=2)
    return EntityChangeWorker(wiki.database, wiki.producer("entity-change"))


if __name__ == "__main__":
    sys.exit(run_worker("entity_change", build))
