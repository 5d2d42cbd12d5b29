"""A skipped test says what it lacks, in words that CI can hold it to."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.style.source import ROOT, Source, everything

SKIPS = {"pytest.skip", "pytest.mark.skip", "pytest.mark.skipif"}
# "needs Redis": CI must provide it, so a skip fails there.
# "optional: strace": a tool that not every machine can have; the skip is shown and accepted.
BEGINNINGS = ("needs ", "optional: ")


def unreasoned(source: Source) -> Iterator[str]:
    """Yield the skips whose reason does not say what is lacking, and every importorskip."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.importorskip":
            yield f"{source.path}:{node.lineno} skips silently; use pytest.skip with a reason"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in SKIPS:
            if not _reason(node).startswith(BEGINNINGS):
                yield f"{source.path}:{node.lineno} skips for a reason that cannot be checked"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "pytest.mark.skip":
            yield from _bare(source, node)


def _bare(source: Source, node: ast.Attribute) -> Iterator[str]:
    called = {id(call.func) for call in ast.walk(source.tree) if isinstance(call, ast.Call)}
    if id(node) not in called:
        yield f"{source.path}:{node.lineno} skips without a reason"


def _reason(call: ast.Call) -> str:
    """Find the literal beginning of a skip's reason."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "reason"]
    given = named or (call.args[:1] if ast.unparse(call.func) != "pytest.mark.skipif" else [])
    value = given[0] if given else None
    if isinstance(value, ast.JoinedStr):
        value = value.values[0]
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def test_every_skip_says_what_it_lacks() -> None:
    assert [fault for source in everything() for fault in unreasoned(source)] == []


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("pytest.skip('flaky')", False),
        ("pytest.skip(reason='needs Redis')", True),
        ("pytest.skip(f'needs {server}')", True),
        ("pytest.mark.skipif(True, reason='slow')", False),
        ("pytest.mark.skipif(True, reason='optional: strace')", True),
        ("mark = pytest.mark.skip", False),
        ("pytest.importorskip('redis')", False),
    ],
)
def test_rule_wants_a_checkable_reason(text: str, *, allowed: bool) -> None:
    assert (not list(unreasoned(Source("tests/test_x.py", text)))) is allowed


@pytest.fixture
def skipping(pytester: pytest.Pytester) -> pytest.Pytester:
    """Make a project with our conftest and one test for each kind of skip."""
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(
        test_needs="import pytest\ndef test_it(): pytest.skip('needs Redis')",
        test_optional="import pytest\ndef test_it(): pytest.skip('optional: strace')",
        test_module="import pytest\npytest.skip('needs Redis', allow_module_level=True)",
    )
    return pytester


def test_ci_refuses_to_skip_what_it_must_provide(
    skipping: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    result = skipping.runpytest_subprocess("--continue-on-collection-errors")
    result.assert_outcomes(failed=1, errors=1, skipped=1)
    result.stdout.fnmatch_lines(["*CI must not skip this: needs Redis*"])


def test_elsewhere_a_skip_is_a_skip(
    skipping: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    skipping.runpytest_subprocess().assert_outcomes(skipped=3)


def test_ci_run_sets_what_the_hook_reads() -> None:
    assert "export CI=true" in Path(ROOT, ".ci", "run").read_text(encoding="utf-8")
