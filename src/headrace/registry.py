"""Registry: the tasks of one App, by name. A worker runs what is in it, and nothing else."""

from __future__ import annotations

import difflib
from collections import ChainMap
from collections.abc import Iterator
from typing import Any

from headrace.errors import InvalidOption, UnknownTask
from headrace.task import Task

AnyTask = Task[Any, Any, Any]


class Registry:
    """Knows tasks by name.

    Args:
        beneath: a registry whose tasks it knows as well, also those that are added there later.
    """

    def __init__(self, beneath: Registry | None = None) -> None:
        below = [] if beneath is None else beneath._tasks.maps  # noqa: SLF001 - one of its own kind
        self._tasks: ChainMap[str, AnyTask] = ChainMap({}, *below)

    def __contains__(self, name: object) -> bool:
        return name in self._tasks

    def __iter__(self) -> Iterator[AnyTask]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, task: AnyTask) -> None:
        """Make a task known.

        Raises:
            InvalidOption: another task has its name.
        """
        known = self._tasks.get(task.name)
        if known is not None and not _is_redefined(known, task):
            raise InvalidOption(
                f"two tasks are called {task.name!r}: {_place(known)} and {_place(task)};"
                " give one of them a name of its own: @app.task(name=...)"
            )
        self._tasks[task.name] = task

    def get(self, name: str) -> AnyTask:
        """Return the task of that name.

        Raises:
            UnknownTask: there is none; the message names those that come close.
        """
        if (task := self._tasks.get(name)) is not None:
            return task
        close = difflib.get_close_matches(name, self._tasks, n=3)
        known = ", ".join(close or sorted(self._tasks)) or "none: import the module that has them"
        raise UnknownTask(
            f"no task is called {name!r} here; {'close are' if close else 'there are'} {known}"
        )


def _is_redefined(old: AnyTask, new: AnyTask) -> bool:
    """Tell a notebook's cell that is run again from two functions of one name in a file."""
    same_name = (old.function.__module__, old.function.__qualname__) == (
        new.function.__module__,
        new.function.__qualname__,
    )
    return same_name and old.function.__code__.co_filename != new.function.__code__.co_filename


def _place(task: AnyTask) -> str:
    code = task.function.__code__
    return f"{task.function.__qualname__} ({code.co_filename}:{code.co_firstlineno})"
