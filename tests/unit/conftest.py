"""An App of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.app import App


@pytest.fixture
def app() -> Iterator[App]:
    """Give an App on the memory engine."""
    app = App("memory:")
    yield app
    app.close()
