"""The ids of one host: the ring in shared memory, the server on the socket, and their supply from the database.

Reads:   id_ranges, id_high_water, the ring's file
Writes:  id_ranges, id_high_water, the ring's file, the socket
Repeats: harmless; ids are given out only from ranges that are committed, and a range whose commit is uncertain is
         never used

One process a host serves. Others with the same socket and ring stand by, and take over when it ends.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from wbd.engines.mysql import Database
from wbd.entity.ids import EntityType
from wbd.errors import DependencyUnavailable, SegmentUnusable, WbdError
from wbd.id_server.clients import ServerLimits
from wbd.id_server.metrics import IdMetrics
from wbd.id_server.report import IdServerReport
from wbd.id_server.server import IdServer
from wbd.id_server.socket_file import SocketFile
from wbd.ids.id_range import IdRange
from wbd.ids.ranges import RangeTable
from wbd.ids.refill import Refiller, SizeBounds
from wbd.ids.ring import Ring
from wbd.ids.segment_file import SegmentFile
from wbd.runtime.clock import Clock
from wbd.runtime.json_fields import encode
from wbd.runtime.worker import Run

# The documents' polling interval; a lane that runs low wakes the worker at once.
_POLL_S = 1.0
# How often the table is read when no refill is due: health needs to know about the database, and ids that an import has
# brought must not be given out any more.
_INSPECT_S = 1.0
# Of the drain time of 5 s: how long clients get to read their last replies, and how long giving ids back may take.
_CLIENTS_DRAIN_S = 1.5
_GIVE_BACK_S = 3.0


class IdHost:
    """Owns ring and socket while no other process of this host does, and keeps the ring filled."""

    def __init__(
        self,
        db: Database,
        address: SocketFile,
        shared: SegmentFile,
        clock: Clock,
        *,
        floors: dict[EntityType, int] | None = None,
        reserved: Sequence[IdRange] = (),
        bounds: SizeBounds | None = None,
        limits: ServerLimits | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._ring = Ring(shared, self._wake)
        self._table = RangeTable(db, floors=floors, reserved=reserved, clock=clock)
        self._refiller = Refiller(self._table, self._ring.pool, bounds or SizeBounds(), clock)
        self._address = address
        self._limits = limits
        self._server = IdServer(self._ring.pool, address, limits, clock)
        self._run: Run | None = None
        self._metrics: IdMetrics | None = None
        self._prepared = False
        # Held by whoever decided at the end what becomes of the ids: given back, or left in the ring.
        self._draining = threading.Lock()
        self._inspected_mono_s: float | None = None
        self._database_error: str | None = None

    @property
    def socket(self) -> str:
        """The path of the socket."""
        return str(self._address.path)

    def begin(self, run: Run) -> None:
        """Log, count and wake by *run* from now on."""
        self._run = run
        self._metrics = self._metrics or IdMetrics(run.metrics)

    def serve(self, run: Run) -> bool:
        """
        Own ring and socket if no other process does; True while this process is the one that serves.

        Raises:
            ConfigError: socket or ring cannot be used.
            RuntimeError: the server's thread ended by itself; the next call starts it again.
        """
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
                # A process that stands by owns the new file for a moment. If this one served from another ring now, it
                # would give out larger ids than those that are left here.
                return True
            gone = self._ring.path if lost else self.socket
            run.log.warning("a file that takers need is gone; it is made again", file=gone)
            self._server.stop(_CLIENTS_DRAIN_S)
            if lost:
                self._ring.abandon(keep_ids=True)
        started = self._ring.acquire() and self._start_server()
        if self._metrics is not None:
            if started:
                self._metrics.begin(self._refiller.report())
            else:
                self._metrics.stand_by()
        if started:
            run.log.info("serving", socket=self.socket, **encode(self._ring.report()))
        return started

    def supply(self, run: Run) -> float:
        """
        Reserve at most one range for each type that runs low; return the seconds until the next call is wanted.

        Raises:
            SegmentUnusable: the ring is damaged; call abandon_ring().
            WbdError: why a type could not be refilled; the others were.
        """
        self._ring.check()
        errors = self._refill(run)
        if all(lane.left for lane in self._ring.pool.states()):
            run.ready()
        elif errors:
            # A burst leaves a lane dry for a moment, which is no reason to say so; a refill that fails is.
            run.ready(False)
        if self._metrics is not None:
            self._metrics.update(self._refiller.report())
        if errors:
            raise errors[0]
        return 0.0 if self._refiller.is_low() else _POLL_S

    def abandon_ring(self) -> None:
        """Stop serving, and give up a damaged ring with the ids in it: they cannot be told from others any more."""
        self._server.stop(_CLIENTS_DRAIN_S)
        self._ring.abandon(keep_ids=False)

    def stop(self) -> None:
        """
        Answer the requests that have come in, then give the ids that are left back to the table.

        While the database is away they stay in the ring, for takers and for the next process.
        """
        self._server.stop(_CLIENTS_DRAIN_S)
        if self._database_error is None and self._prepared:
            # In a thread, so that a database that takes the connection and never answers cannot delay the end.
            done = threading.Event()
            threading.Thread(target=self._give_back, args=(done,), name="give-back", daemon=True).start()
            if not self._clock.wait(done, _GIVE_BACK_S) and self._run is not None:
                self._run.log.warning("ids not given back in time", within_s=_GIVE_BACK_S)
        # Either the thread has begun to take the ring's ids, or it never will.
        if self._draining.acquire(blocking=False):
            self._ring.leave()
        else:
            self._ring.abandon(keep_ids=False)

    def health(self) -> dict[str, Any]:
        """Return the last reservation, current ranges, supply and clients, as the requirement documents list them."""
        return IdServerReport(
            standing_by=not self._server.serving,
            socket=self.socket,
            shared_memory=self._ring.report(),
            clients=len(self._server.clients),
            clients_waiting=self._server.clients.waiting,
            commands=self._server.clients.commands,
            last_reservation_at=self._refiller.last_reservation_at,
            database=self._database_error or "ok",
            ids=self._refiller.report(),
        ).to_json()

    def _start_server(self) -> bool:
        """Serve from the ring that was acquired; False, and the ring is left, while another process has the socket."""
        started = False
        try:
            # Drained ids go in before anybody is served: the first client would wait although there are ids.
            self._refiller.use(self._ring.pool, self._ring.drained())
            self._server = IdServer(self._ring.pool, self._address, self._limits, self._clock)
            self._server.attachment = self._ring.attachment
            started = self._server.start()
        finally:
            if not started:
                self._leave_ring()
        return started

    def _leave_ring(self) -> None:
        """Leave ring and ids to the next owner, so that stop() does not give those ids back while it serves them."""
        self._ring.leave()
        self._refiller.use(self._ring.pool)

    def _wake(self) -> None:
        if self._run is not None:
            self._run.wake()

    def _give_back(self, done: threading.Event) -> None:
        """Return the unused ids; those that the database does not take back are never used, and become a gap."""
        outcome: dict[str, Any] = {}
        try:
            # Before the ids are taken out of the ring: fails when the database is away.
            self._refiller.inspect()
            if not self._draining.acquire(blocking=False):
                return
            outcome["given_back"], outcome["gap"] = self._refiller.give_back()
        except WbdError as error:
            outcome["error"] = str(error)
        finally:
            self._db.close()
            if outcome and self._run is not None:
                self._run.log.info("unused ids", **outcome)
            done.set()

    def _refill(self, run: Run) -> list[WbdError]:
        """Read the table when it is time, refill lanes that are low; return the errors."""
        errors: list[WbdError] = []
        try:
            if not self._prepared:
                made = self._refiller.prepare()
                self._prepared = True
                if made:
                    run.log.info("rows made", table="id_ranges", entity_types=[one.value for one in made])
            mono_s = self._clock.mono_s()
            # Before the refill: imported ids must not be given out any more, whatever else is wrong.
            if self._inspected_mono_s is None or mono_s - self._inspected_mono_s >= _INSPECT_S:
                # None until it succeeds, so that the next step looks again.
                self._inspected_mono_s = None
                dropped, errors = self._refiller.inspect()
                if dropped:
                    run.log.warning("reserved ids dropped, because some of them are in use", ids=dropped)
                self._inspected_mono_s = mono_s
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
            self._inspected_mono_s = None
        self._database_error = away[0] if away else None
        return errors
