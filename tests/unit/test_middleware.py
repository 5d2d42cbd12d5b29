"""Middleware is wrapped around runs of both kinds, the first one outermost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, cast

import pytest

from headrace.context import Context
from headrace.middleware import Middleware, compose
from headrace.outcome import Cancel

CONTEXT = cast("Context", "the context")


def named(name: str, log: list[str]) -> Middleware:
    @contextmanager
    def wrap(context: Context) -> Iterator[None]:
        log.append(f"{name} begins with {context}")
        try:
            yield
        finally:
            log.append(f"{name} ends")

    return wrap


def both(function: Callable[..., Any], *middleware: Middleware) -> list[Any]:
    """Run a function and its `async def` twin inside middleware."""

    async def twin(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    composed = compose(middleware, twin)
    return [
        compose(middleware, function)(CONTEXT, 1, b=2),
        asyncio.run(composed(CONTEXT, 1, b=2)),
    ]


def test_the_first_one_is_outermost() -> None:
    log: list[str] = []

    def add(a: int, b: int) -> int:
        log.append("runs")
        return a + b

    assert both(add, named("outer", log), named("inner", log)) == [3, 3]
    once = [
        "outer begins with the context",
        "inner begins with the context",
        "runs",
        "inner ends",
        "outer ends",
    ]
    assert log == once * 2


def test_a_composed_function_stays_of_its_kind() -> None:
    async def coroutine() -> None: ...

    def function() -> None: ...

    log: list[str] = []
    assert asyncio.iscoroutinefunction(compose([named("a", log)], coroutine))
    assert not asyncio.iscoroutinefunction(compose([named("a", log)], function))


def test_it_may_skip_the_run() -> None:
    def refuse(context: Context) -> AbstractContextManager[None]:
        raise Cancel(f"not with {context}")

    def fail(a: int, b: int) -> float:
        return (a + b) / 0

    with pytest.raises(Cancel, match="not with the context"):
        both(fail, refuse)


def test_it_may_turn_one_exception_into_another_or_swallow_it() -> None:
    @contextmanager
    def turn(_: Context) -> Iterator[None]:
        try:
            yield
        except ZeroDivisionError:
            raise Cancel("nothing to divide") from None

    def swallow(_: Context) -> AbstractContextManager[None]:
        return suppress(ZeroDivisionError)

    def fail(a: int, b: int) -> float:
        return (a + b) / 0

    with pytest.raises(Cancel, match="nothing to divide"):
        both(fail, turn)
    assert both(fail, swallow) == [None, None]
