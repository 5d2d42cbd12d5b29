"""Recipes: what the runs of each task need, made when its first job comes."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from headrace.codec import Returns
from headrace.ending import Endings
from headrace.errors import ConfigError, UnknownTask
from headrace.middleware import Middleware, compose
from headrace.pool import Pool
from headrace.registry import AnyTask, Registry
from headrace.retry import ExceptionRules, RetryPolicy
from headrace.worker.run import Recipe, Run


@dataclass(frozen=True, slots=True)
class Pools:
    """Where the three kinds of tasks run.

    Attributes:
        tasks: `async def` tasks.
        threads: `def` tasks.
        processes: tasks with `process=True`; None where no child can be spawned.
    """

    tasks: Pool[Run]
    threads: Pool[Run]
    processes: Pool[Run] | None = None

    def all(self) -> list[Pool[Run]]:
        """Return those that are there."""
        return [pool for pool in (self.tasks, self.threads, self.processes) if pool is not None]

    def of(self, task: AnyTask) -> Pool[Run]:
        """Return where a task runs.

        Raises:
            ConfigError: it needs a child process, and none can be spawned here.
        """
        if not task.process:
            return self.tasks if inspect.iscoroutinefunction(task.function) else self.threads
        if self.processes is None:
            raise ConfigError(
                f"task {task.name!r} has process=True: run it with `headrace worker`, which knows"
                " what its child processes have to import"
            )
        return self.processes


class Recipes:
    """Looks up what a run needs, by the name of its task.

    Args:
        registry: the tasks.
        pools: where they run.
        middleware: what is wrapped around each call.
        max_result: bytes of a result, at most.

    Attributes:
        pools: those that the tasks run in.

    Raises:
        ConfigError: a task needs a child process, and none can be spawned here.
    """

    def __init__(
        self,
        registry: Registry,
        pools: Pools,
        middleware: Sequence[Middleware],
        max_result: int,
    ) -> None:
        self._registry = registry
        self._pools = pools
        self._middleware = tuple(middleware)
        self._max_result = max_result
        self._known: dict[str, Recipe] = {}
        self.pools = list(dict.fromkeys(pools.of(task) for task in registry))

    def of(self, name: str) -> Recipe:
        """Return the recipe of a task; that of one that cannot run here lets every run end as dead.

        Such a task is unknown, or it was declared after the worker was made, and needs a child.
        """
        recipe = self._known.get(name)
        if recipe is None:
            try:
                recipe = self._known[name] = self._make(self._registry.get(name))
            except UnknownTask as unknown:
                return self._refusal(unknown)
            except ConfigError as unfit:
                return self._refusal(UnknownTask(str(unfit)))
        return recipe

    def _make(self, task: AnyTask) -> Recipe:
        rule = task.options.retry
        function = task.function
        if self._middleware and not task.process:  # a child wraps what it calls by itself
            function = compose(self._middleware, function)
        return Recipe(
            function=function,
            wrapped=function is not task.function,
            injects=task.parameters.injected is not None,
            decode=task.parameters.decode,
            returns=task.returns,
            endings=Endings(task.returns, rule.rules, self._max_result),
            policy=rule.policy,
            timeout=task.options.timeout,
            pool=self._pools.of(task),
        )

    def _refusal(self, unknown: UnknownTask) -> Recipe:
        def refuse(*_: object) -> NoReturn:
            raise unknown

        returns = Returns(_nothing, "unknown")
        return Recipe(
            function=refuse,
            wrapped=False,
            injects=False,
            decode=refuse,
            returns=returns,
            endings=Endings(returns, ExceptionRules(), self._max_result),
            policy=RetryPolicy(),
            timeout=None,
            pool=self._pools.threads,
        )


def _nothing() -> None:
    """Stand for the function of an unknown task: it has no results."""
