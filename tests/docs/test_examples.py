"""Every example is shown, word for word, on a page that runs it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks, pages

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def shown(texts: list[str], name: str) -> Iterator[str]:
    """Yield what pages tell their readers to save under a name."""
    for text in texts:
        yield from (block.text for block in blocks(text) if block.title == name)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_is_on_a_page(example: Path) -> None:
    texts = [page.read_text(encoding="utf-8") for page in pages()]
    assert example.read_text(encoding="utf-8") in set(shown(texts, example.name))


def test_there_are_examples() -> None:
    assert EXAMPLES


def test_rule_finds_an_example_that_differs() -> None:
    page = '```python title="a.py"\nx = 1\n```\n```python title="b.py"\nx = 2\n```\n'
    assert list(shown([page], "a.py")) == ["x = 1\n"]
