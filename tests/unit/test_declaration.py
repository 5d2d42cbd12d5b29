"""What may be a task, and what it is then."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from headrace.app import App
from headrace.context import Context
from headrace.errors import ConfigError, InvalidOption
from headrace.message import Retention
from headrace.retry import Retry


class Shop:
    def sell(self, what: str) -> None: ...

    @classmethod
    def open(cls) -> None: ...

    @staticmethod
    def count(what: str) -> int:
        return len(what)


def test_it_is_a_decorator_with_and_without_options(app: App) -> None:
    @app.task
    def plain(n: int) -> int:
        return n

    @app.task(name="other", queue="images", retry=Retry(attempts=9), process=True)
    def dressed(n: int) -> int:
        return n

    assert (plain.name, plain.options.queue, plain.process) == ("plain", "default", False)
    assert (dressed.name, dressed.options.queue, dressed.process) == ("other", "images", True)
    assert dressed.options.retry == Retry(attempts=9)


def test_nested_functions_and_static_methods_are_functions(app: App) -> None:
    assert app.task(Shop.count).name == "count"


def test_named_lambdas_are_functions(app: App) -> None:
    double = app.task(name="double")(lambda n: n * 2)
    assert double(2) == 4


def test_the_context_is_not_an_argument(app: App) -> None:
    @app.task
    def report(ctx: Context, month: str) -> str:
        return ctx.job_id + month

    assert report.call("may").body == b'{"month":"may"}'
    assert report.parameters.injected == "ctx"


def test_the_app_s_retention_is_every_task_s() -> None:
    app = App("memory:", retention={"dead": 60})

    @app.task
    def usual() -> None: ...

    @app.task(retention=Retention(dead=1))
    def special() -> None: ...

    assert usual.call().message("1").retention == Retention(dead=60)
    assert special.call().message("1").retention == Retention(dead=1)
    with pytest.raises(ConfigError, match="retention"):
        App("memory:", retention=5)


def yields() -> Iterator[int]:
    yield 1


async def ayields() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (Shop.sell, r"Shop\.sell is a method; a worker has no Shop"),
        (Shop.open, "takes a function, not <bound method"),
        (staticmethod(Shop.count), "takes a function, not <staticmethod"),
        (Shop, "takes a function, not <class"),
        (functools.partial(Shop.count, "x"), "takes a function, not functools.partial"),
        (len, "takes a function, not <built-in"),
        ("mail", "takes a function, not 'mail'"),
        (yields, "yields yields; a task returns its result"),
        (ayields, "ayields yields"),
        (lambda: None, "a lambda has no name"),
    ],
)
def test_other_things_are_refused(app: App, function: Any, words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        app.task(function)
    assert len(app.registry) == 0


def test_a_task_is_not_declared_twice(app: App) -> None:
    @app.task
    def mail() -> None: ...

    with pytest.raises(InvalidOption, match="takes a function, not <Task mail>"):
        app.task(mail)


def test_wrong_options_are_refused_with_what_was_meant(app: App) -> None:
    declare: Any = app.task
    with pytest.raises(InvalidOption, match="did you mean queue"):
        declare(queu="x")(Shop.count)
    with pytest.raises(InvalidOption, match="task name 'no spaces'"):
        declare(name="no spaces")(Shop.count)
