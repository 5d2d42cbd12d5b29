"""Names lead to tasks, and a wrong name to what was meant."""

from __future__ import annotations

import pytest

from headrace.app import App
from headrace.errors import InvalidOption, UnknownTask
from headrace.registry import Registry


def _nothing() -> None: ...


def test_tasks_are_found_by_name(app: App) -> None:
    @app.task
    def mail() -> None: ...

    @app.task(name="images.thumbnail")
    def thumbnail() -> None: ...

    assert app.registry.get("mail") is mail
    assert app.registry.get("images.thumbnail") is thumbnail
    assert [task.name for task in app.registry] == ["mail", "images.thumbnail"]
    assert "mail" in app.registry
    assert "thumbnail" not in app.registry
    assert len(app.registry) == 2


def test_an_unknown_name_is_told_what_comes_close(app: App) -> None:
    with pytest.raises(UnknownTask, match="'thumbnial' here; there are none: import the module"):
        app.registry.get("thumbnial")

    @app.task
    def thumbnail() -> None: ...

    with pytest.raises(UnknownTask, match="'thumbnial' here; close are thumbnail"):
        app.registry.get("thumbnial")
    with pytest.raises(UnknownTask, match="'report' here; there are thumbnail"):
        app.registry.get("report")


def test_one_may_stand_on_another(app: App) -> None:
    above = Registry(app.registry)

    @app.task
    def later() -> None: ...

    above.add(other := App("memory:").task(name="other")(later.function))
    assert [task.name for task in above] == ["later", "other"]
    assert above.get("later") is later
    assert above.get("other") is other
    assert "other" not in app.registry
    with pytest.raises(InvalidOption, match="two tasks are called 'later'"):
        above.add(App("memory:").task(name="later")(_nothing))


def test_two_functions_of_one_name_are_refused(app: App) -> None:
    def one() -> None: ...

    def other() -> None: ...

    app.task(name="same")(one)
    with pytest.raises(InvalidOption, match=r"one \(.*test_registry\.py:\d+\) and .*other \(.*py"):
        app.task(name="same")(other)


def test_a_notebook_cell_may_be_run_again(app: App) -> None:
    def cell(number: int) -> None:
        code = compile("def mail() -> None: ...", f"<cell {number}>", "exec")
        names = {"__name__": "__main__"}
        exec(code, names)  # noqa: S102 - as a notebook does
        app.task(names["mail"])  # type: ignore[call-overload] # a function, as mypy cannot know

    cell(1)
    first = app.registry.get("mail")
    cell(2)
    assert app.registry.get("mail") is not first
    with pytest.raises(InvalidOption, match="two tasks are called 'mail'"):
        cell(2)
