"""A gateway that everybody may use, on an App with a few tasks."""

from __future__ import annotations

import pytest

from headrace import App
from headrace.gateway import Gateway, Settings
from tests.unit.gateway.asking import Asker


@pytest.fixture
def studio(app: App) -> App:
    """Give an App with tasks in two queues."""

    @app.task(queue="images")
    def paint(what: str, width: int = 1) -> str:
        """Paint something.

        As wide as it has to be.
        """
        return what * width

    @app.task
    def sign(what: str) -> str:
        return what

    return app


@pytest.fixture
def ask(studio: App) -> Asker:
    """Ask a gateway that everybody may use."""
    return Asker(Gateway(studio, Settings(anonymous=True)))
