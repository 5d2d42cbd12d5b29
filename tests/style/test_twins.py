"""Every module has its unit tests at the same path, and every unit test its module."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath

from tests.style.source import ROOT, Function, Source, package, read

# Contracts: Protocols without code, so there is nothing to test but their adapters.
CONTRACTS = {"engine.py", "pool.py"}
# Conformance suites are tests themselves; tests/conformance runs them over every adapter.
SUITES = "testing/*_suite.py"


def twin(path: str) -> str:
    """Say where below tests/unit the tests of a module belong."""
    module = PurePosixPath(path)
    return (module.parent / f"test_{module.name}").as_posix()


def missing(sources: list[Source], tests: set[str]) -> Iterator[str]:
    """Yield the modules that have no unit test; an __init__ that only exports needs none."""
    for source in sources:
        name = PurePosixPath(source.path).name
        exempt = source.path in CONTRACTS or fnmatch(source.path, SUITES)
        if name == "__init__.py" or exempt or twin(source.path) in tests:
            continue
        yield f"src/headrace/{source.path} has no tests/unit/{twin(source.path)}"


def orphans(sources: list[Source], tests: set[str]) -> Iterator[str]:
    """Yield the unit tests whose module is gone or elsewhere."""
    expected = {twin(source.path) for source in sources}
    for path in sorted(tests - expected):
        if PurePosixPath(path).name.startswith("test_"):
            yield f"tests/unit/{path} has no module of the same path"


def code_in_contract(source: Source) -> Iterator[str]:
    """Yield the functions of a contract that do something."""
    for function in source.functions():
        if not all(_says_nothing(statement) for statement in function.body):
            yield f"{source.path}: {function.name} has code; a contract has none"


def _says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def crowded_inits(sources: list[Source]) -> Iterator[str]:
    """Yield the __init__ files that hold logic, which no unit test would cover."""
    for source in sources:
        if PurePosixPath(source.path).name == "__init__.py":
            for node in source.tree.body:
                if isinstance(node, Function | ast.ClassDef):
                    yield f"{source.path}: {node.name} belongs in a module; __init__ only exports"


def _unit_tests() -> set[str]:
    return {source.path for source in read(ROOT / "tests" / "unit")}


def test_every_module_has_its_unit_tests() -> None:
    assert list(missing(package(), _unit_tests())) == []


def test_every_unit_test_has_its_module() -> None:
    assert list(orphans(package(), _unit_tests())) == []


def test_contracts_hold_no_code() -> None:
    contracts = [source for source in package() if source.path in CONTRACTS]
    assert [fault for source in contracts for fault in code_in_contract(source)] == []


def test_inits_only_export() -> None:
    assert list(crowded_inits(package())) == []


def test_rules_find_planted_faults() -> None:
    module = Source("worker/execute.py", "")
    assert list(missing([module], set()))
    assert not list(missing([module], {"worker/test_execute.py"}))
    assert list(orphans([module], {"worker/test_gone.py"}))
    assert list(code_in_contract(Source("engine.py", "def open():\n    return 1\n")))
    assert not list(code_in_contract(Source("engine.py", 'def open():\n    """Open."""\n')))
    assert list(crowded_inits([Source("worker/__init__.py", "def run(): ...\n")]))
