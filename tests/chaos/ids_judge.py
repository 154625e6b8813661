"""Compare the ids that takers wrote down with those reserved: duplicates, losses and their bound, order.

Reads:   the takers' files, the database's record of reservations
Writes:  nothing
Repeats: harmless
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.ids_taker import BLOCK, TAKE_MAX
from wbd.ids import EntityType, IdRange, parse_id

_OPPOSITE = bytes([1, *[0] * 255])
_MARKS = ("@", "!")
# How many examples a problem names.
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Written:
    """
    The ids that one taker process wrote down, in its order.

    Args:
        place: the taker's place among all; the processes that had it one after the other share it, children do not.
        calls, ring_calls: how many calls were made, and how many with a client that was attached to the ring.
        unavailable: calls that got no ids.
    """

    name: str
    place: str
    ids: dict[EntityType, list[int]]
    calls: int = 0
    ring_calls: int = 0
    unavailable: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a row of id_ranges: a reservation of first..last, or first..last given back."""

    entity_type: EntityType
    old_next: int
    new_next: int
    first: int
    last: int


@dataclass(slots=True)
class Allowance:
    """
    The most ids that the deeds of a run may lose, by the promises.

    calls: calls whose ids may be lost with a killed taker, or with the reply of a killed server.
    ranges: ranges that may have been reserved and not put into a ring.
    gap: ids that clean stops could not give back, by the workers' count; another host had reserved after them.
    lost_rings: ids in rings that were lost; late_ids more may have come into them after they were read.
    left_rings: ids in rings whose worker stopped cleanly; their ranges did come into a ring.
    """

    calls: int = 0
    ranges: int = 0
    gap: int = 0
    late_ids: int = 0
    lost_rings: list[IdRange] = field(default_factory=list)
    left_rings: list[IdRange] = field(default_factory=list)


@dataclass(slots=True)
class TypeLoss:
    """
    Where the ids of one type went.

    in_lost_rings: ids that were seen in a ring that was lost.
    in_left_rings: ids that were seen in a ring whose worker stopped cleanly.
    skipped: ids at the end of a range that were too few for a block and were rightly dropped.
    unpublished: sizes of reserved ranges of which no process has seen an id.
    otherwise: all others; mostly those of lost calls.
    """

    reserved: int = 0
    taken: int = 0
    duplicates: int = 0
    lost: int = 0
    in_lost_rings: int = 0
    in_left_rings: int = 0
    skipped: int = 0
    unpublished: list[int] = field(default_factory=list)

    @property
    def otherwise(self) -> int:
        return self.lost - self.in_lost_rings - self.in_left_rings - self.skipped - sum(self.unpublished)


@dataclass(slots=True)
class Verdict:
    """The end of a run; good when there are no problems."""

    types: dict[EntityType, TypeLoss]
    bound: int
    calls: int
    ring_calls: int
    unavailable: int
    disorder: int
    problems: list[str]

    @property
    def taken(self) -> int:
        return sum(one.taken for one in self.types.values())

    @property
    def duplicates(self) -> int:
        return sum(one.duplicates for one in self.types.values())

    @property
    def lost(self) -> int:
        return sum(one.lost for one in self.types.values())


def read_written(path: Path) -> Written:
    """Read a taker's file; a last line that a kill cut off does not count."""
    name = path.name.removeprefix("taken-")
    ids: dict[EntityType, list[int]] = {one: [] for one in EntityType}
    complete, end, _ = path.read_text().rpartition("\n")
    for word in complete.split():
        if word not in _MARKS:
            entity = parse_id(word)
            ids[entity.type].append(entity.number)
    calls, ring_calls, unavailable = (complete + end).count("\n"), complete.count("@"), complete.count("!")
    # A-3-17 is the 17th process in place A-3; A-3-17-c2 its second child.
    place = name if "-c" in name else name.rpartition("-")[0]
    return Written(name, place, ids, calls, ring_calls, unavailable)


def reserved_ranges(moves: Iterable[Move]) -> dict[EntityType, list[tuple[int, int]]]:
    """Return the ranges that are reserved after all moves, of each type in increasing order."""
    ranges_of: dict[EntityType, list[tuple[int, int]]] = {one: [] for one in EntityType}
    for move in moves:
        ranges = ranges_of[move.entity_type]
        if move.new_next > move.old_next:
            ranges.append((move.first, move.last))
        while ranges and ranges[-1][1] >= move.new_next:
            first, _ = ranges.pop()
            if first < move.new_next:
                ranges.append((first, move.new_next - 1))
    return ranges_of


def judge(
    written: Sequence[Written],
    reserved: dict[EntityType, list[tuple[int, int]]],
    allowance: Allowance,
) -> Verdict:
    """
    Compare the ids taken with those reserved.

    Args:
        written: in the order in which the processes of a place began.
    """
    problems: list[str] = []
    # A call that got no ids may have been answered after its deadline.
    unavailable = sum(one.unavailable for one in written)
    types: dict[EntityType, TypeLoss] = {}
    for entity_type, ranges in reserved.items():
        seen, repeated, outside = _count(ranges, written, entity_type)
        loss = types[entity_type] = _loss(ranges, seen, entity_type, allowance)
        loss.taken, loss.duplicates = sum(len(one.ids[entity_type]) for one in written), len(repeated)
        if repeated:
            problems.append(
                f"{entity_type}: {loss.duplicates} duplicates, such as {_by_whom(written, entity_type, repeated)}"
            )
        if outside:
            problems.append(
                f"{entity_type}: {len(outside)} ids that were not reserved: {_by_whom(written, entity_type, outside)}"
            )
    bound, too_many = _bound(types, allowance, unavailable)
    if too_many:
        problems.append(f"{too_many} ids lost beyond the bound of {bound}")
    disorder = _disorder(written, allowance.lost_rings)
    if disorder:
        problems.append(
            f"ids of one place did not increase: {len(disorder)} times, such as {', '.join(disorder[:_SHOWN])}"
        )
    calls = (sum(one.calls for one in written), sum(one.ring_calls for one in written), unavailable)
    return Verdict(types, bound, *calls, len(disorder), problems)


def _count(
    ranges: list[tuple[int, int]], written: Sequence[Written], entity_type: EntityType
) -> tuple[bytearray, list[int], list[int]]:
    """Return a mark for each number that was seen, the numbers of each repeat, and those outside *ranges*."""
    reserved = bytearray(ranges[-1][1] + 1 if ranges else 1)
    for first, last in ranges:
        reserved[first : last + 1] = b"\1" * (last - first + 1)
    seen = bytearray(len(reserved))
    repeated: list[int] = []
    outside: list[int] = []
    for one in written:
        for number in one.ids[entity_type]:
            if number >= len(reserved) or not reserved[number]:
                outside.append(number)
            elif seen[number]:
                repeated.append(number)
            else:
                seen[number] = 1
    return seen, repeated, outside


def _loss(ranges: list[tuple[int, int]], seen: bytearray, entity_type: EntityType, allowance: Allowance) -> TypeLoss:
    """Say why each id is missing; the first reason that fits counts."""
    missing = bytearray(len(seen))
    for first, last in ranges:
        missing[first : last + 1] = seen[first : last + 1].translate(_OPPOSITE)
    loss = TypeLoss(reserved=sum(last - first + 1 for first, last in ranges), lost=missing.count(1))

    def explain(first: int, last: int) -> int:
        count = missing.count(1, first, last + 1)
        missing[first : last + 1] = bytes(len(missing[first : last + 1]))
        return count

    loss.in_lost_rings = sum(explain(r.first, r.last) for r in allowance.lost_rings if r.entity_type is entity_type)
    loss.in_left_rings = sum(explain(r.first, r.last) for r in allowance.left_rings if r.entity_type is entity_type)
    for first, last in ranges:
        if missing.count(1, first, last + 1) == last - first + 1:
            loss.unpublished.append(explain(first, last))
        at_end = last - missing.rfind(0, first, last + 1)
        if at_end < BLOCK:
            # A block that did not fit drops fewer than its size. More is another kind of loss.
            loss.skipped += explain(last - at_end + 1, last)
    return loss


def _bound(types: dict[EntityType, TypeLoss], allowance: Allowance, unavailable: int) -> tuple[int, int]:
    """Return how many ids may be lost at most, and how many more were lost."""
    unpublished = sorted((size for one in types.values() for size in one.unpublished), reverse=True)
    bound = sum(unpublished[: allowance.ranges]) + allowance.gap + allowance.late_ids
    bound += (allowance.calls + unavailable) * TAKE_MAX
    bound += sum(one.in_lost_rings + one.skipped for one in types.values())
    return bound, max(0, sum(one.lost for one in types.values()) - bound)


def _by_whom(written: Sequence[Written], entity_type: EntityType, numbers: list[int]) -> str:
    shown = sorted(numbers)[:_SHOWN]
    return ", ".join(
        f"{number} ({', '.join(one.name for one in written for _ in range(one.ids[entity_type].count(number)))})"
        for number in shown
    )


def _disorder(written: Sequence[Written], lost_rings: Sequence[IdRange]) -> list[str]:
    """
    Return where a later id of a place is not larger.

    A taker attached to a ring whose file and worker are both gone may alternate between ids left in it and ids from the
    socket; ids of such a ring do not count.
    """
    last: dict[tuple[str, EntityType], int] = {}
    problems: list[str] = []
    for one in written:
        for entity_type, numbers in one.ids.items():
            before = last.get((one.place, entity_type), 0)
            for number in numbers:
                if number > before:
                    before = number
                elif not any(r.entity_type is entity_type and r.first <= number <= r.last for r in lost_rings):
                    problems.append(f"{one.name} {entity_type} {number} after {before}")
            last[one.place, entity_type] = before
    return problems
