"""How messages become jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from headrace.engines.sqlite.life import elect, end_all
from headrace.engines.sqlite.plan import Plan, do, document
from headrace.engines.sqlite.reading import drain_rate
from headrace.errors import DuplicateJob, InvalidOption, QueueFull
from headrace.message import VERSION, Message
from headrace.record import Cause, Failure, State
from headrace.write import Sent

_CHUNK = 1000
_TEXT_LIMIT = 64 * 1024 * 1024  # SQLite takes texts of up to a gigabyte; memory is dearer

# The envelope leaves out what has its default, so a message without these words has none of these
# features. A body that happens to contain one costs a few statements that find nothing.
_MOMENTS = ('"delay":', '"run_at":')
_RETRY_AFTER = (0.1, 60.0)


def send(messages: Sequence[Message], now: float) -> Plan[Sent]:
    """Accept messages, all or none, in their order."""
    unknown = {message.v for message in messages} - {VERSION}
    if unknown:
        raise InvalidOption(f"envelope version {unknown.pop()} is not known here: upgrade headrace")
    queues: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        queues[message.queue].append(message)
    keyed = [message for message in messages if message.unique_key is not None]
    replaced = (yield from _settle_conflicts(keyed, now)) if keyed else {}
    for name, batch in queues.items():
        lasting = [m for m in batch if m.id not in replaced] if replaced else batch
        queue = yield from _queue_with_room(name, lasting, now)
        for start in range(0, len(batch), _CHUNK):
            yield from _accept(batch[start : start + _CHUNK], queue, now)
    if keyed:
        yield from _take_keys(keyed, replaced, now)
    return Sent(replaced=tuple(replaced))


class QueueRow(NamedTuple):
    """What is kept of a queue."""

    id: int
    depth: int
    bytes: int
    max_depth: int | None
    max_bytes: int | None
    drain_rate: float
    drained: int
    drained_from: float


def queue_row(name: str, now: float) -> Plan[QueueRow]:
    """Return a queue, new if need be."""
    rows = yield do("queue_row", name)
    if not rows:
        yield do("queue_new", name, now)
        rows = yield do("queue_row", name)
    return QueueRow(*rows[0])


def _queue_with_room(name: str, batch: Sequence[Message], now: float) -> Plan[int]:
    queue = yield from queue_row(name, now)
    excess = _excess(queue, batch)
    if excess > 0:
        rate = drain_rate(queue.drain_rate, queue.drained, queue.drained_from, now)
        low, high = _RETRY_AFTER
        retry_after = min(high, max(low, excess / rate if rate else 1.0))
        message = (
            f"queue {name!r} is full: {queue.depth} jobs, {queue.bytes} bytes; try again in"
            f" {retry_after:.1f} s, add workers, or raise its limit"
        )
        raise QueueFull(message, name, retry_after)
    return queue.id


def _excess(queue: QueueRow, batch: Sequence[Message]) -> float:
    """Return by how many jobs the queue would be over its limits."""
    jobs = queue.depth + len(batch)
    excess = 0.0
    if queue.max_depth is not None:
        excess = jobs - queue.max_depth
    if queue.max_bytes is not None:
        size = queue.bytes + len(document(batch).encode()) - len(batch) - 1  # brackets and commas
        excess = max(excess, (size - queue.max_bytes) * jobs / max(1, size))
    return excess


def _accept(batch: Sequence[Message], queue: int, now: float) -> Plan[None]:
    text = document(batch)
    if len(text) > _TEXT_LIMIT and len(batch) > 1:
        middle = len(batch) // 2
        yield from _accept(batch[:middle], queue, now)
        yield from _accept(batch[middle:], queue, now)
        return
    ((last,),) = yield do("last_seq")
    # Whether any has a priority is told here, so that SQLite need not look into each of them.
    yield do("send_jobs", text, queue, now, '"priority":' in text)
    ((accepted,),) = yield do("changed_rows")
    if accepted < len(batch):
        yield from _refuse_taken_id(batch, text, last)
    yield do("send_count", last, queue)
    if '"expires' in text:
        yield do("send_expiry", last, now)
    if '"tags":' in text:
        yield do("send_tags", last)
    if '"attempt":' in text:
        yield do("send_tally", last)
    ordered = '"order_key":' in text
    if not ordered and not any(word in text for word in _MOMENTS):
        yield do("send_ready", last)
        return
    yield do("send_scheduled", last, now)
    yield do("send_ordered", last)
    yield do("send_fronts", last)
    yield do("send_ready_now", last)
    rows = yield do("send_groups", last)
    yield from elect([(queue_id, key) for queue_id, key in rows])


def _refuse_taken_id(batch: Sequence[Message], text: str, last: int) -> Plan[None]:
    older = yield do("ids_taken", text, last)
    times = Counter(message.id for message in batch)
    taken = older[0][0] if older else times.most_common(1)[0][0]
    raise DuplicateJob(f"a job with the id {taken} is there already: give each its own id", taken)


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
    yield from _end_replaced(replaced, now)
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
