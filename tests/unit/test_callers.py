"""Blocking callers are kept off event loops, and awaiting ones have a deadline."""

from __future__ import annotations

import asyncio

import pytest

from headrace.callers import Patience, answer, in_thread, pause, refuse_on_loop
from headrace.errors import BlockingCall, EngineBusy, TransactionTimeout
from headrace.reply import Errand, Reply, Unanswered


def test_a_blocking_call_is_refused_on_a_running_loop_only() -> None:
    async def on_loop() -> None:
        refuse_on_loop("job.result()", "await job.aresult()")

    refuse_on_loop("job.result()", "await job.aresult()")
    with pytest.raises(BlockingCall, match=r"job\.result\(\) .*`await job\.aresult\(\)`"):
        asyncio.run(on_loop())


def test_a_thread_beside_a_loop_may_block() -> None:
    async def on_loop() -> None:
        await in_thread(lambda: refuse_on_loop("a", "b"))
        await pause(0)

    asyncio.run(on_loop())


def test_an_answer_comes_or_is_given_up() -> None:
    async def ask() -> None:
        assert await answer(Reply.of(1), 0) == 1
        reply: Reply[int] = Reply()
        asyncio.get_running_loop().call_soon(reply.resolve, 2)
        assert await answer(reply, 5) == 2
        with pytest.raises(Unanswered, match=r"within 0\.01 s"):
            await answer(Reply[int](), 0.01)

    asyncio.run(ask())


def test_each_of_many_replies_is_given_up_in_its_time() -> None:
    async def ask() -> list[object]:
        patience, replies = Patience(0.2), [Reply[int]() for _ in range(4)]
        asking = []
        for reply in replies:
            asking.append(asyncio.create_task(patience.answer(reply)))
            await asyncio.sleep(0.01)  # so that each has a moment of its own
        replies[3].resolve(7)
        return await asyncio.gather(*asking, return_exceptions=True)

    *late, last = asyncio.run(ask())
    assert [type(each) for each in late] == [Unanswered] * 3
    assert last == 7


def test_a_reply_is_given_up_on_whichever_loop_awaits_it() -> None:
    patience = Patience(0.01)

    async def ask() -> None:
        assert await patience.answer(Reply.of(1)) == 1
        reply: Reply[int] = Reply()
        asyncio.get_running_loop().call_soon(reply.resolve, 2)
        assert await patience.answer(reply) == 2
        with pytest.raises(Unanswered, match=r"within 0\.01 s"):
            await patience.answer(Reply[int]())

    for _ in range(2):
        asyncio.run(ask())


def test_who_stops_waiting_is_forgotten() -> None:
    async def ask() -> None:
        patience, reply = Patience(0.01), Reply[int]()
        asking = asyncio.create_task(patience.answer(reply))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.sleep(0.03)
        assert not reply.done

    asyncio.run(ask())


@pytest.mark.parametrize("error", [TransactionTimeout("too long"), EngineBusy("locked")])
def test_the_engine_s_own_errors_pass(error: Exception) -> None:
    async def ask() -> None:
        reply: Reply[int] = Reply()
        asyncio.get_running_loop().call_soon(reply.fail, error)
        await answer(reply, 5)

    with pytest.raises(type(error)) as awaiting:
        asyncio.run(ask())
    with pytest.raises(type(error)) as blocking:
        Reply[int].failed(error).wait(5)
    assert not isinstance(awaiting.value, Unanswered)
    assert not isinstance(blocking.value, Unanswered)


def test_an_errand_is_not_given_up_halfway() -> None:
    async def work() -> int:
        await asyncio.sleep(0.01)
        return 7

    assert asyncio.run(answer(Errand(work, "await it"), 0)) == 7
    assert asyncio.run(Patience(0).answer(Errand(work, "await it"))) == 7
