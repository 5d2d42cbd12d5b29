"""What a process knows of endpoints is never old, and asking never waits."""

from __future__ import annotations

import msgspec

from headrace.app import App
from headrace.errors import EngineBusy
from headrace.reply import Reply
from headrace.testing import ManualClock
from headrace.webhooks import directory
from headrace.webhooks.directory import Directory
from headrace.webhooks.endpoint import Endpoint
from headrace.webhooks.endpoints import PREFIX
from headrace.write import Put

ENDPOINT = Endpoint(id="ep", url="https://example.com/", keys=(), created_at=0.0)


def register(app: App) -> None:
    app.engine.apply(Put(PREFIX + "ep", msgspec.json.encode(ENDPOINT))).wait(30)


def test_what_it_was_told_is_valid_for_a_while(app: App) -> None:
    clock = ManualClock()
    known = Directory(clock)
    known.look(app.engine)
    assert known.look(app.engine) == ()
    register(app)
    assert known.look(app.engine) == ()
    clock.advance(3)
    known.look(app.engine)
    assert known.look(app.engine) == (ENDPOINT,)


def test_what_is_old_is_not_known(app: App) -> None:
    clock = ManualClock()
    known = Directory(clock)
    known.look(app.engine)

    class Busy:
        def scan(self, _prefix: str, *, limit: int) -> Reply[object]:
            assert limit
            return Reply.failed(EngineBusy("later"))

    engine = app.engine
    known._seen_at = known._asked_at = clock.monotonic()
    known._engine = busy = Busy()  # type: ignore[assignment] # it knows only what is called
    clock.advance(6)
    assert known.look(busy) is None  # type: ignore[arg-type] # as above
    assert known.look(busy) is None  # type: ignore[arg-type] # as above
    assert known.look(engine) in (None, ())
    assert known.look(engine) == ()


def test_another_engine_has_other_endpoints(app: App) -> None:
    known = Directory(ManualClock())
    register(app)
    known.look(app.engine)
    assert known.look(app.engine) == (ENDPOINT,)
    with App("memory:") as other:
        known.look(other.engine)
        assert known.look(other.engine) == ()


def test_with_too_many_to_remember_any_may_want_to_know(app: App) -> None:
    clock = ManualClock()
    known = Directory(clock)
    value = msgspec.json.encode(ENDPOINT)
    puts = [Put(f"{PREFIX}{n}", value) for n in range(directory._LIMIT)]
    app.engine.commit(puts).wait(30)
    known.look(app.engine)
    assert known.look(app.engine) is None
