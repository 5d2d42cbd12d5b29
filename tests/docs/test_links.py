"""Every link between our own pages and files leads somewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, anchors, links, pages

_OUTSIDE = ("https://", "http://", "mailto:")


def broken(page: Path) -> Iterator[str]:
    """Yield the links of a page that lead nowhere; what lies outside is not followed."""
    text = page.read_text(encoding="utf-8")
    for link in links(text):
        if link.startswith(_OUTSIDE):
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists():
            yield f"{page.name}: {link} does not exist"
        elif fragment and fragment not in anchors(target.read_text(encoding="utf-8")):
            yield f"{page.name}: {link} has no such heading"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# A `b` heading\n\n[up](#a-b-heading) [out](https://example.org/x)\n", 0),
        ("[gone](gone.md)\n", 1),
        ("# Here\n\n[there](#there)\n", 1),
        ("[itself](page.md)\n", 0),
        ("```text\n[not a link](gone.md)\n```\nand `[neither](gone.md)`\n", 0),
    ],
)
def test_rule_finds_broken_links(text: str, found: int, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    assert len(list(broken(page))) == found
