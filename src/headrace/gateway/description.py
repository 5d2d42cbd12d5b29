"""Description: the gateway in OpenAPI 3.1, with an operation for each task of the program."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, get_args

import msgspec
from msgspec.structs import fields

from headrace.gateway.handover.options import Wishes
from headrace.gateway.webhooks.registration import Signature, Terms
from headrace.json_form import schemas
from headrace.registry import AnyTask

_FIXED = "static/openapi.json"
_PLACE = "#/components/"
_PARAMETERS = ("Idempotency-Key", "Prefer", "traceparent")


def describe(tasks: Iterable[AnyTask], base: str = "") -> dict[str, Any]:
    """Return the OpenAPI document (3.1.1) of a gateway.

    Args:
        tasks: each has an operation, so that generated clients know its arguments.
        base: where the gateway is mounted.
    """
    document = copy.deepcopy(_fixed())
    document["servers"] = [{"url": base or "/"}]
    tasks = sorted(tasks, key=lambda task: task.name)
    kinds = [field.type for task in tasks for field in fields(task.parameters.struct)]
    described, named = schemas([Wishes, Terms, *kinds, *(task.returns.kind for task in tasks)])
    known = iter(described[2:])
    arguments = {
        task.name: {field.name: next(known) for field in fields(task.parameters.struct)}
        for task in tasks
    }
    results = {task.name: next(known) for task in tasks}
    components = document["components"]["schemas"]
    components.update(named)
    components["Options"] = components.pop("Wishes")
    components["Registration"] = _registration(components.pop("Terms"))
    orders = []
    for task in tasks:
        body = _body(task, arguments[task.name])
        orders.append(_order(task, components["Order"], body))
        operation = _operation(task, body, results[task.name])
        document["paths"][f"/v1/tasks/{task.name}"] = {"post": operation}
    if orders:
        components["Order"] = {"oneOf": orders}
    return document


@cache
def _fixed() -> dict[str, Any]:
    text = files("headrace.gateway").joinpath(_FIXED).read_bytes()
    document: dict[str, Any] = msgspec.json.decode(text)
    return document


def _registration(terms: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what registers an endpoint: its terms, and how it is signed."""
    signature = {"enum": list(get_args(Signature)), "default": "v1"}
    return terms | {"properties": terms["properties"] | {"signature": signature}}


def _order(task: AnyTask, order: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an order of one task."""
    named = {"task": {"const": task.name}, "arguments": body}
    required = ["task", *(["arguments"] if "required" in body else [])]
    return order | {"properties": order["properties"] | named, "required": required}


def _operation(task: AnyTask, body: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    submit = _fixed()["paths"]["/v1/jobs"]["post"]
    summary, _, more = (inspect.getdoc(task.function) or f"Run {task.name}.").partition("\n")
    operation = {
        "operationId": f"submit.{task.name}",
        "tags": ["tasks"],
        "summary": summary,
        "description": more.strip(),
        "parameters": [
            *({"$ref": f"{_PLACE}parameters/{name}"} for name in _PARAMETERS),
            {
                "name": "options",
                "in": "query",
                "description": "When, where and how it is run.",
                "style": "form",
                "explode": True,
                "schema": {"$ref": f"{_PLACE}schemas/Options"},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body}},
        },
        "responses": copy.deepcopy(submit["responses"]),
        "x-headrace-result": result,
    }
    return {name: value for name, value in operation.items() if value != ""}


def _body(task: AnyTask, arguments: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of a task's arguments, with the defaults that can be said in JSON."""
    known = inspect.signature(task.function).parameters
    properties = dict(arguments)
    for name, schema in arguments.items():
        default = known[name].default
        if isinstance(default, bool | int | float | str) and "$ref" not in schema:
            properties[name] = schema | {"default": default}
    required = [field.name for field in fields(task.parameters.struct) if field.required]
    body: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return body | ({"required": required} if required else {})
