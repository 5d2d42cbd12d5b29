"""Files, functions and classes stay small enough to be held in mind, and say what they are."""

import ast
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import pytest

from tests.style.source import Function, Source, everything, package

FUNCTION_LINES = 50
FILE_LINES = 500
PUBLIC_METHODS = 14
# An engine plays three roles on one connection, so that they can share a commit: the contract in
# headrace/engine.py is as wide as this.
CONTRACT_METHODS = 18
# A name that says nothing attracts everything.
EMPTY_NAMES = {
    "base", "common", "helper", "helpers", "manager", "misc", "types", "util", "utils",
}  # fmt: skip

Rule = Callable[[Source], Iterator[str]]


def opens_with_a_sentence(source: Source) -> Iterator[str]:
    """A module's first line says what it holds; an empty __init__.py has nothing to say."""
    docstring = ast.get_docstring(source.tree) or ""
    if source.text.strip() and not docstring.split("\n\n")[0].rstrip().endswith((".", "?", ":")):
        yield f"{source.path} does not open with a docstring sentence"


def has_a_telling_name(source: Source) -> Iterator[str]:
    """Neither a file nor a folder is named after nothing."""
    for part in PurePosixPath(source.path).with_suffix("").parts:
        if part.removeprefix("test_") in EMPTY_NAMES:
            yield f"{source.path}: '{part}' is no noun of ours"


def fits_a_file(source: Source) -> Iterator[str]:
    """A file is read in one sitting."""
    if len(source.lines) > FILE_LINES:
        yield f"{source.path} has {len(source.lines)} lines, more than {FILE_LINES}"


def has_short_functions(source: Source) -> Iterator[str]:
    """A function fits a screen; its docstring does not count."""
    for function in source.functions():
        if (length := _length(function)) > FUNCTION_LINES:
            yield f"{source.path}: {function.name} has {length} lines, more than {FUNCTION_LINES}"


def has_small_classes(source: Source) -> Iterator[str]:
    """A class keeps to a dozen or so verbs; properties are values, suite tests are tests."""
    for cls in source.classes():
        limit = CONTRACT_METHODS if cls.name.endswith("Engine") else PUBLIC_METHODS
        if (count := len(_public_methods(cls))) > limit:
            yield f"{source.path}: {cls.name} has {count} public methods, over {limit}"


def _length(function: Function) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def _public_methods(cls: ast.ClassDef) -> set[str]:
    return {
        node.name
        for node in cls.body
        if isinstance(node, Function)
        and not node.name.startswith(("_", "test_"))
        and not any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
    }


@pytest.mark.parametrize(
    "rule", [opens_with_a_sentence, has_a_telling_name, fits_a_file, has_short_functions]
)
def test_every_file_keeps(rule: Rule) -> None:
    sources = everything()
    assert sources
    assert [complaint for source in sources for complaint in rule(source)] == []


def test_classes_of_the_package_are_small() -> None:
    assert [complaint for source in package() for complaint in has_small_classes(source)] == []


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (opens_with_a_sentence, "queue.py", "x = 1\n"),
        (opens_with_a_sentence, "queue.py", '"""No full stop"""\n'),
        (has_a_telling_name, "src/headrace/utils.py", ""),
        (has_a_telling_name, "src/headrace/common/queue.py", ""),
        (has_a_telling_name, "tests/unit/test_helpers.py", ""),
        (fits_a_file, "queue.py", "x = 1\n" * (FILE_LINES + 1)),
        (has_short_functions, "queue.py", "def f():\n" + "    x = 1\n" * FUNCTION_LINES),
        (
            has_small_classes,
            "queue.py",
            "class C:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(PUBLIC_METHODS + 1)),
        ),
    ],
)
def test_rule_finds_a_planted_fault(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text)))


def test_docstring_lines_do_not_count() -> None:
    docstring = '    """Says a lot.\n' + "\n" * FUNCTION_LINES + '    """\n'
    assert not list(has_short_functions(Source("queue.py", f"def f():\n{docstring}    x = 1\n")))


def test_properties_do_not_count_as_methods() -> None:
    values = "".join(f"    @property\n    def p{n}(self): ...\n" for n in range(PUBLIC_METHODS + 1))
    assert not list(has_small_classes(Source("job.py", f"class Job:\n{values}")))
