"""What users can import is documented, name by name."""

import ast
from collections.abc import Iterator

from tests.style.source import PACKAGE, Function, Source

Documented = Function | ast.ClassDef


def exported_modules(public: Source) -> set[str]:
    """Name the modules of headrace whose names are public."""
    return {
        node.module
        for node in ast.walk(public.tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("headrace.")
    }


def undocumented(source: Source) -> Iterator[str]:
    """Yield the public functions, classes and methods that lack a docstring."""
    for name, node in _public(source.tree, ""):
        overload = any("overload" in ast.unparse(found) for found in node.decorator_list)
        if ast.get_docstring(node) is None and not overload:
            yield f"{source.path}: {name} has no docstring"


def _public(owner: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Documented]]:
    for node in owner.body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node, f"{node.name}.")


def _source(module: str) -> Source:
    path = PACKAGE.parent.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return Source(module, path.read_text(encoding="utf-8"))


def test_exported_modules_are_documented() -> None:
    modules = exported_modules(_source("headrace.public"))
    assert [fault for module in sorted(modules) for fault in undocumented(_source(module))] == []


def test_rule_finds_what_is_not_documented() -> None:
    text = (
        '"""A module."""\n'
        "def run(): ...\n"
        "def _private(): ...\n"
        'class Job:\n    """A job."""\n    def cancel(self): ...\n'
    )
    assert list(undocumented(Source("job", text))) == [
        "job: run has no docstring",
        "job: Job.cancel has no docstring",
    ]


def test_rule_follows_the_exports() -> None:
    public = Source("public", "from headrace.app import App\nfrom typing import Any\n")
    assert exported_modules(public) == {"headrace.app"}
