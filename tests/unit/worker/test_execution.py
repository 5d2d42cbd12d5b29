"""A run is performed under a valid lease only, and whatever it does becomes a settlement."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from msgspec import Raw

from headrace.child import ChildDied
from headrace.context import Context, Workplace
from headrace.ending import Ending
from headrace.errand import Answer, decode_errand, encode
from headrace.errors import LeaseLost, UnknownTask
from headrace.intake import Intake
from headrace.job import Progress
from headrace.logs import LastLines
from headrace.middleware import compose
from headrace.outcome import Cancel, Dead, Retry, Snooze
from headrace.record import Cause, State
from headrace.worker.execution import Execution
from headrace.worker.leases import Leases
from headrace.worker.run import Run
from headrace.worker.settler import Settler
from headrace.worker.watchdog import Watchdog
from headrace.write import Settlement
from tests.unit.worker.stage import Stage, lease, recipe


class Case:
    """An execution on a stage."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.leases = Leases()
        self.reported: list[tuple[str, Progress]] = []
        self.execution = Execution(
            self.stage.site,
            settler=Settler(self.stage.site, self.leases),
            leases=self.leases,
            watchdog=Watchdog(self.stage.site, lambda _: None),
            workplace=Workplace(
                intake=cast("Intake", None),  # only transactions need one
                clock=self.stage.clock,
                deadline=5,
                max_result=1000,
                report=lambda job_id, progress: self.reported.append((job_id, progress)),
            ),
        )

    def run(self, function: Callable[..., Any], **more: Any) -> Run:
        own = {name: more.pop(name) for name in ("injects", "wrapped", "decode") if name in more}
        timeout = more.pop("timeout", None)
        run = Run(lease(**more), recipe(function, **own), 2000.0, timeout)
        self.leases.hold([run])
        return run

    def perform(self, run: Run) -> Settlement:
        if asyncio.iscoroutinefunction(run.recipe.function):
            asyncio.run(self.execution.perform_async(run))
        else:
            self.execution.perform(run)
        assert run.ended
        (settlement,) = self.stage.engine.settlements()
        assert isinstance(settlement, Settlement)
        return settlement


@pytest.fixture
def case() -> Case:
    return Case()


def never(n: int) -> None:
    pytest.fail(f"it ran with {n}")


def test_a_function_is_called_and_its_result_settled(case: Case) -> None:
    settlement = case.perform(case.run(lambda n: n + 1))
    assert (settlement.to, settlement.result) == (State.SUCCEEDED, Raw(b"2"))


@pytest.mark.parametrize(("waited", "to"), [(0.4, State.SUCCEEDED), (0.6, State.READY)])
def test_a_job_that_may_have_expired_while_it_waited_here_is_handed_back(
    case: Case, waited: float, to: State
) -> None:
    run = case.run(lambda n: n, expires_after=60.0)
    run.claimed = case.stage.clock.monotonic()
    case.stage.clock.advance(waited)
    assert case.perform(run).to is to


def test_a_coroutine_function_is_awaited(case: Case) -> None:
    async def add(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    settlement = case.perform(case.run(add))
    assert (settlement.to, settlement.result) == (State.SUCCEEDED, Raw(b"2"))


def test_an_exception_becomes_a_failure_with_its_evidence(case: Case) -> None:
    lines = LastLines()
    lines.start()

    def fail(n: int) -> None:
        logging.getLogger("mine").warning("about to fail with %d", n)
        raise ValueError("no luck")

    settlement = case.perform(case.run(fail))
    lines.stop()
    failure = settlement.failure
    assert failure is not None
    assert (settlement.to, settlement.delay) == (State.SCHEDULED, 5)
    assert (failure.cause, failure.type, failure.message) == (Cause.ERROR, "ValueError", "no luck")
    assert "in fail" in failure.traceback
    assert "in perform" not in failure.traceback
    assert "about to fail with 1" in failure.logs[0]
    assert case.stage.events[0][0] == "run.failed"


@pytest.mark.parametrize(
    ("outcome", "to"),
    [
        (Retry("later", delay=9), State.SCHEDULED),
        (Snooze(60), State.SCHEDULED),
        (Cancel("no longer wanted"), State.CANCELLED),
        (Dead("pointless"), State.DEAD),
    ],
)
def test_outcomes_may_be_raised_or_returned(outcome: Exception, to: State) -> None:
    def throw(n: int) -> None:
        assert n
        raise outcome

    def give(n: int) -> Any:
        assert n
        return outcome

    for function in (throw, give):
        case = Case()
        assert case.perform(case.run(function)).to is to


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_no_exception_escapes(case: Case, error: BaseException) -> None:
    def fail(n: int) -> None:
        assert n
        raise error

    settlement = case.perform(case.run(fail))
    assert settlement.to is State.SCHEDULED
    assert settlement.failure is not None
    assert settlement.failure.type == type(error).__name__


def test_a_run_does_not_begin_after_its_deadline(case: Case) -> None:
    run = case.run(never)
    case.stage.clock.advance(run.lease_until - case.stage.clock.monotonic())
    settlement = case.perform(run)
    assert (settlement.to, settlement.counted) == (State.READY, False)


def test_a_run_cancelled_before_it_began_does_not_begin(case: Case) -> None:
    run = case.run(never)
    run.stop("cancelled")
    assert case.perform(run).to is State.CANCELLED


def test_nothing_is_written_of_a_lost_lease(case: Case) -> None:
    def lose(n: int) -> None:
        run.stop("lost")
        raise LeaseLost(f"{n}")

    run = case.run(lose)
    case.execution.perform(run)
    assert case.stage.engine.settlements() == []
    assert len(case.leases) == 0


def test_nothing_more_is_written_of_a_run_that_a_transaction_has_settled(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    def settle(n: int) -> None:
        run.settled = True
        raise ValueError(f"too late {n}")

    run = case.run(settle)
    case.execution.perform(run)
    assert case.stage.engine.settlements() == []
    assert len(case.leases) == 0
    assert "too late 1" in caplog.text


@pytest.mark.parametrize("error", [Cancel("told to"), ValueError("whatever")])
def test_a_run_that_ends_after_its_timeout_has_timed_out(case: Case, error: Exception) -> None:
    def overrun(n: int) -> None:
        assert n
        run.stop("timeout")
        raise error

    run = case.run(overrun, timeout=2.0)
    settlement = case.perform(run)
    assert settlement.to is State.SCHEDULED
    assert settlement.failure is not None
    assert settlement.failure.cause == Cause.TIMEOUT
    assert "timeout of 2 s" in settlement.failure.message


def test_what_a_run_decides_counts_even_after_its_timeout(case: Case) -> None:
    def decide(n: int) -> None:
        run.stop("timeout")
        raise Dead(f"{n}")

    run = case.run(decide, timeout=2.0)
    assert case.perform(run).to is State.DEAD


def test_arguments_that_do_not_fit_end_the_job(case: Case) -> None:
    def want(n: int) -> int:
        return n

    settlement = case.perform(case.run(want, body=b'{"n": "text"}'))
    assert settlement.to is State.DEAD
    assert settlement.failure is not None
    assert settlement.failure.cause == Cause.INVALID_ARGUMENTS


def test_an_unknown_task_ends_the_job(case: Case) -> None:
    def refuse(*_: object) -> Any:
        raise UnknownTask("gone")

    settlement = case.perform(case.run(lambda n: n, decode=refuse))
    assert settlement.failure is not None
    assert settlement.failure.cause == Cause.UNKNOWN_TASK


def test_a_context_is_injected_and_reports_progress(case: Case) -> None:
    seen: list[Context] = []

    def look(n: int) -> None:
        assert n

    def decode(_: Raw, context: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
        assert isinstance(context, Context)
        seen.append(context)
        context.progress(1, 2)
        return (1,), {}

    case.perform(case.run(look, injects=True, decode=decode, attempt=2))
    assert seen[0].attempt == 2
    assert case.reported == [("job-1", Progress(1, 2))]


def test_middleware_gets_the_context_first(case: Case) -> None:
    order: list[str] = []

    @contextmanager
    def around(context: Context) -> Iterator[None]:
        order.append(context.job_id)
        yield
        order.append("after")

    def inside(n: int) -> int:
        order.append(f"run {n}")
        return n

    run = case.run(inside, wrapped=True)
    run.recipe.function = compose([around], inside)
    assert case.perform(run).to is State.SUCCEEDED
    assert order == ["job-1", "run 1", "after"]


class FakeCallee:
    """A child process that answers with what it was given."""

    def __init__(self, answer: Answer | BaseException) -> None:
        self._answer = answer
        self.requests: list[bytes] = []

    def ready(self) -> None: ...

    def call(self, request: bytes, note: Callable[[bytes], None]) -> bytes:
        self.requests.append(request)
        note(encode(Progress(1, 4)))
        if isinstance(self._answer, BaseException):
            raise self._answer
        return encode(self._answer)


def test_a_child_performs_a_run(case: Case) -> None:
    run = case.run(never, timeout=9.0)
    callee = FakeCallee(Answer(Ending(kind="done", result=Raw(b"42"))))
    case.execution.perform_in(run, callee)
    (settlement,) = case.stage.engine.settlements()
    assert settlement.result == Raw(b"42")
    errand = decode_errand(callee.requests[0])
    assert (errand.lease.job_id, errand.lease.message.body, errand.seconds) == (
        "job-1",
        Raw(b'{"n": 1}'),
        9,
    )
    assert case.reported == [("job-1", Progress(1, 4))]


def test_a_childs_transaction_has_settled_the_run(case: Case) -> None:
    run = case.run(lambda n: n)
    case.execution.perform_in(run, FakeCallee(Answer(Ending(kind="done"), settled=True)))
    assert case.stage.engine.settlements() == []
    assert len(case.leases) == 0
    (ended,) = case.stage.events
    assert ended == ("run.ended", {"lease": run.lease, "to": State.SUCCEEDED, "seconds": 0.0})


def test_the_death_of_a_child_is_a_failed_attempt(case: Case) -> None:
    run = case.run(lambda n: n)
    case.execution.perform_in(run, FakeCallee(ChildDied("killed by SIGSEGV", ("last words",))))
    (settlement,) = case.stage.engine.settlements()
    assert (settlement.to, settlement.counted) == (State.SCHEDULED, True)
    assert settlement.failure.cause == Cause.ERROR
    assert "killed by SIGSEGV" in settlement.failure.message
    assert settlement.failure.logs == ("last words",)


def test_a_child_killed_at_the_timeout_is_a_timeout(case: Case) -> None:
    run = case.run(lambda n: n, timeout=3.0)

    class Killed(FakeCallee):
        def call(self, request: bytes, note: Callable[[bytes], None]) -> bytes:
            run.stop("timeout")
            return super().call(request, note)

    case.execution.perform_in(run, Killed(ChildDied("killed by SIGKILL")))
    (settlement,) = case.stage.engine.settlements()
    assert settlement.failure.cause == Cause.TIMEOUT


def test_a_runs_time_begins_when_its_child_is_ready(case: Case) -> None:
    run = case.run(lambda n: n, timeout=3.0)

    class Slow(FakeCallee):
        def ready(self) -> None:
            assert run.due is None
            case.stage.clock.advance(60)

    begun = case.stage.clock.monotonic()
    case.execution.perform_in(run, Slow(Answer(Ending(kind="done"))))
    assert run.due == begun + 63
    assert case.stage.engine.settlements()[0].to is State.SUCCEEDED


def test_a_run_that_was_stopped_while_its_child_began_is_not_begun(case: Case) -> None:
    run = case.run(lambda n: n)

    class Slow(FakeCallee):
        def ready(self) -> None:
            run.stop("stopping")

    callee = Slow(Answer(Ending(kind="done")))
    case.execution.perform_in(run, callee)
    assert callee.requests == []
    assert case.stage.engine.settlements()[0].to is State.READY


def test_a_child_that_cannot_be_started_is_a_failed_attempt(case: Case) -> None:
    run = case.run(lambda n: n)
    case.execution.perform_in(run, FakeCallee(OSError("no more processes")))
    (settlement,) = case.stage.engine.settlements()
    assert settlement.to is State.SCHEDULED
    assert "no more processes" in settlement.failure.message
