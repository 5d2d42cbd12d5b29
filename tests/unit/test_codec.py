"""Arguments and results travel as JSON and come back as they were, or are refused by name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest
from pydantic import BaseModel, ConfigDict

from headrace.codec import Parameters, Returns
from headrace.errors import InvalidArguments, InvalidOption
from headrace.outcome import Snooze


class Color(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Row(TypedDict):
    name: str


class Node(msgspec.Struct):
    children: list[Node] = []


@dataclasses.dataclass
class Order:
    number: int
    notes: dict[str, object]


class Model(BaseModel):
    model_config = ConfigDict(strict=True)
    when: datetime
    count: int


class Injected:
    """Stands for `Context`."""


def two(path: str, width: int = 200) -> str:
    return f"{path}{width}"


def make(function: Callable[..., Any]) -> Parameters:
    return Parameters(function, function.__name__, Injected)


def passed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Send arguments through a body and call the function with what comes out."""
    parameters = make(function)
    given, named = parameters.decode(parameters.encode(args, kwargs), "context")
    return function(*given, **named)


def test_body_is_an_object_by_parameter_name() -> None:
    assert json.loads(make(two).encode(("cat.jpg",), {"width": 64})) == {
        "path": "cat.jpg",
        "width": 64,
    }


def test_an_argument_that_was_not_given_is_not_in_the_body() -> None:
    assert make(two).encode(("cat.jpg",), {}) == b'{"path":"cat.jpg"}'
    assert passed(two, "cat.jpg") == "cat.jpg200"


def test_an_explicit_default_is_in_the_body() -> None:
    assert b"200" in make(two).encode(("cat.jpg",), {"width": 200})


def test_a_default_need_not_have_a_json_form() -> None:
    missing = object()

    def find(fallback: Any = missing) -> Any:
        return fallback

    assert passed(find) is missing


def test_every_kind_of_parameter_arrives_where_it_belongs() -> None:
    def mixed(a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **more: int) -> Any:
        return a, b, rest, c, d, more

    assert passed(mixed, 1, c=3) == (1, 2, (), 3, 4, {})
    assert passed(mixed, 1, 5, 6, 7, c=8, d=9, e=10) == (1, 5, (6, 7), 8, 9, {"e": 10})


def test_a_gap_between_defaults_is_kept() -> None:
    def three(a: int, b: int = 2, c: int = 3) -> tuple[int, int, int]:
        return a, b, c

    assert passed(three, 1, c=30) == (1, 2, 30)


def test_the_injected_parameter_is_not_in_the_body_wherever_it_stands() -> None:
    def first(context: Injected, n: int) -> Any:
        return context, n

    def middle(n: int, context: Injected, m: int = 5) -> Any:
        return context, n, m

    def last(n: int, *, context: Injected) -> Any:
        return context, n

    assert passed(first, 1) == ("context", 1)
    assert passed(middle, 1) == ("context", 1, 5)
    assert passed(last, 1) == ("context", 1)
    assert make(last).injected == "context"
    assert make(two).injected is None


def test_two_injected_parameters_are_refused() -> None:
    def twice(a: Injected, b: Injected) -> None: ...

    with pytest.raises(InvalidOption, match="one Injected is enough"):
        make(twice)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 2**80),
        (float, 1.5),
        (bytes, b"\x00\xff"),
        (datetime, datetime(2026, 1, 2, tzinfo=UTC)),
        (timedelta, timedelta(seconds=3)),
        (UUID, UUID(int=7)),
        (Decimal, Decimal("1.10")),
        (Color, Color.RED),
        (Path, Path("a/b")),
        (Path | None, None),
        (Literal["a", "b"], "b"),
        (set[int], {1, 2}),
        (tuple[int, str], (1, "x")),
        (Point, Point(1, 2)),
        (Row, {"name": "x"}),
        (Order, Order(3, {"a": [1, None]})),
        (list[Model], [Model(when=datetime(2026, 1, 2, tzinfo=UTC), count=1)]),
        (dict[str, object], {"a": {"b": 1}}),
        (object, [1]),
        (Node, Node([Node()])),
    ],
)
def test_values_come_back_as_they_were(kind: Any, value: Any) -> None:
    def function(value: Any) -> Any:
        return value

    function.__annotations__["value"] = kind
    function.__annotations__["return"] = kind
    assert passed(function, value) == value
    returns = Returns(function, "function")
    assert returns.decode(returns.encode(value)) == value


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, "two.*missing a required argument: 'path'"),
        (("a", 1, 2), {}, "two.*too many positional arguments"),
        (("a",), {"path": "b"}, "two.*multiple values for argument 'path'"),
        (("a",), {"wide": 1}, "two.*unexpected keyword argument 'wide'"),
        ((1,), {}, "two: parameter 'path': expected `str`, got `int`"),
        (("a", "b"), {}, "two: parameter 'width': expected `int`, got `str`"),
        (("\ud800",), {}, "parameter 'path': .*surrogate"),
        (("a", 1 + 2j), {}, "parameter 'width': complex has no JSON form"),
    ],
)
def test_misfits_name_the_parameter(
    args: tuple[Any, ...], kwargs: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidArguments, match=words):
        make(two).encode(args, kwargs)


def test_a_misfit_inside_a_value_names_the_place() -> None:
    def total(numbers: list[int]) -> None: ...

    with pytest.raises(InvalidArguments, match=r"'numbers': expected `int`, got `str` at \[1\]"):
        make(total).encode(([1, "2"],), {})


def test_a_pydantic_misfit_is_reported() -> None:
    def take(model: Model) -> None: ...

    with pytest.raises(InvalidArguments, match=r"'model': .*count"):
        make(take).encode(({"when": "2026-01-02T00:00:00Z", "count": "x"},), {})


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": (float("-inf"),)}])
def test_numbers_without_a_json_form_are_refused(value: object) -> None:
    def anything(value: Any) -> None: ...

    def number(value: float | None) -> None: ...

    def strict(value: float) -> None: ...

    with pytest.raises(InvalidArguments, match=r"'value': .*no JSON form"):
        make(anything).encode((value,), {})
    if isinstance(value, float):
        for function in (number, strict):
            with pytest.raises(InvalidArguments, match="'value': nan has no JSON form"):
                make(function).encode((value,), {})


def test_deep_nesting_is_refused_and_wide_values_are_not() -> None:
    def anything(value: Any) -> None: ...

    def nested(levels: int) -> Any:
        value: Any = "[[["  # brackets in texts do not count
        for _ in range(levels):
            value = [value]
        return value

    make(anything).encode((nested(198),), {})
    make(anything).encode(([[1]] * 1000,), {})
    with pytest.raises(InvalidArguments, match="200 levels"):
        make(anything).encode((nested(201),), {})
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidArguments, match="contains itself"):
        make(anything).encode((endless,), {})


@pytest.mark.parametrize("kind", [complex, Callable[[], None], type, str | Path])
def test_annotations_without_a_json_form_are_refused_at_once(kind: Any) -> None:
    def function(odd: Any) -> Any: ...

    function.__annotations__["odd"] = kind
    with pytest.raises(InvalidOption, match="task 'function', parameter 'odd'"):
        make(function)
    function.__annotations__.update({"odd": int, "return": kind})
    with pytest.raises(InvalidOption, match="task 'function', returned value"):
        Returns(function, "function")


def test_unresolvable_annotations_are_refused_at_once() -> None:
    def function(value: int) -> None: ...

    function.__annotations__["value"] = "NotThere"
    with pytest.raises(InvalidOption, match="NotThere"):
        make(function)


def test_a_parameter_that_cannot_be_a_field_is_refused() -> None:
    def function(__dunder: int, /) -> None: ...

    with pytest.raises(InvalidOption, match="rename one of the parameters __dunder"):
        make(function)


@pytest.mark.parametrize("body", [b"{}", b'{"path":1}', b'{"path":"a","gone":1}', b"[]", b"{"])
def test_bodies_that_no_longer_fit_are_reported(body: bytes) -> None:
    with pytest.raises(InvalidArguments, match="two: "):
        make(two).decode(body)


def test_a_result_is_held_to_its_annotation() -> None:
    returns = Returns(two, "two")
    with pytest.raises(ValueError, match="two: the result: expected `str`, got `int`"):
        returns.encode(3)
    with pytest.raises(ValueError, match="two: the stored result: expected `str`, got `int`"):
        returns.decode(b"3")


def test_outcomes_in_a_return_annotation_do_not_count() -> None:
    def perhaps() -> int | Snooze | None:
        return None

    def never() -> Snooze:
        return Snooze(1)

    returns = Returns(perhaps, "perhaps")
    assert [returns.decode(returns.encode(value)) for value in (1, None)] == [1, None]
    with pytest.raises(ValueError, match=r"the result: expected `int \| null`"):
        returns.encode("x")
    assert Returns(never, "never").encode(None) == b"null"


def test_a_body_that_does_not_fit_is_pointed_into() -> None:
    def resize(path: str, sides: list[int]) -> None: ...

    parameters = Parameters(resize, "resize")
    parameters.check(b'{"path": "a", "sides": [1]}')
    for body, place in (
        (b'{"path": "a"}', "/sides"),
        (b'{"path": "a", "sides": [1, ""]}', "/sides/1"),
        (b"[]", ""),
    ):
        with pytest.raises(InvalidArguments) as caught:
            parameters.check(body)
        assert caught.value.pointer == place
