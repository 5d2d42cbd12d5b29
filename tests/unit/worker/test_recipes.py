"""A recipe has what the runs of its task need, and an unknown task's ends them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from headrace import App, Context, Retry
from headrace.errors import ConfigError, UnknownTask
from headrace.middleware import Middleware
from headrace.worker.recipes import Pools, Recipes
from tests.unit.worker.stage import FakePool


@contextmanager
def named(context: Context) -> Iterator[None]:
    assert context.task
    yield


def recipes(app: App, pools: Pools | None = None, *middleware: Middleware) -> Recipes:
    pools = pools or Pools(FakePool(), FakePool(), FakePool())
    return Recipes(app.registry, pools, middleware, 1000)


def test_each_kind_of_task_has_its_pool(app: App) -> None:
    @app.task
    def plain() -> None: ...

    @app.task
    async def coroutine() -> None: ...

    @app.task(process=True)
    def child() -> None: ...

    pools = Pools(FakePool(), FakePool(), FakePool())
    book = recipes(app, pools)
    assert book.of("plain").pool is pools.threads
    assert book.of("coroutine").pool is pools.tasks
    assert book.of("child").pool is pools.processes


def test_a_recipe_is_made_once_and_has_the_tasks_options(app: App) -> None:
    @app.task(retry=Retry(attempts=9), timeout=7)
    def task(ctx: Context) -> int:
        return ctx.attempt

    book = recipes(app)
    recipe = book.of("task")
    assert recipe is book.of("task")
    assert recipe.policy.attempts == 9
    assert recipe.timeout == 7
    assert recipe.injects
    assert not recipe.wrapped
    assert recipe.function is task.function


def test_middleware_is_wrapped_around_what_runs_here(app: App) -> None:
    @app.task
    def plain() -> None: ...

    @app.task(process=True)
    def child() -> None: ...

    book = recipes(app, None, named)
    assert book.of("plain").wrapped
    assert not book.of("child").wrapped


def test_an_unknown_task_is_refused_when_it_is_decoded(app: App) -> None:
    recipe = recipes(app).of("gone")
    with pytest.raises(UnknownTask, match="gone"):
        recipe.decode(b"{}", None)  # type: ignore[arg-type] # bytes are as good as Raw


def test_a_task_for_a_child_needs_children(app: App) -> None:
    @app.task(process=True)
    def child() -> None: ...

    with pytest.raises(ConfigError, match="'child' has process=True: run it with"):
        recipes(app, Pools(FakePool(), FakePool()))


def test_a_task_for_a_child_that_is_declared_late_is_refused_alone(app: App) -> None:
    book = recipes(app, Pools(FakePool(), FakePool()))

    @app.task(process=True)
    def late() -> None: ...

    recipe = book.of("late")
    with pytest.raises(UnknownTask, match="'late' has process=True: run it with"):
        recipe.decode(b"{}", None)  # type: ignore[arg-type] # bytes are as good as Raw


def test_pools_are_listed_without_those_that_are_not_there() -> None:
    tasks, threads = FakePool(), FakePool()
    assert Pools(tasks, threads).all() == [tasks, threads]
