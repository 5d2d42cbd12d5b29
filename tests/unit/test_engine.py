"""The contract of an engine, and that the engines here have its shape."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from headrace import engine as contract
from headrace.engine import Capabilities, Engine, Entry, Inspection, Maintained
from headrace.engines.memory import MemoryEngine
from headrace.engines.sqlite import SQLiteEngine

METHODS = sorted(
    name
    for part in (contract.Queue, contract.Ledger, contract.Store, contract.Engine)
    for name, value in vars(part).items()
    if inspect.isfunction(value) and not name.startswith("_")
)


def test_an_engine_is_written_against_few_methods() -> None:
    assert len(METHODS) == len(set(METHODS)) <= 20


@pytest.mark.parametrize("kind", [MemoryEngine, SQLiteEngine])
@pytest.mark.parametrize("name", METHODS)
def test_an_engine_takes_what_the_contract_gives(kind: type[Engine], name: str) -> None:
    wanted = inspect.signature(getattr(Engine, name)).parameters
    given = inspect.signature(getattr(kind, name)).parameters
    assert list(given) == list(wanted)
    for parameter in wanted:
        assert given[parameter].kind is wanted[parameter].kind
        assert given[parameter].default == wanted[parameter].default


def test_the_engines_fit_the_contract(tmp_path: Path) -> None:
    engines: list[Engine] = [MemoryEngine(), SQLiteEngine(tmp_path / "jobs.db")]
    for engine in engines:
        assert isinstance(engine.capabilities, Capabilities)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Entry("k", b"v", 1), "version"),
        (Maintained(), "more"),
        (Inspection(engine="e", location="l", settings={}, guarantee={}), "engine"),
    ],
)
def test_answers_are_values(value: object, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, name, None)


def test_a_step_that_found_nothing_says_so() -> None:
    assert Maintained() == Maintained(reclaimed=0, expired=0, pruned=0, more=False)
