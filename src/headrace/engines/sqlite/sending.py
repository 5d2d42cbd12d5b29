"""How messages become jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

import msgspec

from headrace.engines.sqlite.life import elect, end_all
from headrace.engines.sqlite.plan import Plan, Violated, do, document, texts
from headrace.engines.sqlite.reading import drain_rate
from headrace.errors import DuplicateJob, InvalidOption, QueueFull
from headrace.message import VERSION, Message
from headrace.record import Cause, Failure, State
from headrace.write import Sent

_CHUNK = 1000

_RETRY_AFTER = (0.1, 60.0)

_encode = msgspec.json.Encoder().encode
_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode


def send(messages: Sequence[Message], now: float) -> Plan[Sent]:
    """Accept messages, all or none, in their order."""
    unknown = {message.v for message in messages} - {VERSION}
    if unknown:
        raise InvalidOption(f"envelope version {unknown.pop()} is not known here: upgrade headrace")
    keyed = [message for message in messages if message.unique_key is not None]
    replaced = (yield from _settle_conflicts(keyed, now)) if keyed else {}
    for name, batch in _by_queue(messages).items():
        envelopes = [_encode(message) for message in batch]
        queue = yield from _take_room(name, batch, envelopes, replaced, now)
        for start in range(0, len(batch), _CHUNK):
            part = slice(start, start + _CHUNK)
            yield from _accept(batch[part], envelopes[part], queue, now)
    if keyed:
        yield from _take_keys(keyed, replaced, now)
    return Sent(replaced=tuple(replaced))


def _by_queue(messages: Sequence[Message]) -> dict[str, list[Message]]:
    queues: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        queues[message.queue].append(message)
    return queues


class _Queue(NamedTuple):
    """A queue as it is once a batch is in it."""

    id: int
    depth: int
    bytes: int
    max_depth: int | None
    max_bytes: int | None
    drain_rate: float
    drained: int
    drained_from: float


def _take_room(
    name: str,
    batch: Sequence[Message],
    envelopes: Sequence[bytes],
    replaced: Container[str],
    now: float,
) -> Plan[int]:
    """Count a batch as part of its queue, unless it is too much for it; return the queue's id."""
    size = sum(map(len, envelopes))
    rows = yield do("queue_grow", name, len(batch), size)
    if not rows:
        yield do("queue_new", name, now)
        rows = yield do("queue_grow", name, len(batch), size)
    queue = _Queue(*rows[0])
    if queue.max_depth is not None or queue.max_bytes is not None:
        # What another message of the batch replaces will have gone when the batch is in.
        gone = [len(e) for m, e in zip(batch, envelopes, strict=True) if m.id in replaced]
        excess = _excess(queue, queue.depth - len(gone), queue.bytes - sum(gone))
        if excess > 0:
            raise _full(name, queue, len(batch), size, excess, now)
    return queue.id


def _excess(queue: _Queue, depth: int, size: int) -> float:
    """Return by how many jobs a queue would be over its limits."""
    excess = 0.0
    if queue.max_depth is not None:
        excess = depth - queue.max_depth
    if queue.max_bytes is not None:
        excess = max(excess, (size - queue.max_bytes) * depth / max(1, size))
    return excess


def _full(name: str, queue: _Queue, jobs: int, size: int, excess: float, now: float) -> QueueFull:
    rate = drain_rate(queue.drain_rate, queue.drained, queue.drained_from, now)
    low, high = _RETRY_AFTER
    retry_after = min(high, max(low, excess / rate if rate else 1.0))
    message = (
        f"queue {name!r} is full: {queue.depth - jobs} jobs, {queue.bytes - size} bytes; try again"
        f" in {retry_after:.1f} s, add workers, or raise its limit"
    )
    return QueueFull(message, name, retry_after)


def _accept(
    batch: Sequence[Message], envelopes: Sequence[bytes], queue: int, now: float
) -> Plan[None]:
    _check(envelopes)
    ids, width = _column([message.id for message in batch])
    tasks = {message.task for message in batch}
    task = tasks.pop() if len(tasks) == 1 else None
    # What is told here, SQLite need not look up in each envelope.
    try:
        yield do(
            "send_jobs", texts([e.decode() for e in envelopes]), queue, now,
            ids, width, task, any(m.priority for m in batch),
        )  # fmt: skip
    except Violated as violated:
        raise (yield from _taken_id(batch)) or violated from violated
    if _are_plain(batch):
        yield do("send_ready", len(batch))
        return
    ((last,),) = yield do("last_sent", len(batch))
    if any(message.expiring for message in batch):
        yield do("send_expiry", last, now)
    if any(message.tags for message in batch):
        yield do("send_tags", last)
    if any(message.attempt for message in batch):
        yield do("send_tally", last)
    yield do("send_scheduled", last, now)
    yield do("send_ordered", last)
    yield do("send_fronts", last)
    yield do("send_ready_now", last)
    rows = yield do("send_groups", last)
    yield from elect([(queue_id, key) for queue_id, key in rows])


def _are_plain(batch: Sequence[Message]) -> bool:
    """Return whether messages may be claimed at once, and have rows in no other tables."""
    return all(
        m.delay is None and m.run_at is None and m.expires is None and m.expires_after is None
        and m.order_key is None and not m.tags and not m.attempt
        for m in batch
    )  # fmt: skip


def _check(envelopes: Sequence[bytes]) -> None:
    """Make sure that each envelope is JSON by itself."""
    text = b"[" + b",".join(envelopes) + b"]"
    try:
        whole = len(_parts(text)) == len(envelopes)
    except msgspec.DecodeError:
        whole = False
    if not whole:
        raise InvalidOption("a body is malformed JSON: nothing was written")


def _column(values: Sequence[str]) -> tuple[bytes, int]:
    """Return texts end to end and the length of each in bytes; 0 if they are not of one length."""
    column = "".join(values).encode()
    width = len(values[0].encode())
    alike = all(len(value) == width for value in values) and len(column) == width * len(values)
    return column, width if alike else 0


def _taken_id(batch: Sequence[Message]) -> Plan[DuplicateJob | None]:
    """Return the error that names an id which is not new, if there is one."""
    older = yield do("ids_taken", document([message.id for message in batch]))
    ((repeated, times),) = Counter(message.id for message in batch).most_common(1)
    if not older and times == 1:
        return None
    taken = older[0][0] if older else repeated
    return DuplicateJob(f"a job with the id {taken} is there already: give each its own id", taken)


def _settle_conflicts(keyed: Sequence[Message], now: float) -> Plan[dict[str, None]]:
    """End the jobs to be replaced and return their ids, with those of the batch; or refuse it."""
    wanted = document([message.unique_key for message in keyed])
    rows = yield do("unique_holders", wanted)
    holders = {key: (job_id, bool(running)) for key, job_id, running in rows}
    replaced: dict[str, None] = {}  # in order, and quick to look into
    for message in keyed:
        key = message.unique_key or ""
        job_id, running = holders.get(key, ("", False))
        if job_id and (running or message.on_conflict == "reject"):
            text = f"job {job_id} holds the unique key {key!r}" + (" and runs" if running else "")
            raise DuplicateJob(text, job_id)
        if job_id:
            replaced[job_id] = None
        holders[key] = (message.id, False)
    fresh = {message.id for message in keyed}
    yield from _end_replaced([job_id for job_id in replaced if job_id not in fresh], now)
    return replaced


def _take_keys(keyed: Sequence[Message], replaced: dict[str, None], now: float) -> Plan[None]:
    """End those of the batch that others of it replace; the others hold their keys from now on."""
    yield from _end_replaced([message.id for message in keyed if message.id in replaced], now)
    last = {message.unique_key: message.id for message in keyed}
    yield do("unique_take", document([(job_id, key) for key, job_id in last.items()]))


def _end_replaced(ids: Iterable[str], now: float) -> Plan[None]:
    rows = yield do("job_where", document(tuple(ids)), now)
    failure = Failure(cause=Cause.REPLACED, message="a newer job took its unique key")
    yield from end_all([row[0] for row in rows], State.CANCELLED, failure, now)
