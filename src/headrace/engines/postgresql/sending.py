"""How messages become jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from headrace.engines.postgresql.life import Group, elect, end_waiting, lock_groups
from headrace.engines.postgresql.plan import (
    Moment,
    NewQueues,
    Plan,
    array,
    do,
    document,
    make_queues,
    texts,
)
from headrace.engines.postgresql.reading import drain_rate, is_id
from headrace.errors import DuplicateJob, EngineBusy, InvalidOption, QueueFull
from headrace.message import VERSION, Message
from headrace.record import Cause, Failure, State
from headrace.write import Sent

_CHUNK = 1000
_CHUNK_BYTES = 32 * 1024 * 1024
_RETRY_AFTER = (0.1, 60.0)
_ATTEMPTS = 10

_encode = msgspec.json.Encoder().encode


class _Given(msgspec.Struct, omit_defaults=True):
    """A message as the statements read it: what they need to know, and the envelope as text."""

    n: int
    i: str
    p: int
    t: str
    e: str
    k: str | None = None
    g: tuple[str, ...] | None = None
    r: float | None = None
    x: float | None = None
    a: int = 0
    o: str | None = None
    w: bool = False

    @property
    def special(self) -> bool:
        """Whether there is more to it than a job that is ready."""
        return (
            self.r is not None
            or self.x is not None
            or self.o is not None
            or self.a > 0
            or self.g is not None
        )


class _Batch(NamedTuple):
    """What one queue is sent.

    Attributes:
        queue: its name.
        messages: in their order.
        replaced: ids of jobs that take no room, as another message replaces them.
        now: the time.
        lasting: whether the transaction may be open for long.
    """

    queue: str
    messages: Sequence[Message]
    replaced: dict[str, None]
    now: float
    lasting: bool

    @property
    def staying(self) -> list[Message]:
        """Those that take room."""
        return [message for message in self.messages if message.id not in self.replaced]

    def comes_due(self, message: Message) -> bool:
        """Whether a message gets its turn in its group from whoever makes it ready when due.

        In a transaction that lasts nobody shall wait for the group's row: so the job becomes due at
        once, and the first claim after the commit gives it its turn. Not so one that others may
        pass while it waits: they would.
        """
        return self.lasting and (
            message.order_on_wait == "hold" or _run_at(message, self.now) is not None
        )


def send(messages: Sequence[Message], moment: Moment, *, lasting: bool = False) -> Plan[Sent]:
    """Accept messages, all or none, in their order.

    Args:
        messages: the jobs to be.
        moment: the time.
        lasting: whether the transaction may be open for long. Then as little as can be is locked:
            no queue with a limit, which may then be overstepped by what others have open, and no
            group of an order key.

    Raises:
        NewQueues: they are to be made first, unless the transaction lasts.
    """
    _check(messages)
    names = {message.queue for message in messages}
    try:
        return (yield from _send(messages, moment, lasting=lasting))
    except NewQueues:
        if not lasting:
            raise NewQueues(names) from None
    # They were made before by the guest's engine; somebody has emptied the schema since.
    yield from make_queues(names, moment)
    return (yield from _send(messages, moment, lasting=lasting))


def _send(messages: Sequence[Message], moment: Moment, *, lasting: bool) -> Plan[Sent]:
    now = moment.now
    queues: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        queues[message.queue].append(message)
    keyed = [message for message in messages if message.unique_key is not None]
    locked = (yield from _lock_limited(sorted(queues))) if keyed and not lasting else set[str]()
    batches = [_Batch(name, queues[name], {}, now, lasting) for name in sorted(queues)]
    groups = yield from _groups(batches, locked)
    replaced = (yield from _settle_conflicts(keyed, groups, now)) if keyed else {}
    groups = yield from lock_groups(groups)
    for batch in batches:
        staying = batch._replace(replaced=replaced)
        yield from _accept_all(staying, locked=batch.queue in locked)
    yield from elect(groups)
    if keyed:
        # Those of the batch that others of it replace.
        yield from _end_replaced([m.id for m in keyed if m.id in replaced], now)
    return Sent(replaced=tuple(replaced))


def _check(messages: Sequence[Message]) -> None:
    for message in messages:
        if message.v != VERSION:
            raise InvalidOption(f"envelope version {message.v} is not known here: upgrade headrace")
        if not is_id(message.id):
            raise InvalidOption(f"job id {message.id!r:.80}: use a UUID in lower case")


# Queues -------------------------------------------------------------------------------------------


class QueueRow(NamedTuple):
    """What is known of a queue."""

    id: int
    depth: int
    bytes: int
    max_depth: int | None
    max_bytes: int | None
    drain_rate: float
    drained: int
    drained_from: float


def queue_row(name: str) -> Plan[QueueRow]:
    """Return a queue.

    Raises:
        NewQueues: there is none.
    """
    rows = yield do("queue_row", name)
    if not rows:
        raise NewQueues([name])
    return QueueRow(*rows[0])


def _lock_limited(names: Sequence[str]) -> Plan[set[str]]:
    """Lock those queues that have limits, before anything that others wait for."""
    locked: set[str] = set()
    for name in names:
        rows = yield do("queue_row", name)
        if rows and _limited(QueueRow(*rows[0])):
            yield do("queue_lock", name)
            locked.add(name)
    return locked


def _limited(queue: QueueRow) -> bool:
    return queue.max_depth is not None or queue.max_bytes is not None


def _check_room(batch: _Batch) -> Plan[None]:
    """See that a batch fits into a queue, locked, so that no rival fills it meanwhile."""
    if not batch.lasting:
        yield do("queue_lock", batch.queue)
    queue = yield from queue_row(batch.queue)
    excess = _excess(queue, batch.staying)
    if excess > 0:
        rate = drain_rate(queue.drain_rate, queue.drained, queue.drained_from, batch.now)
        low, high = _RETRY_AFTER
        retry_after = min(high, max(low, excess / rate if rate else 1.0))
        message = (
            f"queue {batch.queue!r} is full: {queue.depth} jobs, {queue.bytes} bytes; try again in"
            f" {retry_after:.1f} s, add workers, or raise its limit"
        )
        raise QueueFull(message, batch.queue, retry_after)


def _excess(queue: QueueRow, batch: Sequence[Message]) -> float:
    """Return by how many jobs the queue would be over its limits."""
    jobs = queue.depth + len(batch)
    excess = 0.0
    if queue.max_depth is not None:
        excess = jobs - queue.max_depth
    if queue.max_bytes is not None:
        size = queue.bytes + sum(len(_encode(message)) for message in batch)
        excess = max(excess, (size - queue.max_bytes) * jobs / max(1, size))
    return excess


# Jobs ---------------------------------------------------------------------------------------------


def _groups(batches: Sequence[_Batch], locked: set[str]) -> Plan[list[Group]]:
    """Return the groups of all the queues, and lock those queues that have limits before them."""
    groups: list[Group] = []
    for batch in batches:
        ordered = [m for m in batch.messages if not batch.comes_due(m)]
        keys = {m.order_key for m in ordered if m.order_key is not None}
        if not keys:
            continue
        queue = yield from queue_row(batch.queue)
        if _limited(queue) and batch.queue not in locked and not batch.lasting:
            yield do("queue_lock", batch.queue)
            locked.add(batch.queue)
        groups += [(queue.id, key) for key in keys]
    return groups


def _accept_all(batch: _Batch, *, locked: bool) -> Plan[None]:
    """Accept the messages of one queue."""
    if locked:
        yield from _check_room(batch)
    for chunk in _chunks(batch):
        locked = yield from _accept(batch, chunk, locked=locked)


def _chunks(batch: _Batch) -> Iterable[list[_Given]]:
    """Part a batch into what is sent as one document."""
    chunk: list[_Given] = []
    size = 0
    for message in batch.messages:
        given = _given(len(chunk), message, batch)
        if len(chunk) == _CHUNK or (chunk and size + len(given.e) > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
            given.n = 0
        chunk.append(given)
        size += len(given.e)
    if chunk:
        yield chunk


def _given(number: int, message: Message, batch: _Batch) -> _Given:
    given = _Given(number, message.id, message.priority, message.task, _encode(message).decode())
    if message.delay is not None or message.run_at is not None:
        given.r = _run_at(message, batch.now)
    if message.expires is not None or message.expires_after is not None:
        expires = message.expires
        given.x = batch.now + (message.expires_after or 0.0) if expires is None else expires
    if message.order_key is not None:
        given.o, given.w = message.order_key, message.order_on_wait == "skip"
        if given.r is None and batch.comes_due(message):
            given.r = batch.now
    if message.retention is not None:
        given.k = _encode(message.retention).decode()
    given.a = message.attempt
    given.g = message.tags or None
    return given


def _run_at(message: Message, now: float) -> float | None:
    """Return the moment that a message waits for, if it is still to come."""
    run_at = now + (message.delay or 0.0) if message.run_at is None else message.run_at
    return run_at if run_at > now else None


def _accept(batch: _Batch, chunk: list[_Given], *, locked: bool) -> Plan[bool]:
    """Accept a chunk; return whether the queue is locked by now."""
    text = document(chunk)
    special = any(given.special for given in chunk)
    for _ in range(_ATTEMPTS):
        rows = yield do("send", text, batch.queue, batch.now, locked, not special)
        if not rows:
            raise NewQueues([batch.queue])
        ((_, is_open, accepted, first),) = rows
        if not is_open:
            yield from _check_room(batch)
            locked = True
            continue
        if accepted < len(chunk):
            yield from _refuse_taken_id(chunk, first)
        if special:
            yield do("send_special", text)
        return locked
    raise EngineBusy(f"queue {batch.queue!r} changes all the time: nothing was written; try again")


def _refuse_taken_id(chunk: Sequence[_Given], first: int | None) -> Plan[None]:
    ids = [given.i for given in chunk]
    older = yield do("ids_taken", texts(ids), (1 << 62) if first is None else first)
    taken = older[0][0] if older else Counter(ids).most_common(1)[0][0]
    raise DuplicateJob(f"a job with the id {taken} is there already: give each its own id", taken)


# Unique keys --------------------------------------------------------------------------------------


def _settle_conflicts(
    keyed: Sequence[Message], groups: Sequence[Group], now: float
) -> Plan[dict[str, None]]:
    """Take the keys, and end the jobs that held them, or refuse the batch.

    The batch's own groups are locked together with those of the jobs that end: one after the other,
    a rival might lock them the other way round.

    Returns:
        The ids of the replaced jobs, with those of the batch itself.
    """
    missing = {message.unique_key or "": message.id for message in keyed}
    ended: dict[str, _Holder] = {}
    for _ in range(_ATTEMPTS):
        # A rival's open transaction is awaited here, by the index itself.
        rows = yield do("unique_take", document([{"k": k, "i": i} for k, i in missing.items()]))
        for (key,) in rows:
            del missing[key]
        rows = (yield do("unique_holders", document(list(missing)))) if missing else []
        holders = {row[0]: _Holder(*row[1:]) for row in rows}
        replaced = _replaced(keyed, ended | holders)
        if not missing:
            return dict.fromkeys(replaced)
        if not holders:  # it may be the id that is taken, by a live job with another key
            older = yield do("ids_taken", texts(missing.values()), 1 << 62)
            for (taken,) in older:
                text = f"a job with the id {taken} is there already: give each its own id"
                raise DuplicateJob(text, taken)
        waiting = {held.seq: key for key, held in holders.items()}
        failure = Failure(cause=Cause.REPLACED, message="a newer job took its unique key")
        rows = yield do("groups_of", array(waiting))
        yield from lock_groups([*groups, *((queue, key) for queue, key in rows)])
        taken = yield from end_waiting(list(waiting), State.CANCELLED, failure, now)
        ended |= {waiting[seq]: holders[waiting[seq]] for seq in taken}
    raise EngineBusy("a unique key changes hands all the time: nothing was written; try again")


class _Holder(NamedTuple):
    """The job that holds a key."""

    id: str
    seq: int
    running: bool


def _replaced(keyed: Sequence[Message], holders: dict[str, _Holder]) -> list[str]:
    """Return whom the messages of a batch replace, one after another; or refuse it."""
    held = {key: (holder.id, holder.running) for key, holder in holders.items()}
    replaced: list[str] = []
    for message in keyed:
        key = message.unique_key or ""
        job_id, running = held.get(key, ("", False))
        if job_id and (running or message.on_conflict == "reject"):
            text = f"job {job_id} holds the unique key {key!r}" + (" and runs" if running else "")
            raise DuplicateJob(text, job_id)
        if job_id:
            replaced.append(job_id)
        held[key] = (message.id, False)
    return replaced


def _end_replaced(ids: Sequence[str], now: float) -> Plan[None]:
    """End jobs of this very transaction."""
    if ids:
        rows = yield do("job_states", texts(ids), now)
        failure = Failure(cause=Cause.REPLACED, message="a newer job took its unique key")
        yield from end_waiting([row[0] for row in rows], State.CANCELLED, failure, now)
