"""What must be true of a history, whatever was killed: pure functions from events to violations.

An empty list is a pass. Judge after everything was healed and drained, or what is merely late
looks lost. The first two follow Jepsen's `total-queue`; `lease_log` is the protocol page.

| f            | recorded by | value |
|--------------|-------------|-------|
| `submit`     | submitters  | the job's unique number; or a list, for a batch |
| `run`        | tasks       | the number; `invoke` first, `ok` or `fail` as the last thing |
| `result`     | waiters     | the number; `ok`: its result was seen |
| `end`        | the driver  | `number`, `state`: what the system says at the end of every job |
| `effect`     | the driver  | the number, once for every row found at the end |
| `kill`       | the driver  | the pid; `invoke` before the signal |
| `stop`       | the driver  | the pid; `invoke` before SIGSTOP, `ok` after SIGCONT |
| `lose`, `retry`, `snooze`, `release`, `redrive` | who sees it | the number |
| `claim`, `extend` | holders | `job`, `token`, `since`: when asked, `seconds`: for how long |
| `settle`     | holders     | `job`, `token`, `since`, `final`; `ok`: accepted, `fail`: stale |
| `reclaim`    | holders     | `job`, `since`: its lease was taken back early |
| `sample`     | the driver  | `since` and a number of jobs by state, from one snapshot |
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, pairwise

from tests.faults.history import Event, Type

TERMINAL = {"succeeded", "cancelled", "dead"}
EXCUSES = {"lose", "retry", "snooze", "release", "redrive"}

History = Sequence[Event]


def total_queue(history: History) -> list[str]:
    """What was accepted is finished and known, what ran was asked for, what was refused did not."""
    asked, accepted, refused = (
        _numbers(history, "submit", t) for t in (Type.INVOKE, Type.OK, Type.FAIL)
    )
    begun, done = (_numbers(history, "run", t) for t in (Type.INVOKE, Type.OK))
    states = _end_states(history)
    succeeded = {number for number, state in states.items() if state == "succeeded"}
    ended = {number for number, state in states.items() if state in TERMINAL}
    return [
        *_each("was accepted but never ran to its end", accepted - done - (ended - succeeded)),
        *_each("was accepted but is unknown in the end", accepted - states.keys()),
        *_each("was accepted but is not finished", states.keys() - ended),
        *_each("is called succeeded but never ran to its end", succeeded - done),
        *_each("ran but was never submitted", begun - asked),
        *_each("ran but was refused", begun & refused),
    ]


def attributed_duplicates(history: History) -> list[str]:
    """A job runs again only for a cause that was seen: its failure, a lost lease, a dead worker."""
    runs = _Runs()
    return [violation for event in history if (violation := runs.follow(event))]


class _Runs:
    """Which jobs may run again, as a history goes by."""

    def __init__(self) -> None:
        self.unexcused: dict[int, int] = {}  # jobs that nothing allows another run, and their pids
        self.seen: set[int] = set()  # jobs whose result was seen
        self.struck: set[int] = set()  # pids that were killed, are frozen, or have to end

    def follow(self, event: Event) -> str | None:
        match event.f, event.type:
            case "run", Type.INVOKE:
                return self._begin(event.value, event.process)
            case "result", Type.OK:
                self.seen.add(event.value)
            case (("kill" | "stop"), Type.INVOKE):
                self.struck.add(event.value)
            case "settle", Type.INFO:
                # Nobody knows what was written, so the process ends with all that it holds.
                self.struck.add(event.process)
            case "stop", Type.OK:
                self.struck.discard(event.value)
                self.unexcused = {n: p for n, p in self.unexcused.items() if p != event.value}
            case f, kind if f in EXCUSES or (f, kind) == ("run", Type.FAIL):
                self.unexcused.pop(event.value, None)
        return None

    def _begin(self, number: int, process: int) -> str | None:
        before = self.unexcused.get(number)
        self.unexcused[number] = process
        if number in self.seen:
            return f"job {number} ran again after its result was seen"
        if before is not None and before not in self.struck:
            return f"job {number} ran again without a cause"
        return None


def lease_log(history: History) -> list[str]:
    """Tokens only grow, only the newest settles, and nobody claims what another still holds."""
    events: dict[str, list[Event]] = defaultdict(list)
    for event in history:
        # What was asked for may have happened, even if nobody lived to see the answer.
        asked = event.type is Type.INVOKE and event.f in {"claim", "extend"}
        if event.f in {"claim", "extend", "settle", "reclaim"} and not asked:
            events[event.value["job"]].append(event)
    return [
        f"job {job}: {violation}"
        for job, of_job in events.items()
        for violation in (*_token_order(of_job), *_settlements(of_job), *_overlaps(of_job))
    ]


def _token_order(events: History) -> Iterator[str]:
    claims = _of(events, "claim")
    for first, second in combinations(claims, 2):
        one, two = first.value["token"], second.value["token"]
        if one == two:
            yield f"token {one} was given twice"
        elif one > two and first.time < second.value["since"]:
            yield f"token {two} was given after {one}"


def _settlements(events: History) -> Iterator[str]:
    for settled in _of(events, "settle"):
        token, since = settled.value["token"], settled.value["since"]
        for claim in _of(events, "claim"):
            if claim.value["token"] > token and claim.time < since:
                yield f"token {token} settled it after {claim.value['token']} was given"
            elif settled.value["final"] and claim.value["since"] > settled.time:
                yield f"it was claimed again after token {token} had finished it"
    finals = [e.value["token"] for e in _of(events, "settle") if e.value["final"]]
    if len(finals) > 1:
        yield f"it was finished more than once, by tokens {finals}"


def _overlaps(events: History) -> Iterator[str]:
    claims = sorted(_of(events, "claim"), key=lambda claim: int(claim.value["token"]))
    for first, second in pairwise(claims):
        if second.time < _held_until(first, events):
            one, two = first.value["token"], second.value["token"]
            yield f"token {two} was given while {one} held the lease"


def _held_until(claim: Event, events: History) -> int:
    """Return the moment up to which a lease surely held, in nanoseconds.

    Time was granted from some moment after it was asked for; an end may have come as soon as it
    was asked for, even if its answer was lost.
    """
    token = claim.value["token"]
    grants = [claim, *(e for e in _of(events, "extend") if e.value["token"] == token)]
    ends = [
        event.value["since"]
        for event in events
        if event.f == "reclaim" or (event.f == "settle" and event.value["token"] == token)
    ]
    granted = max(grant.value["since"] + grant.value["seconds"] * 10**9 for grant in grants)
    return int(min([granted, *(end for end in ends if end > claim.value["since"])]))


def conservation(history: History) -> list[str]:
    """Every snapshot holds the jobs accepted before it, and none that nobody had asked for."""
    accepted, asked = _moments(history, Type.OK), _moments(history, Type.INVOKE)
    violations = []
    for sample in _of(history, "sample"):
        found = sum(count for state, count in sample.value.items() if state != "since")
        least = bisect_left(accepted, sample.value["since"])
        most = bisect_right(asked, sample.time)
        if not least <= found <= most:
            violations.append(f"a snapshot holds {found} jobs, not between {least} and {most}")
    return violations


def effect_once(history: History) -> list[str]:
    """A job that succeeded had its effect exactly once, any other job none."""
    effects = Counter(event.value for event in _of(history, "effect"))
    states = _end_states(history)
    succeeded = {number for number, state in states.items() if state == "succeeded"}
    return [
        *_each("took effect more than once", (n for n, count in effects.items() if count > 1)),
        *_each("succeeded without its effect", succeeded - effects.keys()),
        *_each("took effect but did not succeed", effects.keys() - succeeded),
    ]


def _moments(history: History, kind: Type) -> list[int]:
    submits = _of(history, "submit", kind)
    return [s.time for s in submits for _ in (s.value if isinstance(s.value, list) else [0])]


def _of(history: Iterable[Event], f: str, kind: Type = Type.OK) -> list[Event]:
    return [event for event in history if event.f == f and event.type is kind]


def _numbers(history: History, f: str, kind: Type) -> set[int]:
    values = (event.value for event in _of(history, f, kind))
    return {n for value in values for n in (value if isinstance(value, list) else [value])}


def _end_states(history: History) -> dict[int, str]:
    return {event.value["number"]: event.value["state"] for event in _of(history, "end")}


def _each(what: str, numbers: Iterable[int]) -> list[str]:
    return [f"job {number} {what}" for number in sorted(numbers)]
