"""The conformance suite of what an engine is as a whole; how to use it: `queue_suite`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from headrace.engine import Engine, Topic
from headrace.errors import (
    Conflict,
    DuplicateJob,
    EngineClosed,
    HeadraceError,
    LeaseLost,
    Unsupported,
    UsageError,
)
from headrace.record import State
from headrace.reply import Reply
from headrace.testing.steps import (
    PATIENCE,
    apply,
    claim,
    claim_one,
    depth,
    job_id,
    label_of,
    labels,
    message,
    record,
    send,
    settle,
    state,
)
from headrace.write import Delete, PauseQueue, Put, Send, Settle, Settlement

A = TypeVar("A")


class LifecycleSuite:
    """Opening, closing and what an engine says of itself."""

    def test_opening_again_is_harmless(self, engine: Engine) -> None:
        send(engine, "a")
        engine.open().wait(PATIENCE)
        assert state(engine, "a") is State.READY

    def test_a_closed_engine_says_so(self, engine: Engine) -> None:
        engine.close().wait(PATIENCE)
        calls: list[Callable[[], object]] = [
            lambda: send(engine, "a"),
            lambda: claim(engine),
            lambda: state(engine, "a"),
            lambda: engine.load(["k"]).wait(PATIENCE).get("k"),
            lambda: engine.depth().wait(PATIENCE),
            lambda: engine.maintain().wait(PATIENCE),
        ]
        for call in calls:
            with pytest.raises(EngineClosed):
                call()

    def test_closing_again_is_harmless(self, engine: Engine) -> None:
        engine.close().wait(PATIENCE)
        engine.close().wait(PATIENCE)

    def test_a_closed_engine_can_be_opened(self, engine: Engine) -> None:
        send(engine, "a")
        apply(engine, Put("k", b"1"))
        apply(engine, PauseQueue("default"))
        engine.close().wait(PATIENCE)
        engine.open().wait(PATIENCE)
        durable = engine.capabilities.durable == "native"
        assert state(engine, "a") is (State.READY if durable else None)
        assert (engine.load(["k"]).wait(PATIENCE).get("k") is not None) is durable
        apply(engine, PauseQueue("default", paused=False))
        send(engine, "b")
        assert labels(claim(engine, 5)) == (["a", "b"] if durable else ["b"])

    def test_no_token_is_handed_out_twice(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        engine.close().wait(PATIENCE)
        engine.open().wait(PATIENCE)
        if engine.capabilities.durable == "native":
            assert settle(engine, lease, State.READY, counted=False).lost == frozenset()
            assert claim_one(engine).token > lease.token
        else:
            send(engine, "a")
            claim_one(engine)
            assert settle(engine, lease).lost == {job_id("a")}

    def test_it_tells_what_doctor_prints(self, engine: Engine) -> None:
        seen = engine.inspect().wait(PATIENCE)
        assert seen.engine
        assert seen.location
        assert seen.guarantee

    def test_a_backup_is_a_file_or_is_declared_impossible(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        send(engine, "a")
        target = tmp_path / "copy"
        if engine.capabilities.backup == "never":
            with pytest.raises(Unsupported):
                engine.backup(target).wait(PATIENCE)
        else:
            engine.backup(target).wait(PATIENCE)
            assert target.stat().st_size > 0

    def test_adopting_is_declared(self, engine: Engine) -> None:
        refusal = Unsupported if engine.capabilities.adopt == "never" else UsageError
        with pytest.raises(refusal, match="object"):
            engine.adopt(object())

    def test_every_answer_can_be_awaited(self, engine: Engine) -> None:
        async def story() -> State:
            await engine.apply(Send((message("a"),)))
            (lease,) = await engine.lease(["default"], limit=1, seconds=30, holder="w")
            waiting = engine.lease(["default"], limit=1, seconds=30, holder="w", wait=60)
            await engine.commit([Settle((Settlement(lease=lease, to=State.SUCCEEDED),))])
            await engine.apply(Send((message("b"),)))
            (other,) = await asyncio.wait_for(_awaited(waiting), PATIENCE)
            assert labels([other]) == ["b"]
            with pytest.raises(DuplicateJob):
                await engine.apply(Send((message("b"),)))
            return (await engine.states([job_id("a")]))[job_id("a")]

        assert asyncio.run(story()) is State.SUCCEEDED


class WatchSuite:
    """Hints: that something may have changed."""

    def expect_hint(
        self, engine: Engine, topic: Topic, change: Callable[[], object]
    ) -> threading.Event:
        """Watch a topic, make a change, and see that a hint comes."""
        hinted = threading.Event()
        stop = engine.watch(topic, hinted.set)
        change()
        assert hinted.wait(PATIENCE), f"no hint about {topic!r}"
        stop()
        return hinted

    def test_a_new_job_is_hinted_at(self, engine: Engine) -> None:
        self.expect_hint(engine, "ready", lambda: send(engine, "a"))

    def test_a_finished_job_is_hinted_at(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        self.expect_hint(engine, "finished", lambda: settle(engine, lease))

    def test_a_stored_entry_is_hinted_at(self, engine: Engine) -> None:
        self.expect_hint(engine, "stored", lambda: apply(engine, Put("k", b"")))

    def test_a_hint_comes_after_its_change(self, engine: Engine) -> None:
        found = threading.Event()

        def note(reply: Reply[dict[str, State]]) -> None:
            # A hint may come for nothing; the one about the change comes when it can be seen.
            if reply.wait(0).get(job_id("a")) is State.READY:
                found.set()

        def look() -> None:
            engine.states([job_id("a")]).listen(note)

        stop = engine.watch("ready", look)
        send(engine, "a")
        assert found.wait(PATIENCE), "no hint came after the change"
        stop()

    def test_nobody_is_hinted_at_after_he_stopped(self, engine: Engine) -> None:
        hinted = self.expect_hint(engine, "ready", lambda: send(engine, "a"))
        hinted.clear()
        self.expect_hint(engine, "ready", lambda: send(engine, "b"))
        assert not hinted.is_set()

    def test_a_watcher_that_fails_breaks_nothing(self, engine: Engine) -> None:
        def fail() -> None:
            raise LookupError("this watcher fails on purpose")

        stop = engine.watch("ready", fail)
        send(engine, "a")
        self.expect_hint(engine, "ready", lambda: send(engine, "b"))
        stop()
        assert labels(claim(engine, 5)) == ["a", "b"]


class TransactionSuite:
    """`begin()`: several commits that stand or fall together."""

    def test_it_is_there_or_declared_missing(self, engine: Engine) -> None:
        if engine.capabilities.transaction == "never":
            with pytest.raises(Unsupported):
                engine.begin()
        else:
            engine.begin().rollback().wait(PATIENCE)


class NativeTransactionSuite:
    """For engines whose `capabilities.transaction` is "native"."""

    def test_nothing_is_seen_before_the_commit(self, engine: Engine) -> None:
        tx = engine.begin()
        engine.commit([Send((message("a"),)), Put("k", b"1")], tx).wait(PATIENCE)
        assert state(engine, "a") is None
        assert engine.load(["k"]).wait(PATIENCE).get("k") is None
        tx.commit().wait(PATIENCE)
        assert state(engine, "a") is State.READY
        assert engine.load(["k"]).wait(PATIENCE).get("k") is not None

    def test_a_rollback_leaves_nothing(self, engine: Engine) -> None:
        tx = engine.begin()
        engine.apply(Send((message("a"),)), tx).wait(PATIENCE)
        tx.rollback().wait(PATIENCE)
        tx.rollback().wait(PATIENCE)
        assert state(engine, "a") is None
        send(engine, "a")

    def test_completion_and_new_jobs_are_one(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        tx = engine.begin()
        engine.apply(Send((message("next"),)), tx).wait(PATIENCE)
        done = Settle((Settlement(lease=lease, to=State.SUCCEEDED),), strict=True)
        assert engine.apply(done, tx).wait(PATIENCE).lost == frozenset()
        tx.commit().wait(PATIENCE)
        assert state(engine, "a") is State.SUCCEEDED
        assert labels(claim(engine, 5)) == ["next"]

    def test_a_lost_lease_takes_everything_with_it(self, engine: Engine) -> None:
        send(engine, "a")
        lease = claim_one(engine)
        settle(engine, lease, State.READY, counted=False)
        tx = engine.begin()
        engine.apply(Put("effect", b"1"), tx).wait(PATIENCE)
        with pytest.raises(LeaseLost):
            engine.apply(
                Settle((Settlement(lease=lease, to=State.SUCCEEDED),), strict=True), tx
            ).wait(PATIENCE)
        tx.rollback().wait(PATIENCE)
        assert engine.load(["effect"]).wait(PATIENCE).get("effect") is None
        assert state(engine, "a") is State.READY

    def test_writes_of_a_transaction_see_each_other(self, engine: Engine) -> None:
        tx = engine.begin()
        assert engine.apply(Put("k", b"1", expect=0), tx).wait(PATIENCE).version == 1
        assert engine.apply(Put("k", b"2", expect=1), tx).wait(PATIENCE).version == 2
        with pytest.raises(Conflict):
            engine.apply(Delete("k", expect=1), tx).wait(PATIENCE)

    def test_a_refused_write_undoes_the_transaction(self, engine: Engine) -> None:
        tx = engine.begin()
        engine.apply(Send((message("a", unique_key="u"),)), tx).wait(PATIENCE)
        with pytest.raises(DuplicateJob):
            engine.apply(Send((message("b", unique_key="u"),)), tx).wait(PATIENCE)
        with pytest.raises(HeadraceError):
            tx.commit().wait(PATIENCE)
        assert state(engine, "a") is None
        send(engine, "c", unique_key="u")

    def test_an_ended_transaction_takes_nothing_more(self, engine: Engine) -> None:
        tx = engine.begin()
        tx.commit().wait(PATIENCE)
        with pytest.raises(HeadraceError):
            engine.apply(Send((message("a"),)), tx).wait(PATIENCE)
        assert state(engine, "a") is None

    def test_an_order_key_follows_the_commit(self, engine: Engine) -> None:
        tx = engine.begin()
        engine.apply(Send((message("a", order_key="g"),)), tx).wait(PATIENCE)
        tx.commit().wait(PATIENCE)
        send(engine, "b", order_key="g")
        lease = claim_one(engine)
        assert labels([lease]) == ["a"]
        settle(engine, lease)
        assert labels(claim(engine)) == ["b"]


class ConcurrencySuite:
    """Many threads at once; judged by what must hold whatever their order was."""

    def test_every_job_is_given_to_one_worker(self, engine: Engine) -> None:
        names = [f"{n}" for n in range(400)]
        sent: list[str] = []
        taken: list[str] = []

        def produce(part: list[str]) -> None:
            for name in part:
                send(engine, name)
                sent.append(name)

        def consume(holder: str) -> None:
            while len(sent) < len(names) or depth(engine).ready:
                for lease in claim(engine, 7, holder=holder):
                    taken.append(label_of(lease.job_id))
                    assert settle(engine, lease).lost == frozenset()

        producers = [partial(produce, names[n::4]) for n in range(4)]
        together(*producers, *[partial(consume, f"w{n}") for n in range(4)])
        assert sorted(taken) == sorted(names)

    def test_a_group_never_overlaps(self, engine: Engine) -> None:
        for n in range(60):
            send(engine, f"{n}", order_key=f"g{n % 3}")
        running: set[str] = set()
        ran: dict[str, list[int]] = {f"g{n}": [] for n in range(3)}
        overlaps: list[str] = []

        def consume(holder: str) -> None:
            while leases := claim(engine, 2, holder=holder):
                for lease in leases:
                    group = str(lease.message.order_key)
                    if group in running:
                        overlaps.append(group)
                    running.add(group)
                    ran[group].append(int(label_of(lease.job_id)))
                for lease in leases:
                    running.discard(str(lease.message.order_key))
                    settle(engine, lease)

        together(*[partial(consume, f"w{n}") for n in range(4)])
        assert overlaps == []
        assert depth(engine).depth == 0
        assert all(order == sorted(order) for order in ran.values())

    def test_one_of_many_rivals_gets_the_key(self, engine: Engine) -> None:
        won: list[str] = []
        refused: list[str] = []

        def submit(name: str) -> None:
            try:
                send(engine, name, unique_key="k")
            except DuplicateJob as duplicate:
                refused.append(duplicate.job_id)
            else:
                won.append(job_id(name))

        together(*[partial(submit, f"{n}") for n in range(8)])
        assert len(won) == 1
        assert set(refused) == set(won)
        assert record(engine, label_of(won[0])).state is State.READY


def together(*calls: Callable[[], object]) -> None:
    """Run calls at the same time, each in a thread of its own; raise what one of them raised."""
    with ThreadPoolExecutor(len(calls)) as threads:
        for future in [threads.submit(call) for call in calls]:
            future.result()


async def _awaited(reply: Reply[A]) -> A:
    return await reply
