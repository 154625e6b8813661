"""Reserve ranges of entity ids ahead of demand and serve them to the processes of this host.

Reads:    id_ranges, id_high_water
Writes:   id_ranges, id_high_water
Repeats:  harmless; ids are given out only from ranges that are committed, and a range that is not known to be
          committed is never used
Schedule: continuous
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Sequence
from typing import Any

from wbd.engines.mysql import Database
from wbd.entity.ids import EntityType
from wbd.errors import DependencyUnavailable, SegmentUnusable, WbdError
from wbd.id_server.clients import ServerLimits
from wbd.id_server.server import IdServer
from wbd.id_server.socket_file import SocketFile
from wbd.ids.id_range import IdRange, parse_reserved
from wbd.ids.ranges import RangeTable
from wbd.ids.refill import Refiller, SizeBounds
from wbd.ids.ring import Ring
from wbd.ids.segment_file import SegmentFile
from wbd.runtime.clock import SystemClock, iso
from wbd.runtime.process import run_worker
from wbd.runtime.worker import Run
from wbd.settings.settings import Settings

# The documents' polling interval; a lane that runs low wakes the worker at once.
_POLL_S = 1.0
# How often the table is read when nothing is wanted from it, so that health knows about the database, and ids that an
# import has brought are not given out any more.
_LOOK_S = 1.0
# A worker that stands by asks for the address this often: the longest gap when the other one is killed.
_STANDBY_S = 0.25
# Of the drain time of 5 s: how long clients get to read their last replies, and how long giving ids back may take.
_CLIENTS_DRAIN_S = 1.5
_GIVE_BACK_S = 3.0


class IdGeneratorWorker:
    """One process a host serves; others with the same socket stand by and take over when it ends."""

    def __init__(
        self,
        db: Database,
        address: SocketFile,
        shared: SegmentFile,
        *,
        floors: dict[EntityType, int] | None = None,
        reserved: Sequence[IdRange] = (),
        bounds: SizeBounds | None = None,
        limits: ServerLimits | None = None,
    ) -> None:
        self._db = db
        self._clock = SystemClock()
        self._ring = Ring(shared, self._wake)
        self._table = RangeTable(db, floors=floors, reserved=reserved)
        self._refiller = Refiller(self._table, self._ring.pool, bounds or SizeBounds(), self._clock)
        self._address = address
        self._limits = limits
        self._server = IdServer(self._ring.pool, address, limits)
        self._run: Run | None = None
        self._metrics: _Metrics | None = None
        self._prepared = False
        # Held by whoever decided at the end what becomes of the ids: given back, or left in the ring.
        self._draining = threading.Lock()
        self._looked_mono_s: float | None = None
        self._database_error: str | None = None

    def start(self, run: Run) -> None:
        """Take the address and serve; while another process has it, stand by."""
        self._run = run
        self._metrics = self._metrics or _Metrics(run)
        if not self._serve(run):
            run.log.info("standing by; another process serves the ids of this host", socket=str(self._address.path))

    def step(self, run: Run) -> float:
        """Reserve at most one range for each type that runs low."""
        if not self._serve(run):
            run.ready(False)
            if self._metrics is not None:
                self._metrics.stand_by()
            return _STANDBY_S
        try:
            return self._step(run)
        except SegmentUnusable as error:
            # Its ids cannot be told from others any more, so they become a gap.
            run.log.error("the ring of ids is damaged; a new one is made", error=str(error))
            self._server.stop(_CLIENTS_DRAIN_S)
            self._ring.abandon(keep_ids=False)
            raise

    def stop(self) -> None:
        """
        Answer what has been asked, then give the ids that are left back to the table.

        While the database is away they stay in the ring, for takers and for the next process.
        """
        self._server.stop(_CLIENTS_DRAIN_S)
        if self._database_error is None and self._prepared:
            # In a thread, so that a database that takes the connection and says nothing cannot hold up the end.
            giving = threading.Thread(target=self._give_back, name="give-back", daemon=True)
            giving.start()
            giving.join(_GIVE_BACK_S)
            if giving.is_alive() and self._run is not None:
                self._run.log.warning("ids not given back in time", within_s=_GIVE_BACK_S)
        # Either the thread has begun to take the ring's ids, or it never will.
        if self._draining.acquire(blocking=False):
            self._ring.leave()
        else:
            self._ring.abandon(keep_ids=False)

    def health(self) -> dict[str, Any]:
        """Return the documents' fields: last reservation, current ranges, cache statistics; and who is served."""
        last = self._refiller.last_reservation_at
        return {
            "standing_by": not self._server.serving,
            "socket": str(self._address.path),
            "shared_memory": self._ring.describe(),
            "clients": len(self._server.clients),
            "clients_waiting": self._server.clients.waiting,
            "commands": self._server.clients.commands,
            "last_reservation_at": iso(last) if last else None,
            "database": self._database_error or "ok",
            "ids": self._refiller.report(),
        }

    def _step(self, run: Run) -> float:
        self._ring.check()
        errors = self._supply(run)
        if all(lane.left for lane in self._ring.pool.states()):
            run.ready()
        elif errors:
            # Dry for the moment that a burst leaves is no reason to say so; dry without a refill is.
            run.ready(False)
        if self._metrics is not None:
            self._metrics.update(self._refiller.report())
        if errors:
            raise errors[0]
        return 0.0 if self._refiller.is_low() else _POLL_S

    def _serve(self, run: Run) -> bool:
        """Own ring and socket if nobody else does; True while this process is the one."""
        if self._server.serving:
            try:
                self._server.check()
            except RuntimeError:
                self._leave_ring()
                raise
            lost = self._ring.is_lost()
            if self._address.is_in_place() and not lost:
                return True
            if lost and not self._ring.claim():
                # One that stands by looks at it for a moment. Were it to serve now, it would give out larger ids than
                # those that are left here.
                return True
            gone = self._ring.path if lost else str(self._address.path)
            run.log.warning("a file that takers need is gone; it is made again", file=gone)
            self._server.stop(_CLIENTS_DRAIN_S)
            if lost:
                self._ring.abandon(keep_ids=True)
        if not self._ring.acquire():
            return False
        started = False
        try:
            # Before anybody is served: whoever came first would wait beside ids that are only just put in.
            self._refiller.use(self._ring.pool, self._ring.kept())
            self._server = IdServer(self._ring.pool, self._address, self._limits)
            self._server.attachment = self._ring.attachment
            started = self._server.start()
        finally:
            if not started:
                self._leave_ring()
        if started:
            if self._metrics is not None:
                self._metrics.begin(self._refiller.report())
            run.log.info("serving", socket=str(self._address.path), **self._ring.describe())
        return started

    def _leave_ring(self) -> None:
        """Leave ring and ids to the next owner, so that stop() does not give them back under its hands."""
        self._ring.leave()
        self._refiller.use(self._ring.pool)

    def _wake(self) -> None:
        if self._run is not None:
            self._run.wake()

    def _give_back(self) -> None:
        """Return the unused ids; those that do not get through are never used, and become a gap."""
        outcome: dict[str, Any] = {}
        try:
            # Shows a database that is away before the ids are taken out of the ring.
            self._refiller.look()
            if not self._draining.acquire(blocking=False):
                return
            outcome["given_back"], outcome["gap"] = self._refiller.give_back()
        except WbdError as error:
            outcome["error"] = str(error)
        finally:
            self._db.close()
        if self._run is not None:
            self._run.log.info("unused ids", **outcome)

    def _supply(self, run: Run) -> list[WbdError]:
        """Look at the table now and then, refill what is low; return what went wrong."""
        errors: list[WbdError] = []
        try:
            if not self._prepared:
                made = self._refiller.prepare()
                self._prepared = True
                if made:
                    run.log.info("rows made", table="id_ranges", entity_types=[one.value for one in made])
            mono_s = self._clock.mono_s()
            # First: what an import has brought is not given out any more, whatever else is wrong.
            if self._looked_mono_s is None or mono_s - self._looked_mono_s >= _LOOK_S:
                # None until it ends well, so that the next step looks again.
                self._looked_mono_s = None
                dropped, errors = self._refiller.look()
                if dropped:
                    run.log.warning("reserved ids dropped, because some of them are in use", ids=dropped)
                self._looked_mono_s = mono_s
            added, problems = self._refiller.refill()
            for ids in added:
                self._server.refilled(ids.entity_type)
                run.log.debug("reserved", ids=str(ids))
            errors += [one for one in problems if str(one) not in map(str, errors)]
        except SegmentUnusable:
            raise
        except WbdError as error:
            errors.append(error)
        away = [str(error) for error in errors if isinstance(error, DependencyUnavailable)]
        if away:
            self._looked_mono_s = None
        self._database_error = away[0] if away else None
        return errors


class _Metrics:
    """What the reports say, as Prometheus metrics; brought up to date at each step."""

    def __init__(self, run: Run) -> None:
        label = ("entity_type",)
        self._counters = {
            "taken": run.metrics.counter("wbd_ids_taken_total", "Ids given out.", label),
            "refills": run.metrics.counter("wbd_ids_refills_total", "Ranges reserved.", label),
            "contention": run.metrics.counter("wbd_ids_contention_total", "Lost races for a range.", label),
            "take_contention": run.metrics.counter("wbd_ids_take_contention_total", "Lost races for an id.", label),
        }
        self._left = run.metrics.gauge("wbd_ids_left", "Ids reserved here and not given out.", label)
        self._supply = run.metrics.gauge(
            "wbd_ids_supply_seconds", "How long the ids left last at the present rate; +Inf when none are taken.", label
        )
        self._seen: dict[tuple[str, str], int] = {}

    def stand_by(self) -> None:
        """Leave the gauges to the process that serves."""
        self._left.clear()
        self._supply.clear()

    def begin(self, report: dict[str, dict[str, Any]]) -> None:
        """Leave out what a ring that was taken over has counted already."""
        self._seen = {(entity_type, name): now[name] for entity_type, now in report.items() for name in self._counters}

    def update(self, report: dict[str, dict[str, Any]]) -> None:
        """Add what has come since the last report."""
        for entity_type, now in report.items():
            self._left.labels(entity_type).set(now["left"])
            self._supply.labels(entity_type).set(math.inf if now["supply_s"] is None else now["supply_s"])
            for name, counter in self._counters.items():
                # Counts of a ring in use by others are read one after the other, so one may be behind for a moment.
                counter.labels(entity_type).inc(max(0, now[name] - self._seen.get((entity_type, name), 0)))
                self._seen[entity_type, name] = max(now[name], self._seen.get((entity_type, name), 0))


def build(settings: Settings) -> IdGeneratorWorker:
    """Wire the worker as the settings say."""
    address = settings.database_address()
    floors = {
        EntityType.ITEM: settings.id_floor_item,
        EntityType.PROPERTY: settings.id_floor_property,
        EntityType.LEXEME: settings.id_floor_lexeme,
        EntityType.ENTITYSCHEMA: settings.id_floor_entityschema,
    }
    reserved = [
        *parse_reserved(EntityType.ITEM, settings.id_reserved_item),
        *parse_reserved(EntityType.PROPERTY, settings.id_reserved_property),
        *parse_reserved(EntityType.LEXEME, settings.id_reserved_lexeme),
        *parse_reserved(EntityType.ENTITYSCHEMA, settings.id_reserved_entityschema),
    ]
    return IdGeneratorWorker(
        # Short timeouts: nobody waits for an answer but the supply, which a hung server must not hold up.
        Database(address, max_connections=2, connect_timeout_s=2, read_timeout_s=3),
        SocketFile(settings.ids_socket_path, mode=settings.ids_socket_mode, group=settings.ids_socket_group),
        SegmentFile(
            settings.ids_segment_path,
            mode=settings.ids_socket_mode,
            group=settings.ids_socket_group,
            database=f"{address.unix_socket or f'{address.host}:{address.port}'}/{address.database}",
        ),
        floors=floors,
        reserved=reserved,
        bounds=SizeBounds(settings.id_range_size_min, settings.id_range_size_max),
        limits=ServerLimits(
            clients_max=settings.ids_max_clients,
            count_max=settings.ids_max_count,
            wait_s=settings.ids_wait_s,
            idle_s=settings.ids_idle_s,
        ),
    )


if __name__ == "__main__":
    sys.exit(run_worker("id_generation", build))
