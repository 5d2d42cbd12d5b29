"""A reply is given once, to whoever waits, in threads and on event loops."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.errors import BlockingCall, EngineBusy
from headrace.reply import Errand, Reply, Unanswered, resolve_all


class Boom(Exception):
    pass


async def awaited(reply: Reply[int]) -> int:
    return await reply


def waiting(reply: Reply[int]) -> bool:
    """Return whether somebody waits for a reply, in a thread or on a loop."""
    return bool(reply._listeners or reply._futures)


def wait_until_waited_for(*replies: Reply[int]) -> None:
    pause = threading.Event()
    while not all(waiting(reply) for reply in replies):
        pause.wait(0.001)


def test_a_given_value_is_there_at_once() -> None:
    reply = Reply.of(7)
    assert reply.done
    assert reply.error is None
    assert reply.wait(0) == 7
    assert asyncio.run(awaited(reply)) == 7


def test_a_given_error_is_raised_at_once() -> None:
    reply: Reply[int] = Reply.failed(Boom())
    assert reply.done
    assert isinstance(reply.error, Boom)
    with pytest.raises(Boom):
        reply.wait(0)
    with pytest.raises(Boom):
        asyncio.run(awaited(reply))


@pytest.mark.parametrize("value", [None, 0, "", ()])
def test_an_empty_value_is_a_value(value: object) -> None:
    reply: Reply[object] = Reply()
    reply.resolve(value)
    assert reply.done
    assert reply.wait(0) == value


@pytest.mark.parametrize("error", [None, EngineBusy("locked")])
def test_an_answer_in_the_last_moment_is_the_answer(
    monkeypatch: pytest.MonkeyPatch, error: EngineBusy | None
) -> None:
    reply: Reply[int] = Reply()

    class Late(threading.Event):
        """Times out, and meanwhile the answer comes."""

        def wait(self, timeout: float | None = None) -> bool:
            assert timeout == 5
            resolve_all([(reply, 7, error)])
            return False

    monkeypatch.setattr(threading, "Event", Late)
    if error is None:
        assert reply.wait(5) == 7
    else:
        with pytest.raises(EngineBusy, match="locked"):
            reply.wait(5)


def test_a_thread_waits_until_another_resolves() -> None:
    reply: Reply[int] = Reply()
    with ThreadPoolExecutor() as threads:
        waiter = threads.submit(reply.wait, 5)
        wait_until_waited_for(reply)
        assert not reply.done
        reply.resolve(7)
        assert waiter.result(5) == 7


def test_waiting_too_long_is_busy_and_the_value_may_still_come() -> None:
    reply: Reply[int] = Reply()
    with pytest.raises(Unanswered, match=r"within 0\.01 s"):
        reply.wait(0.01)
    reply.resolve(7)
    assert reply.wait(0) == 7


def test_the_first_answer_stays() -> None:
    reply: Reply[int] = Reply()
    reply.resolve(1)
    reply.resolve(2)
    reply.fail(Boom())
    assert reply.wait(0) == 1


def test_of_many_threads_one_resolves() -> None:
    for _ in range(50):
        reply: Reply[int] = Reply()
        told: list[int] = []
        reply.listen(lambda reply, told=told: told.append(reply.wait(0)))  # type: ignore[misc] # bound to this round
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(reply.resolve, range(4)))
        assert told == [reply.wait(0)]


def test_many_threads_wait_for_one_reply() -> None:
    reply: Reply[int] = Reply()
    with ThreadPoolExecutor(8) as threads:
        waiters = [threads.submit(reply.wait, 5) for _ in range(8)]
        wait_until_waited_for(reply)
        reply.resolve(7)
        assert [waiter.result(5) for waiter in waiters] == [7] * 8


def test_many_coroutines_wait_for_one_reply() -> None:
    async def story() -> list[int]:
        reply: Reply[int] = Reply()
        waiters = [asyncio.create_task(awaited(reply)) for _ in range(8)]
        await asyncio.sleep(0)
        threading.Thread(target=reply.resolve, args=(7,)).start()
        return await asyncio.gather(*waiters)

    assert asyncio.run(story()) == [7] * 8


def test_loops_and_threads_wait_for_one_reply() -> None:
    reply: Reply[int] = Reply()
    with ThreadPoolExecutor(4) as threads:
        waiters = [threads.submit(reply.wait, 5)]
        waiters += [threads.submit(lambda: asyncio.run(awaited(reply))) for _ in range(3)]
        pause = threading.Event()
        while len(reply._futures) + len(reply._listeners) < 4:
            pause.wait(0.001)
        reply.resolve(7)
        assert [waiter.result(5) for waiter in waiters] == [7] * 4


def test_a_reply_can_be_resolved_on_the_loop_that_awaits_it() -> None:
    async def story() -> int:
        reply: Reply[int] = Reply()
        waiter = asyncio.create_task(awaited(reply))
        await asyncio.sleep(0)
        reply.resolve(7)
        return await waiter

    assert asyncio.run(story()) == 7


def test_a_race_of_await_and_resolve_loses_nothing() -> None:
    async def story() -> int:
        replies: list[Reply[int]] = [Reply() for _ in range(500)]

        def resolve() -> None:
            for number, reply in enumerate(replies):
                reply.resolve(number)

        thread = threading.Thread(target=resolve)
        thread.start()
        total = sum([await reply for reply in replies])
        thread.join()
        return total

    assert asyncio.run(asyncio.wait_for(story(), 10)) == sum(range(500))


def test_resolving_many_wakes_each_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wakes: list[asyncio.AbstractEventLoop] = []
    wake = asyncio.BaseEventLoop.call_soon_threadsafe

    def counted(loop: asyncio.BaseEventLoop, *args: object, **kwargs: object) -> object:
        wakes.append(loop)
        return wake(loop, *args, **kwargs)  # type: ignore[arg-type] # passed on as it came

    async def wait_for_all(replies: list[Reply[int]]) -> list[int]:
        return list(await asyncio.gather(*[awaited(reply) for reply in replies]))

    halves: list[list[Reply[int]]] = [[Reply() for _ in range(100)] for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        loops = [threads.submit(asyncio.run, wait_for_all(half)) for half in halves]
        wait_until_waited_for(*halves[0], *halves[1])
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.BaseEventLoop, "call_soon_threadsafe", counted)
            resolve_all((reply, 7, None) for half in halves for reply in half)
        assert [loop.result(5) for loop in loops] == [[7] * 100] * 2
    assert len(wakes) == len(set(wakes)) == 2


def test_values_and_errors_go_to_their_own_waiters() -> None:
    replies: list[Reply[int]] = [Reply() for _ in range(3)]
    replies[2].resolve(9)
    resolve_all([(replies[0], 1, None), (replies[1], None, Boom()), (replies[2], 3, None)])
    assert replies[0].wait(0) == 1
    assert isinstance(replies[1].error, Boom)
    assert replies[2].wait(0) == 9


def test_a_cancelled_coroutine_disturbs_nobody() -> None:
    async def story() -> int:
        reply: Reply[int] = Reply()
        gone, stays = (asyncio.create_task(awaited(reply)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert gone.cancelled()
        reply.resolve(7)
        return await stays

    assert asyncio.run(story()) == 7


def test_a_closed_loop_keeps_nobody_from_the_answer() -> None:
    reply: Reply[int] = Reply()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(awaited(reply), 0.01)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(give_up())
    loop.close()
    told: list[int] = []
    reply.listen(lambda reply: told.append(reply.wait(0)))
    reply.resolve(7)
    assert told == [7]


def test_a_listener_is_called_once_whether_early_or_late() -> None:
    reply: Reply[int] = Reply()
    told: list[str] = []
    reply.listen(lambda _: told.append("early"))
    assert told == []
    reply.resolve(7)
    reply.resolve(8)
    reply.listen(lambda _: told.append("late"))
    assert told == ["early", "late"]


def test_a_listener_that_fails_keeps_nobody_from_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: Reply[int]) -> None:
        raise Boom

    first: Reply[int] = Reply()
    second: Reply[int] = Reply()
    told: list[int] = []
    first.listen(fail)
    first.listen(lambda reply: told.append(reply.wait(0)))
    resolve_all([(first, 1, None), (second, 2, None)])
    assert told == [1]
    assert second.wait(0) == 2
    assert "listener" in caplog.text
    first.listen(fail)  # a late one is no different


def test_map_changes_the_value_early_or_late() -> None:
    reply: Reply[int] = Reply()
    early = reply.map(lambda value: value + 1)
    assert not early.done
    reply.resolve(1)
    assert early.wait(0) == 2
    assert early.map(str).wait(0) == "2"


def test_map_passes_an_error_on() -> None:
    reply: Reply[int] = Reply()
    mapped = reply.map(lambda value: value + 1)
    reply.fail(Boom())
    assert isinstance(mapped.error, Boom)


@pytest.mark.parametrize("error", [Boom(), KeyboardInterrupt(), SystemExit(3)])
def test_whatever_a_change_raises_is_told(error: BaseException) -> None:
    def change(_: int) -> int:
        raise error

    reply: Reply[int] = Reply()
    mapped = reply.map(change)
    reply.resolve(1)
    assert mapped.error is error
    assert reply.wait(0) == 1


def test_an_errand_is_done_where_it_is_awaited() -> None:
    tasks: list[object] = []

    async def work() -> int:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        return 7

    async def story() -> None:
        errand = Errand(work, "await it")
        changed = errand.map(str)
        assert not errand.done
        with pytest.raises(BlockingCall, match="await it"):
            changed.wait()
        assert await changed == "7"
        assert (await errand, errand.wait(), changed.wait()) == (7, 7, "7")
        assert tasks == [asyncio.current_task()]

    asyncio.run(story())


def test_an_errand_that_fails_is_not_repeated() -> None:
    tries: list[int] = []

    async def work() -> int:
        tries.append(1)
        raise Boom

    async def story() -> None:
        errand = Errand(work, "await it")
        for _ in range(2):
            with pytest.raises(Boom):
                await errand
        assert isinstance(errand.error, Boom)

    asyncio.run(story())
    assert tries == [1]
