"""A guest: takes part in the transaction of the caller's own connection.

It touches the connection in the caller's own thread, or task, and nowhere else. It leaves it as it
was, with a transaction that can go on: whatever is refused is undone to a savepoint.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from headrace.callers import answer, on_loop
from headrace.engine import Topic
from headrace.engines.postgresql.home import Home, Place
from headrace.engines.postgresql.hosts import AwaitedAsk, AwaitedHost, BlockingHost, Host
from headrace.engines.postgresql.plan import Ask, Moment, Plan, Statement, do
from headrace.engines.postgresql.trouble import told_to_host
from headrace.errors import BlockingCall, HeadraceError, UsageError
from headrace.reply import Errand, Reply

T = TypeVar("T")

_SCHEMA_PREFIX = "headrace."
_SAVEPOINT: Statement = ("savepoint headrace", ())
_UNDO: Statement = ("rollback to savepoint headrace", ())
_RELEASE: Statement = ("release savepoint headrace", ())


class Visit(NamedTuple):
    """What a guest does in one go.

    Attributes:
        plan: makes the plan.
        topics: what is worth a hint when the transaction is committed.
        queues: where jobs are sent.
        waits: whether it may have to wait for what others have open.
    """

    plan: Callable[[Moment], Plan[Any]]
    topics: tuple[Topic, ...]
    queues: tuple[str, ...]
    waits: bool


class Guest:
    """A part in somebody's transaction: a `headrace.engine.Tx` that the caller commits.

    Args:
        host: the connection.
        home: the engine.
    """

    def __init__(self, host: Host, home: Home) -> None:
        self._host = host
        self._home = home

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Reply[list[tuple[Any, ...]]]:
        """Refuse: the connection is the caller's, who has it at hand."""
        raise self._not_ours(f"execute({sql[:40]!r}, {len(parameters)} parameters)")

    def commit(self) -> Reply[None]:
        """Refuse."""
        raise self._not_ours("commit()")

    def rollback(self) -> Reply[None]:
        """Refuse."""
        raise self._not_ours("rollback()")

    def run(self, visit: Visit) -> Reply[Any]:
        """Run a plan of the engine's as a part of the transaction.

        Raises (in the reply):
            UsageError: no transaction is open, it has failed, or it is another database's.
            Refused: the plan was refused. The transaction can go on as if nothing had been.
            EngineBusy: a rival held what was needed, or the transaction has to be repeated.
        """
        host = self._host
        if isinstance(host, AwaitedHost):
            return Errand(
                lambda: self._awaited(host, visit),
                f"a {host.name} is awaited, not waited for: write `await task.asubmit(...)` or"
                " `await app.asubmit([...])`",
            )
        if on_loop():
            return Reply.failed(
                BlockingCall(
                    f"a {host.name} would block the running event loop: give `asubmit` a connection"
                    " of asyncio, or call `submit` in a thread, where that connection belongs"
                )
            )
        try:
            return Reply.of(self._blocking(host, visit))
        except Exception as error:  # noqa: BLE001 - it is in the reply
            return Reply.failed(error)

    def _not_ours(self, what: str) -> UsageError:
        return UsageError(
            f"{what}: the transaction is that of your {self._host.name}; call it there"
        )

    # In the caller's thread, or task: the same twice --------------------------------------------

    def _blocking(self, host: BlockingHost, visit: Visit) -> Any:
        place = self._home.place(visit.queues).wait(self._home.deadline)
        with self._told():
            ask = self._named(host.enter())
            try:
                return _run(ask, self._stay(visit, place))
            except _ElsewhereError:  # or our server was started anew
                place = self._home.place(anew=True).wait(self._home.deadline)
                return _run(ask, self._stay(visit, place))

    async def _awaited(self, host: AwaitedHost, visit: Visit) -> Any:
        place = await answer(self._home.place(visit.queues), self._home.deadline)
        with self._told():
            ask = self._named_awaited(await host.enter())
            try:
                return await _run_awaited(ask, self._stay(visit, place))
            except _ElsewhereError:
                place = await answer(self._home.place(anew=True), self._home.deadline)
                return await _run_awaited(ask, self._stay(visit, place))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Raise what went wrong as one of Headrace's own errors."""
        try:
            yield
        except HeadraceError:
            raise
        except Exception as error:
            raise told_to_host(error, self._host.name) from error

    def _named(self, ask: Ask) -> Ask:
        return lambda statement: ask(_in_schema(statement, self._home.address.schema))

    def _named_awaited(self, ask: AwaitedAsk) -> AwaitedAsk:
        return lambda statement: ask(_in_schema(statement, self._home.address.schema))

    # Thought out without I/O --------------------------------------------------------------------

    def _stay(self, visit: Visit, place: Place) -> Plan[Any]:
        """Do what is to be done, and leave no trace of it if that fails."""
        yield _SAVEPOINT
        try:
            ((now, *here, transaction),) = yield do("guest_enter")
            self._check(Place(*here), place)
            answer = yield from self._patiently(visit, self._home.moment(now))
            yield _RELEASE
        except GeneratorExit:
            raise
        except BaseException:
            # If this fails, too, the transaction does: whoever saw an error commits no job.
            with contextlib.suppress(Exception):  # what went wrong first is told
                yield from _undo()
            raise
        self._home.expect(transaction, visit.topics)
        return answer

    def _check(self, here: Place, home: Place) -> None:
        if here != home:
            raise _ElsewhereError(
                f"the {self._host.name} is connected to another database or server than"
                f" {self._home.address.shown}: connect both to the same"
            )

    def _patiently(self, visit: Visit, moment: Moment) -> Plan[Any]:
        """Run the plan, with an end to all waiting."""
        if not visit.waits:
            return (yield from visit.plan(moment))
        ((own, _),) = yield do("patience_set", self._home.deadline)
        answer = yield from visit.plan(moment)
        yield do("patience_restore", own)
        return answer


class _ElsewhereError(UsageError):
    """The connection leads to another database."""


def _undo() -> Plan[None]:
    yield _UNDO
    yield _RELEASE


def _run(ask: Ask, plan: Plan[T]) -> T:
    """Run a plan, which is told of errors, too."""
    try:
        statement = next(plan)
        while True:
            try:
                rows = ask(statement)
            except BaseException as error:  # noqa: BLE001 - the plan undoes, and raises it
                statement = plan.throw(error)
            else:
                statement = plan.send(rows)
    except StopIteration as end:
        answer: T = end.value
        return answer


async def _run_awaited(ask: AwaitedAsk, plan: Plan[T]) -> T:
    """Run a plan on a connection that is awaited."""
    try:
        statement = next(plan)
        while True:
            try:
                rows = await ask(statement)
            except BaseException as error:  # noqa: BLE001 - as above; a cancelled task undoes, too
                statement = plan.throw(error)
            else:
                statement = plan.send(rows)
    except StopIteration as end:
        answer: T = end.value
        return answer


@lru_cache(maxsize=256)
def _text_in_schema(text: str, schema: str) -> str:
    return text.replace(_SCHEMA_PREFIX, f'"{schema}".')


def _in_schema(statement: Statement, schema: str) -> Statement:
    text, parameters = statement
    return _text_in_schema(text, schema), parameters
