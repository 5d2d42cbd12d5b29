"""A task is its function when called, and a job when submitted."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Raw

from headrace.app import App
from headrace.context import Context
from headrace.errors import (
    BlockingCall,
    InvalidArguments,
    InvalidOption,
    PayloadTooLarge,
)
from headrace.task import Task
from tests.unit.running import run_all


def double(path: str, width: int = 200) -> str:
    """Say it twice."""
    return path * (2 if width else 0)


def test_a_plain_call_stays_a_plain_call(app: App) -> None:
    task = app.task(double)
    assert task("x") == "xx"
    assert task(path="x", width=3) == "xx"
    odd: Any = [1]
    assert repr(task(odd)) == "[1, 1]"  # as unchecked as the function itself


def test_the_plain_call_of_a_coroutine_function_is_its_coroutine(app: App) -> None:
    @app.task
    async def add(a: int, b: int) -> int:
        return a + b

    assert asyncio.run(add(1, 2)) == 3


def test_it_looks_like_its_function(app: App) -> None:
    task = app.task(double)
    assert inspect.signature(task) == inspect.signature(double)
    assert inspect.getdoc(task) == "Say it twice."
    assert vars(task)["__name__"] == "double"
    assert repr(task) == "<Task double>"
    assert inspect.unwrap(task) is double


def test_it_is_frozen(app: App) -> None:
    task: Any = app.task(double)
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.name = "other"


def test_submit_makes_a_job(app: App) -> None:
    task = app.task(queue="images")(double)
    job = task.submit("x", width=64)
    message = job.refresh().message
    assert (message.id, message.task, message.queue) == (job.id, "double", "images")
    assert json.loads(bytes(message.body)) == {"path": "x", "width": 64}
    assert run_all(app) == 1
    assert job.result(timeout=10) == "xx"


def test_asubmit_makes_a_job(app: App) -> None:
    task = app.task(double)

    async def submit() -> str:
        job = await task.asubmit("x")
        run_all_in_thread = asyncio.to_thread(run_all, app)
        assert await run_all_in_thread == 1
        return await job

    assert asyncio.run(submit()) == "xx"


def test_submit_on_a_loop_names_its_twin(app: App) -> None:
    task = app.task(double)

    async def submit() -> None:
        task.submit("x")

    with pytest.raises(
        BlockingCall, match=r"double\.submit\(\).*`await double\.asubmit\(\.\.\.\)`"
    ):
        asyncio.run(submit())


def test_arguments_are_checked_before_anything_is_sent(app: App) -> None:
    task = app.task(double)
    wrong: Any = "wide"
    with pytest.raises(InvalidArguments, match="double: parameter 'width': expected `int`"):
        task.call("x", width=wrong)


def test_large_arguments_are_refused() -> None:
    app = App("memory:", max_payload=30)
    task = app.task(double)
    task.call("x" * 19)
    with pytest.raises(PayloadTooLarge, match="31 bytes, over the limit of 30"):
        task.call("x" * 20)


def test_using_gives_a_copy_with_other_options(app: App) -> None:
    task = app.task(queue="images", priority=1)(double)
    urgent = task.using(priority=9)
    assert urgent.call("x").message("1").priority == 9
    assert urgent.call("x").message("1").queue == "images"
    assert task.call("x").message("1").priority == 1
    assert urgent.using(queue="other").call("x").message("1").priority == 9
    assert urgent("x") == "xx"
    assert urgent.declared is task.declared
    assert isinstance(urgent, Task)


def test_using_knows_its_options(app: App) -> None:
    task: Any = app.task(double)
    with pytest.raises(InvalidOption, match="did you mean delay"):
        task.using(dely=5)


def test_a_call_is_data(app: App) -> None:
    task = app.task(double)
    assert task.call("x") == task.call("x")
    assert task.call("x") != task.call("y")
    assert task.call("x").message("1").id == "1"


@dataclasses.dataclass
class Price:
    amount: Decimal


def ship(ctx: Context, price: Price, *, pieces: int = 1) -> str:
    return f"{ctx.attempt} {price} {pieces}"


def test_a_call_of_json_is_the_call_of_its_arguments(app: App) -> None:
    task = app.task(ship)
    sent = b'{ "price": {"amount": "1.10"},\n "pieces": 2 }'
    for body in (sent, Raw(sent)):
        assert task.call_json(body) == task.call(Price(Decimal("1.10")), pieces=2)


def test_a_number_stays_as_it_was_written(app: App) -> None:
    @app.task
    def pay(amount: Decimal) -> None: ...

    body = b'{"amount":1.10000000000000000001}'
    assert pay.call_json(body).body == body


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"price": {"amount": "much"}}', r"ship: .* at \.price\.amount"),
        (b'{"price": {"amount": "1"}, "pieces": "x"}', r"ship: .* at \.pieces"),
        (b'{"price": {"amount": "1"}, "piece": 1}', "`piece`"),
        (b'{"price": {"amount": "1"}, "ctx": 1}', "`ctx`"),
        (b"{}", "`price`"),
        (b"[]", "ship: expected `object`"),
        (b"", "are no JSON"),
        (b'{"price"', "are no JSON"),
        (b'{"price": "\xff"}', "are no JSON"),
        (b"[" * 100_000, "are no JSON"),
        (b"{} {}", "are no JSON"),
    ],
)
def test_json_that_does_not_fit_is_refused(app: App, body: bytes, says: str) -> None:
    with pytest.raises(InvalidArguments, match=says):
        app.task(ship).call_json(body)


def test_json_may_be_nested_as_deeply_as_arguments(app: App) -> None:
    def nested(levels: int) -> bytes:
        return b'{"x":' + b"[" * levels + b"]" * levels + b"}"

    @app.task
    def keep(x: Any) -> None: ...

    assert keep.call_json(nested(199)).body == nested(199)
    for levels in (200, 900):
        with pytest.raises(InvalidArguments, match=r"keep: the arguments: .* 200 levels deep"):
            keep.call_json(nested(levels))


def test_json_has_the_same_limit_without_its_white_space() -> None:
    task = App("memory:", max_payload=1000).task(double)
    assert len(task.call_json(b'{"path": "' + b"x" * 985 + b'"' + b" " * 5000 + b"}").body) <= 1000
    with pytest.raises(PayloadTooLarge, match="max_payload"):
        task.call_json(b'{"path": "' + b"x" * 1000 + b'"}')
