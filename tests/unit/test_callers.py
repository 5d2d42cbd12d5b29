"""Blocking callers are kept off event loops, and awaiting ones have a deadline."""

from __future__ import annotations

import asyncio

import pytest

from headrace.callers import answer, in_thread, pause, refuse_on_loop
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
