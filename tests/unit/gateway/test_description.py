"""The OpenAPI document is valid, whole, and knows each task's own arguments."""

from __future__ import annotations

import enum
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel
from starlette.routing import Route

from headrace import App, Context
from headrace.gateway import Gateway
from headrace.gateway.description import describe

UNDESCRIBED = {"/v1/openapi.json", "/v1/docs", "/v1/docs.css", "/v1/docs.js", "/v1/headrace.js"}
"""What tells of the gateway rather than of work."""
FROM_TASKS = "/v1/tasks/{task}"
"""Described once for each task."""


class Paper(enum.Enum):
    A4 = "a4"
    LETTER = "letter"


class Layout(msgspec.Struct):
    """How a page looks."""

    paper: Paper = Paper.A4
    inner: Layout | None = None


class Author(BaseModel):
    name: str
    friends: list[Author] = []


@pytest.fixture
def app() -> App:
    app = App("memory:")

    @app.task
    def add(left: int, right: int = 2) -> int:
        """Add two numbers.

        It takes no time.
        """
        return left + right

    @app.task(queue="print")
    def typeset(
        ctx: Context,
        layout: Layout,
        author: Author,
        folder: Path,
        when: datetime,
        *pages: int,
        note: str = "",
        **more: Any,
    ) -> dict[str, Layout]:
        return {f"{ctx}{author}{folder}{when}{pages}{note}{more}": layout}

    return app


@pytest.fixture
def document(app: App) -> dict[str, Any]:
    return describe(app.registry)


def test_it_is_valid_with_tasks_and_without(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()
    OpenAPIV31SpecValidator(describe([])).validate()


def test_it_has_every_route_of_the_gateway_and_no_other(document: dict[str, Any]) -> None:
    routes = {
        (route.path, method.lower())
        for route in Gateway(App("memory:"), metrics=lambda *_: (b"", "text/plain")).routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
        if route.path not in UNDESCRIBED | {FROM_TASKS}
    }
    described = {
        (path, method)
        for path, item in document["paths"].items()
        if not path.startswith("/v1/tasks/")
        for method in item
        if method != "parameters"
    }
    assert described == routes


def test_a_task_has_an_operation_with_its_arguments(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/tasks/add"]["post"]
    assert operation["summary"] == "Add two numbers."
    assert operation["description"] == "It takes no time."
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "type": "object",
        "properties": {"left": {"type": "integer"}, "right": {"type": "integer", "default": 2}},
        "additionalProperties": False,
        "required": ["left"],
    }
    assert operation["x-headrace-result"] == {"type": "integer"}


def test_types_with_names_are_described_once(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/tasks/typeset"]["post"]["requestBody"]
    properties = body["content"]["application/json"]["schema"]["properties"]
    assert "ctx" not in properties
    assert properties["layout"] == {"$ref": "#/components/schemas/Layout"}
    known = document["components"]["schemas"]
    assert known["Layout"]["description"] == "How a page looks."
    assert {"Paper", "Author", "Options", "Job", "Problem"} <= known.keys()


def test_it_says_where_it_is_mounted(app: App) -> None:
    assert describe(app.registry, "/work")["servers"] == [{"url": "/work"}]


def test_one_document_does_not_change_the_next(app: App) -> None:
    assert "/v1/tasks/add" in describe(app.registry)["paths"]
    assert "/v1/tasks/add" not in describe([])["paths"]
