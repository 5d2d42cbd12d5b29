"""A channel is a tag or a queue, of one tenant or of all."""

from __future__ import annotations

import msgspec

from headrace.gateway.watching.channel import Audience, Channel, channels_of
from headrace.gateway.watching.sight import Sight
from headrace.message import VERSION, Message
from headrace.record import LIVE, Filter, Record, State
from tests.unit.gateway.watching.counting import Notebook

MESSAGE = Message(
    v=VERSION, id="1", task="x", body=msgspec.Raw(b"{}"), queue="q", tags=("a", "tenant:acme")
)


def test_a_job_belongs_to_its_channels() -> None:
    found = set(channels_of(MESSAGE))
    assert {Channel("queue", "q"), Channel("tag", "a"), Channel("queue", "q", "acme")} <= found
    assert Channel("tag", "a", "acme") in found
    assert Channel("tag", "a", "bravo") not in found


def test_its_jobs_are_found_by_a_filter() -> None:
    assert Channel("queue", "q").filter(LIVE) == Filter(states=LIVE, queues=("q",))
    own = Filter(states=LIVE, tags=("a", "tenant:acme"))
    assert Channel("tag", "a", "acme").filter(LIVE) == own


def test_an_audience_lets_go_of_what_has_ended() -> None:
    let_go: list[str] = []
    audience = Audience(Channel("tag", "a"), lambda job, _: let_go.append(job))
    one, two = Notebook(), Notebook()
    audience.waiters |= {one, two}
    audience.members |= {"1", "2"}
    for state in (State.READY, State.SUCCEEDED):
        audience.tell("1", Sight(Record(message=MESSAGE, state=state, accepted_at=0), None, 9, 0))
    audience.tell("2", None)
    assert one.states == two.states == ["ready", "succeeded", "gone"]
    assert (audience.members, let_go) == (set(), ["1", "2"])
    audience.miss(audience.channel)
    audience.stop()
    assert one.missed == [audience.channel]
    assert not audience.whole
