"""Middleware: what is wrapped around every run, one of two ways to extend Headrace.

A middleware is a function that takes the run's `Context` and returns a context manager, most simply
a generator:

    @contextmanager
    def named(context: Context) -> Iterator[None]:
        with thread_name(context.task):
            yield

The same form serves `def` tasks, on their thread, and `async def` tasks, on the event loop, which
it must not block. What it raises is the run's outcome: `raise Cancel(...)` before the `yield` skips
the run, an `except` around the `yield` turns one exception into another. What swallows an exception
makes it a success with the result None.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from headrace.context import Context

Middleware = Callable[[Context], AbstractContextManager[object]]


def compose(middleware: Sequence[Middleware], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` inside middleware, the first one outermost.

    The composed function takes the run's `Context` before the function's own arguments.

    Args:
        middleware: at least one; without any, call the function itself: nothing is to be paid.
        function: a `def` or an `async def` function; so is what is returned.
    """
    if inspect.iscoroutinefunction(function):

        async def arun(context: Context, /, *args: Any, **kwargs: Any) -> Any:
            with ExitStack() as stack:
                _enter(stack, middleware, context)
                return await function(*args, **kwargs)

        return arun

    def run(context: Context, /, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            _enter(stack, middleware, context)
            return function(*args, **kwargs)

    return run


def _enter(stack: ExitStack, middleware: Sequence[Middleware], context: Context) -> None:
    for wrap in middleware:
        stack.enter_context(wrap(context))
