"""A type's JSON form is checked when it is made, and a value when it is written."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, Field

from headrace.errors import InvalidOption
from headrace.json_form import NESTING_LIMIT, JsonForm, describe, pointer, writable


class Renamed(BaseModel):
    number: int = Field(alias="no")


class Tree(msgspec.Struct):
    left: Tree | None = None
    right: Tree | None = None


class Odd:
    pass


def test_text_that_has_no_json_form_is_given_one() -> None:
    assert writable("caf\udce9 \u00e9") == "caf? \u00e9"


def test_the_message_says_where_and_what() -> None:
    with pytest.raises(InvalidOption, match="the place: Odd has no JSON form; use plain values"):
        JsonForm(list[Odd], "the place")


def test_values_are_read_back_as_their_receiver_will() -> None:
    form = JsonForm(list[int], "here")
    assert form.encode((1, 2)) == b"[1,2]"
    with pytest.raises(ValueError, match="Expected `int`"):
        form.encode(["1"])


def test_paths_keep_their_kind() -> None:
    form = JsonForm(dict[str, PurePosixPath], "here")
    assert form.decode(form.encode({"a": PurePosixPath("x/y")})) == {"a": PurePosixPath("x/y")}
    assert isinstance(JsonForm(Path, "here").decode(b'"x"'), Path)
    with pytest.raises(ValueError, match="path as text"):
        form.decode(b'{"a":1}')


def test_pydantic_models_are_read_by_their_aliases() -> None:
    form = JsonForm(Renamed, "here")
    assert form.encode(Renamed(no=3)) == b'{"no":3}'
    assert form.decode(b'{"no":3}') == Renamed(no=3)


def test_recursive_types_are_checked_for_depth() -> None:
    tree = Tree()
    for _ in range(NESTING_LIMIT - 1):
        tree = Tree(tree)
    form = JsonForm(Tree, "here")
    assert form.decode(form.encode(tree)) == tree
    with pytest.raises(ValueError, match="200 levels"):
        form.encode(Tree(tree))


def test_wide_types_are_walked_once() -> None:
    kind: Any = int
    for _ in range(40):  # two to the power of 40 paths lead to the int
        kind = msgspec.defstruct("Wide", [("a", kind), ("b", kind)])
    JsonForm(kind, "here")


def test_null_is_no_nan() -> None:
    form = JsonForm(Any, "here")
    assert json.loads(form.encode({"a": None, "b": ["null", 1.5]})) == {
        "a": None,
        "b": ["null", 1.5],
    }
    with pytest.raises(ValueError, match="inf has no JSON form"):
        form.encode({"a": None, "b": ["null", float("inf")]})


def test_errors_become_a_part_of_a_sentence() -> None:
    form = JsonForm(dict[str, list[int]], "here")
    with pytest.raises(ValueError, match="int") as caught:
        form.decode(b'{"a":[1,"x"]}')
    assert describe(caught.value) == "expected `int`, got `str` at [...][1]"
    assert "nested too deeply" in describe(RecursionError())


class Place(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""
    sides: list[int] = []
    labels: dict[str, int] = {}
    inner: Place | None = None


class Needy(msgspec.Struct):
    name: str


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        (int, '"x"', ""),
        (Place, '{"name": 1}', "/name"),
        (Place, '{"inner": {"sides": [1, "x"]}}', "/inner/sides/1"),
        (Place, '{"inner": {"labels": {"a/b": "x"}}}', "/inner/labels"),
        (Place, '{"nmae": 1}', "/nmae"),
        (Place, '{"inner": {"a/b~": 1}}', "/inner/a~1b~0"),
        (list[Needy], "[{}]", "/0/name"),
        (dict[int, int], '{"x": 1}', ""),
    ],
)
def test_what_does_not_fit_is_pointed_to(kind: Any, text: str, place: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        JsonForm(kind, "here").decode(text.encode())
    assert pointer(caught.value) == place
