"""An App of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.app import App
from headrace.gateway import Gateway, Settings
from tests.unit.gateway.asking import Asker


@pytest.fixture
def app() -> Iterator[App]:
    """Give an App on the memory engine."""
    app = App("memory:")
    yield app
    app.close()


@pytest.fixture
def studio() -> Iterator[App]:
    """Give an App with tasks in two queues, for a gateway to serve."""
    app = App("memory:")

    @app.task(queue="images")
    def paint(what: str, width: int = 1) -> str:
        """Paint something.

        As wide as it has to be.
        """
        return what * width

    @app.task
    def sign(what: str) -> str:
        return what

    yield app
    app.close()


@pytest.fixture
def ask(studio: App) -> Asker:
    """Ask a gateway to that App, which everybody may use."""
    return Asker(Gateway(studio, Settings(anonymous=True)))
