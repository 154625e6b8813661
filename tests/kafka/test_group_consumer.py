"""A consumer in a group on a real broker: no message is lost, whatever ends between the work and the commit."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.build.topics import read_topic
from wbd.engines.kafka import DeadLetterTopic, Event, EventProducer, GroupConsumer, Received, Topics
from wbd.errors import BadInput, BrokerUnavailable, DatabaseUnavailable, LeaseLost, PermanentError
from wbd.stack.kafka import KafkaBroker

MESSAGES = 120
ROOT = Path(__file__).parents[2]


@pytest.fixture
def topic(kafka: KafkaBroker) -> str:
    """A topic of four partitions with MESSAGES messages "0", "1", ... in it, thirty keys."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    Topics(kafka.brokers).create(name, partitions=4, replication=1)
    events = [Event(name, f"Q{number % 30}", str(number).encode()) for number in range(MESSAGES)]
    assert EventProducer(kafka.brokers).publish(events) == [None] * MESSAGES
    return name


def refuse(message: Received, error: PermanentError) -> None:
    raise AssertionError(f"{message.place} was set aside: {error}")


Join = Callable[..., GroupConsumer]


@pytest.fixture
def join(kafka: KafkaBroker, topic: str) -> Iterator[Join]:
    """Make members of one group of this test's own, which leave it after the test."""
    group = f"g-{uuid.uuid4().hex[:12]}"
    members: list[GroupConsumer] = []

    def make(**options: Any) -> GroupConsumer:
        options = {"dead_letter": refuse, **options}
        members.append(GroupConsumer(kafka.brokers, group, [topic], **options))
        return members[-1]

    yield make
    for member in members:
        member.close()


class Collected:
    """Work that notes the values that came, partition by partition."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self.offsets: dict[int, list[int]] = {}
        self.batches: list[int] = []

    def __call__(self, batch: Sequence[Received]) -> None:
        self.batches.append(len(batch))
        for message in batch:
            self.values.append(int(message.value))
            self.offsets.setdefault(message.partition, []).append(message.offset)


def until(condition: Callable[[], bool], *members: tuple[GroupConsumer, Callable[[Sequence[Received]], None]]) -> None:
    """Let each member take its turn until *condition* holds; fail after half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the messages did not come within 30 s"
        for member, work in members:
            member.run_once(work, 0.1)


def drained(member: GroupConsumer) -> list[int]:
    """Return what is left for *member*: all that comes until nothing has come for three seconds."""
    later = Collected()
    last_mono_s = time.monotonic()
    while time.monotonic() - last_mono_s < 3.0:
        if member.run_once(later, 0.2) or not member.assigned:
            last_mono_s = time.monotonic()
    return later.values


def test_every_message_comes_once_and_those_of_a_partition_in_order(join: Join) -> None:
    member, work = join(batch_messages=7), Collected()
    until(lambda: len(work.values) >= MESSAGES, (member, work))
    assert sorted(work.values) == list(range(MESSAGES))
    assert all(offsets == list(range(len(offsets))) for offsets in work.offsets.values())
    assert 1 < max(work.batches) <= 7
    assert (member.done, len(member.assigned)) == (MESSAGES, 4)


def test_what_is_committed_does_not_come_again(join: Join) -> None:
    member, work = join(batch_messages=50), Collected()
    until(lambda: len(work.values) >= 50, (member, work))
    member.close()
    assert sorted(work.values + drained(join())) == list(range(MESSAGES))


def test_a_batch_whose_work_fails_comes_again_before_any_later_message(join: Join) -> None:
    member, work = join(batch_messages=10), Collected()
    failures = 0

    def fail_often(batch: Sequence[Received]) -> None:
        nonlocal failures
        if failures < 5:
            failures += 1
            raise DatabaseUnavailable("database down")
        work(batch)

    deadline = time.monotonic() + 30
    while len(work.values) < MESSAGES:
        assert time.monotonic() < deadline
        try:
            member.run_once(fail_often, 0.1)
        except DatabaseUnavailable:
            continue
    assert failures == 5
    assert sorted(work.values) == list(range(MESSAGES))
    assert all(offsets == list(range(len(offsets))) for offsets in work.offsets.values())


def test_a_member_that_leaves_between_work_and_commit_leaves_its_batch_to_the_next(join: Join) -> None:
    first, work = join(batch_messages=20), Collected()

    class Ended(BaseException):
        """The process ends here."""

    def work_and_end(batch: Sequence[Received]) -> None:
        work(batch)
        if len(work.values) >= 40:
            raise Ended

    with pytest.raises(Ended):
        until(lambda: False, (first, work_and_end))
    first.close()
    later = drained(join())
    counts = Counter(work.values + later)
    assert set(counts) == set(range(MESSAGES))
    assert {value for value, count in counts.items() if count == 2} == set(work.values[-work.batches[-1] :])


def test_a_process_that_is_killed_between_work_and_commit_leaves_its_batch_to_the_next(
    kafka: KafkaBroker, topic: str
) -> None:
    """The broker notices after session_s that it is gone."""
    code = """
import os, signal, sys
from wbd.engines.kafka import GroupConsumer
def work(batch):
    print(*(int(message.value) for message in batch), flush=True)
    if len(batch) > 1:
        os.kill(os.getpid(), signal.SIGKILL)
consumer = GroupConsumer(sys.argv[1], sys.argv[2], [sys.argv[3]], dead_letter=print, batch_messages=30, session_s=6)
while True:
    consumer.run_once(work)
"""
    group = f"g-{uuid.uuid4().hex[:12]}"
    survivor = GroupConsumer(kafka.brokers, group, [topic], dead_letter=refuse, session_s=6)
    killed = subprocess.run(
        [sys.executable, "-c", code, kafka.brokers, group, topic], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    lines = killed.stdout.splitlines()
    seen = [int(value) for line in lines for value in line.split()]
    uncommitted = {int(value) for value in lines[-1].split()}
    assert killed.returncode == -9 and len(uncommitted) > 1, killed.stderr
    try:
        later = Collected()
        until(lambda: len(later.values) + len(seen) - len(uncommitted) >= MESSAGES, (survivor, later))
    finally:
        survivor.close()
    assert set(seen) | set(later.values) == set(range(MESSAGES))
    assert uncommitted <= set(later.values)
    assert not (set(seen) - uncommitted) & set(later.values), "what was committed did not come again"


def test_a_rebalance_hands_partitions_on_without_loss_or_a_step_back(
    join: Join, kafka: KafkaBroker, topic: str
) -> None:
    """A second member joins in the middle, then the first one leaves; messages go on coming."""
    first, second = join(batch_messages=5), join(batch_messages=5)
    mine, theirs = Collected(), Collected()
    until(lambda: len(mine.values) >= 30, (first, mine))
    until(lambda: bool(second.assigned) and bool(first.assigned), (first, mine), (second, theirs))
    until(lambda: len(first.assigned) + len(second.assigned) == 4, (first, mine), (second, theirs))
    assert not first.assigned & second.assigned
    producer = EventProducer(kafka.brokers)
    more = [Event(topic, f"Q{number % 30}", str(number).encode()) for number in range(MESSAGES, 2 * MESSAGES)]
    assert producer.publish(more) == [None] * MESSAGES
    until(lambda: len(theirs.values) >= 20, (first, mine), (second, theirs))
    first.close()
    until(lambda: len(mine.values) + len(theirs.values) >= 2 * MESSAGES, (second, theirs))
    assert len(second.assigned) == 4
    counts = Counter(mine.values + theirs.values)
    assert counts == Counter(range(2 * MESSAGES)), "each batch was committed before its partition moved"
    for work in (mine, theirs):
        assert all(offsets == sorted(offsets) for offsets in work.offsets.values())


def test_a_message_that_fails_for_good_goes_to_the_dead_letters_and_the_rest_goes_on(
    kafka: KafkaBroker, join: Join
) -> None:
    letters = f"t-{uuid.uuid4().hex[:12]}-dead"
    Topics(kafka.brokers).create(letters, partitions=1, replication=1)
    member = join(batch_messages=25, dead_letter=DeadLetterTopic(EventProducer(kafka.brokers), letters))
    work, places = Collected(), {}

    def refuse_some(batch: Sequence[Received]) -> None:
        for message in batch:
            if int(message.value) in (3, 77):
                places[int(message.value)] = message
                raise BadInput("no such field", f"value {int(message.value)}")
        work(batch)

    until(lambda: member.done >= MESSAGES, (member, refuse_some))
    assert set(work.values) == set(range(MESSAGES)) - {3, 77}
    assert member.dead_letters == 2
    member.close()
    assert drained(join()) == [], "the dead letters are committed too"
    dead = {int(each.value()): each for each in read_topic(kafka.brokers, letters, idle_s=1.5)}
    assert set(dead) == {3, 77}
    for value, letter in dead.items():
        headers = {name: text.decode() for name, text in letter.headers()}
        of = places[value]
        assert letter.key() == of.key
        assert headers == {
            "reason": f"value {value}: no such field",
            "error": "BadInput",
            "topic": of.topic,
            "partition": str(of.partition),
            "offset": str(of.offset),
        }


def test_a_dead_letter_that_cannot_be_kept_is_not_skipped(join: Join) -> None:
    letters: list[str] = []

    def down_at_first(message: Received, error: PermanentError) -> None:
        if not letters:
            letters.append("down")
            raise BrokerUnavailable("no broker takes dead letters")
        letters.append(message.value.decode())

    member, work = join(batch_messages=10, dead_letter=down_at_first), Collected()

    def refuse_one(batch: Sequence[Received]) -> None:
        if any(message.value == b"60" for message in batch):
            raise BadInput("never")
        work(batch)

    failures = 0
    deadline = time.monotonic() + 30
    while len(set(work.values)) < MESSAGES - 1 or len(letters) < 2:
        assert time.monotonic() < deadline
        try:
            member.run_once(refuse_one, 0.1)
        except BrokerUnavailable:
            failures += 1
    assert (failures, letters) == (1, ["down", "60"])
    assert set(work.values) == set(range(MESSAGES)) - {60}


def test_a_dead_letter_larger_than_its_topic_takes_keeps_its_place(kafka: KafkaBroker) -> None:
    source, letters = (f"t-{uuid.uuid4().hex[:12]}-{kind}" for kind in ("large", "dead"))
    topics, producer = Topics(kafka.brokers), EventProducer(kafka.brokers)
    topics.create(source, partitions=1, replication=1)
    topics.create(letters, partitions=1, replication=1, max_message_bytes=10_000)
    assert producer.publish([Event(source, "Q1", random.Random(1).randbytes(51_200))]) == [None]
    dead_letter = DeadLetterTopic(producer, letters, max_bytes=10_000)
    consumer = GroupConsumer(kafka.brokers, source, [source], dead_letter=dead_letter)

    def work(batch: Sequence[Received]) -> None:
        raise BadInput("too odd")

    until(lambda: consumer.done == 1, (consumer, work))
    consumer.close()
    (letter,) = read_topic(kafka.brokers, letters, idle_s=1.5)
    headers = dict(letter.headers())
    assert (letter.key(), letter.value()) == (b"Q1", b"")
    assert (headers["topic"], headers["offset"], headers["value_bytes"]) == (source.encode(), b"0", b"51200")


def test_a_topic_that_is_not_there_is_an_error_that_names_it(kafka: KafkaBroker) -> None:
    consumer = GroupConsumer(kafka.brokers, "g", ["not-there"], dead_letter=refuse)
    deadline = time.monotonic() + 30
    with pytest.raises(BrokerUnavailable, match="not-there"):
        while time.monotonic() < deadline:
            consumer.run_once(lambda _batch: None, 0.2)
    consumer.close()


def test_a_consumer_outlives_an_outage_of_the_broker_without_loss(kafka: KafkaBroker, join: Join) -> None:
    """Each failed call is an error that a worker retries, and the next call goes on."""
    member, work = join(batch_messages=20, session_s=6), Collected()
    until(lambda: len(work.values) >= 20, (member, work))

    def turn() -> int | None:
        try:
            return member.run_once(work, 0.1)
        except (BrokerUnavailable, LeaseLost):
            return None

    kafka.kill()
    try:
        # Messages that were fetched before can still be worked off; their offsets cannot be committed.
        while turn():
            continue
    finally:
        kafka.start()
    deadline = time.monotonic() + 90
    while len(set(work.values)) < MESSAGES:
        assert time.monotonic() < deadline, f"{len(set(work.values))} of {MESSAGES} messages came within 90 s"
        turn()
