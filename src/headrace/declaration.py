"""Declaration: how a function becomes a task: what `@app.task` is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar, Unpack, overload

from headrace.codec import Parameters, Returns
from headrace.config import Config
from headrace.context import Context
from headrace.errors import InvalidOption
from headrace.message import check_name
from headrace.options import Given, Options, check_names
from headrace.registry import AnyTask, Registry
from headrace.task import Submitter, Task

P = ParamSpec("P")
R = TypeVar("R")
Async = Coroutine[Any, Any, R]


class Declaration:
    """Declares tasks: `@app.task`, or `@app.task(queue="images", retry=Retry(attempts=5))`.

    Args:
        registry: where the tasks become known.
        submitter: who accepts their calls.
        config: has the limits.
        given: what was given before the function.
    """

    def __init__(
        self,
        registry: Registry,
        submitter: Submitter,
        config: Config,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        self._registry = registry
        self._submitter = submitter
        self._config = config
        self._given = given or {}

    # A function that wants a Context is listed first: the last ones would take it as well.
    @overload
    def __call__(  # type: ignore[overload-overlap] # of two that fit, the first is meant
        self, function: Callable[Concatenate[Context, P], Async[R]], /
    ) -> Task[P, R, Callable[Concatenate[Context, P], Async[R]]]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], R], /
    ) -> Task[P, R, Callable[Concatenate[Context, P], R]]: ...
    @overload
    def __call__(self, function: Callable[P, Async[R]], /) -> Task[P, R, Callable[P, Async[R]]]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R, Callable[P, R]]: ...
    @overload
    def __call__(
        self, *, name: str | None = None, process: bool = False, **options: Unpack[Given]
    ) -> Declaration: ...
    def __call__(  # type: ignore[misc] # not so: without a function it accepts signature 5
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        process: bool = False,
        **options: Any,
    ) -> Any:
        """Declare a function as a task.

        Args:
            function: a `def` or `async def` function. A parameter annotated with `Context` is
                given by the worker; type checkers understand that for the first parameter.
            name: what its jobs are called; by default the function's own name. Jobs that wait
                are found by it, so it should outlive a renaming of the function.
            process: run it in a child process that is killed at its timeout.
            options: fields of `Options`: how its jobs are run, unless `using` says otherwise.

        Raises:
            InvalidOption: an option, the function or one of its annotations will not do.
        """
        own = {"name": name, "process": process}
        given = {**self._given, **{key: value for key, value in own.items() if value}, **options}
        if function is None:
            return Declaration(self._registry, self._submitter, self._config, given)
        return self._declare(function, given)

    def _declare(self, function: Callable[..., Any], given: dict[str, Any]) -> AnyTask:
        name = _name(function, given.pop("name", None))
        process = given.pop("process", False)
        check_names(given)
        options = Options(**{"retention": self._config.retention, **given})
        task: AnyTask = Task(
            name=name,
            function=function,
            options=options,
            declared=options,
            process=process,
            parameters=Parameters(function, name, Context),
            returns=Returns(function, name),
            submitter=self._submitter,
            max_payload=self._config.max_payload,
        )
        self._registry.add(task)
        return task


def _name(function: Callable[..., Any], name: str | None) -> str:
    """Return the task's name, if the function can be a task."""
    if not inspect.isfunction(function):
        raise InvalidOption(
            f"@app.task takes a function, not {function!r:.100}; put it nearest to the `def`,"
            " below every other decorator"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidOption(f"{function.__qualname__} yields; a task returns its result")
    owner = function.__qualname__.rpartition("<locals>.")[2].rpartition(".")[0]
    first = next(iter(inspect.signature(function).parameters), None)
    if owner and first in ("self", "cls"):
        raise InvalidOption(
            f"{function.__qualname__} is a method; a worker has no {owner} to call it on: make it"
            " a function, and pass what it needs"
        )
    if name is None and function.__name__ == "<lambda>":
        raise InvalidOption("a lambda has no name for its jobs: app.task(name=...)(lambda: ...)")
    return check_name("task", name or function.__name__)
