"""No leftovers, no traces of the machine that built it, no silencing without a reason."""

import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.style.source import ROOT, Source, everything, texts, tracked

# Spelled in halves, so that this file keeps its own rules.
LEFTOVER = re.compile(r"\b(FIX" + r"ME|TO" + r"DO|XX" + r"X)\b")
# A place on somebody's machine, or the address of a package index.
TRACE = re.compile(
    r"/home/\w+|/root[/]|/Users/\w+|[A-Z]:\\Users|https?://[^\s\"')]*(pypi|pythonhosted)"
)
SILENCED = re.compile(r"#\s*((ruff|flake8):\s*noqa|noqa|type:\s*ignore|mypy:)", re.IGNORECASE)
# Which rule is silenced, then why; a whole file is never silenced.
REASONED = re.compile(r"#\s*(noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\])\s+[#-]\s+\S")


def leftovers(name: str, text: str) -> Iterator[str]:
    """Yield the notes to oneself: they belong in an issue, or are done now."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := LEFTOVER.search(line):
            yield f"{name}:{number} leaves a {found[0]}"


def traces(name: str, text: str, places: Sequence[Path]) -> Iterator[str]:
    """Yield the places of any machine, of this one above all, and the hosts of registries."""
    # A checkout right below the root, such as /src in a container, is too common a word.
    telling = [re.escape(str(place)) for place in places if len(place.parts) > 2]
    here = re.compile(rf"({'|'.join(telling)})(?![\w-])") if telling else TRACE
    for number, line in enumerate(text.splitlines(), 1):
        if found := TRACE.search(line) or here.search(line):
            yield f"{name}:{number} names a place of one machine or registry: {found[0]}"


def silenced(source: Source) -> Iterator[str]:
    """Yield the checks that are silenced without naming the rule and, beside it, the reason."""
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type != tokenize.COMMENT:
            continue
        for found in SILENCED.finditer(token.string):
            if not REASONED.match(token.string, found.start()):
                yield f"{source.path}:{token.start[0]} silences a check without rule and reason"


def test_nothing_is_left_over() -> None:
    assert [fault for name, text in texts(tracked()) for fault in leftovers(name, text)] == []


def test_no_trace_of_a_machine_or_registry() -> None:
    places = (ROOT, Path.home())
    assert [fault for name, text in texts(tracked()) for fault in traces(name, text, places)] == []


def test_every_silenced_check_has_its_reason() -> None:
    assert [fault for source in everything() for fault in silenced(source)] == []


@pytest.mark.parametrize("word", ["FIX" + "ME", "TO" + "DO: later", "x  # XX" + "X"])
def test_rule_finds_a_leftover(word: str) -> None:
    assert list(leftovers("x.py", word))


@pytest.mark.parametrize(
    "text",
    [
        "/ho" + "me/ann/project",
        "/ro" + "ot/.cache",
        "/Us" + "ers/ann",
        "https://files.python" + "hosted.org/x.whl",
        "see /srv/ann/checkout/src",
        "--index-url http://py" + "pi.example/simple",
    ],
)
def test_rule_finds_a_trace(text: str) -> None:
    assert list(traces("x.md", text, [Path("/srv/ann/checkout"), Path("/src")]))


def test_rule_leaves_common_words_alone() -> None:
    assert not list(traces("x.md", "see /src/x", [Path("/srv/ann/checkout"), Path("/src")]))


@pytest.mark.parametrize(
    ("comment", "allowed"),
    [
        ("# no" + "qa", False),
        ("# no" + "qa: S608", False),
        ("# no" + "qa: S608 - the names are constants", True),
        ("# no" + "qa: S608  # the names are constants", True),
        ("# ruff: no" + "qa: S608 - the names are constants", False),
        ("# type: ig" + "nore", False),
        ("# type: ig" + "nore[arg-type]", False),
        ("# type: ig" + "nore[arg-type]  # the stub is wrong", True),
    ],
)
def test_rule_wants_a_reason(comment: str, *, allowed: bool) -> None:
    assert (not list(silenced(Source("x.py", f"x = 1  {comment}\n")))) is allowed
