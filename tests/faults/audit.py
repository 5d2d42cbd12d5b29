"""What must be true of a Headrace file at every moment: its tables agree with each other.

Each rule is a query that finds the rows which break it; nothing of the engine's code is used. The
order keys' rule is too long for SQL and is told in Python. The file is read through SQLite, in one
snapshot, so it may be in use, even by this process.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

LIVE = """
    select job.*, envelope ->> 'unique_key' as unique_key, envelope ->> 'order_key' as order_key
    from headrace_job job where seq not in (select seq from headrace_finished)
"""

RULES = {
    "is in several states": """
        select seq, count(*) from (
            select seq from headrace_ready union all select seq from headrace_scheduled
            union all select seq from headrace_running union all select seq from headrace_finished
        ) group by seq having count(*) > 1
    """,
    "is in no state": """
        select seq from live where order_key is null and seq not in (
            select seq from headrace_ready union select seq from headrace_scheduled
            union select seq from headrace_running
        )
    """,
    "is spoken of, but there is no such job": """
        select seq from (
            select seq from headrace_ready union select seq from headrace_scheduled
            union select seq from headrace_running union select seq from headrace_finished
            union select seq from headrace_tally union select seq from headrace_history
            union select seq from headrace_ordered union select seq from headrace_front
            union select seq from headrace_unique union select seq from headrace_expiry
            union select seq from headrace_cancelling union select seq from headrace_tag
        ) where seq not in (select seq from headrace_job)
    """,
    "is finished, but treated as alive": """
        select seq from headrace_finished where seq in (
            select seq from headrace_ordered union select seq from headrace_front
            union select seq from headrace_unique union select seq from headrace_expiry
            union select seq from headrace_cancelling
        )
    """,
    "is ready in the wrong place": """
        select ready.seq, ready.queue, ready.rank
        from headrace_ready ready join headrace_job job using (seq)
        left join headrace_tally tally using (seq)
        where ready.rank is not -job.priority
            or ready.queue is not iif(coalesce(tally.lost, 0) > 0, -job.queue, job.queue)
    """,
    "is sent to a queue that is not there": """
        select seq from headrace_job where queue not in (select id from headrace_queue)
    """,
    "is a queue that counts wrongly": """
        select queue.name, queue.depth, count(live.seq), queue.bytes, coalesce(sum(live.size), 0)
        from headrace_queue queue left join live on live.queue = queue.id
        group by queue.id
        having queue.depth <> count(live.seq) or queue.bytes <> coalesce(sum(live.size), 0)
    """,
    "lives without its unique key, or with another": """
        select live.seq from live left join headrace_unique held using (seq)
        where held.unique_key is not live.unique_key
    """,
    "is out of step with its order key": """
        select live.seq from live left join headrace_ordered member using (seq)
        where member.order_key is not live.order_key
            or member.seq is not null and member.queue <> live.queue
    """,
    "is the front of a group, but not in it, or neither ready nor running": """
        select seq from headrace_front front where not exists (
            select 1 from headrace_ordered member where member.seq = front.seq
                and member.queue = front.queue and member.order_key = front.order_key
        ) or seq not in (select seq from headrace_ready union select seq from headrace_running)
    """,
    "overtakes the front of its group": """
        select seq from headrace_ordered where seq not in (select seq from headrace_front)
            and seq in (select seq from headrace_ready union select seq from headrace_running)
    """,
    "is to be cancelled, but does not run": """
        select seq from headrace_cancelling where seq not in (select seq from headrace_running)
    """,
    "runs under a token that was never given, or under no claim": """
        select seq, token, claim from headrace_running
        where token <= 0 or token > (select token from headrace_engine) or claim not like '%_.%_'
    """,
    "ended in a way there is none": """
        select seq, state from headrace_finished
        where state not in ('succeeded', 'cancelled', 'dead')
            or (failure is null) <> (state = 'succeeded')
            or result is not null and state <> 'succeeded'
            or kept_until < finished_at
    """,
    "has lost too many leases to be alive": """
        select live.seq from live join headrace_tally using (seq) where lost >= 3
    """,
    "has a gap in its history": """
        select seq from headrace_history group by seq having max(step) <> count(*) or min(step) <> 1
    """,
    "is tagged wrongly": """
        select seq, value from headrace_job, json_each(envelope, '$.tags')
        where (value, seq) not in (select tag, seq from headrace_tag)
        union all
        select seq, tag from headrace_tag join headrace_job using (seq)
        where tag not in (select value from json_each(envelope, '$.tags'))
    """,
    "is an entry that was never put": "select key from headrace_entry where version < 1",
    "is the number of engine rows, and not 1": """
        select count(*) from headrace_engine having count(*) <> 1
    """,
}


def audit(path: Path) -> list[str]:
    """Return what is wrong with a file; nothing is changed in it."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as database:
        database.set_busy_timeout(10_000)
        database.execute("begin").fetchall()
        return list(_violations(database))


def _violations(database: apsw.Connection) -> Iterator[str]:
    try:
        for (text,) in database.execute("pragma integrity_check").fetchall():
            if text != "ok":
                yield f"the file is damaged: {text}"
        for meaning, query in RULES.items():
            for row in database.execute(f"with live as ({LIVE}) {query}").fetchall():
                yield f"{', '.join(str(value) for value in row)} {meaning}"
        yield from _elections(database)
    except apsw.Error as error:
        yield f"the file cannot be read: {error}"


def _elections(database: apsw.Connection) -> Iterator[str]:
    """Yield the groups whose turn is not given to the member whose turn it is."""
    running = {seq for (seq,) in database.execute("select seq from headrace_running").fetchall()}
    waiting = {seq for (seq,) in database.execute("select seq from headrace_scheduled").fetchall()}
    fronts: dict[tuple[Any, ...], Any] = {
        (queue, key): seq
        for queue, key, seq in database.execute("select * from headrace_front").fetchall()
    }
    groups: dict[tuple[Any, ...], list[tuple[int, bool]]] = defaultdict(list)
    members = "select queue, order_key, seq, skip from headrace_ordered order by seq"
    for queue, key, seq, skip in database.execute(members).fetchall():
        groups[queue, key].append((int(str(seq)), bool(skip)))
    for group, order in groups.items():
        front, due = fronts.get(group), _due(order, waiting)
        if front not in running and front != due:
            yield f"{group} has the front {front}, but it is {due}'s turn"


def _due(order: list[tuple[int, bool]], waiting: set[Any]) -> int | None:
    for seq, skip in order:
        if seq not in waiting:
            return seq
        if not skip:
            return None
    return None
