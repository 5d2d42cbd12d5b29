"""Every code block of the documentation does what the page says."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.driver import NOT_RUN
from tests.docs.markdown import ROOT, pages
from tests.postgresql import some_database


def follow(
    page: Path, folder: Path, settings: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Follow a page in a process of its own, where a reader has made some settings."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.driver", page],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | (settings or {}),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    with database_for(page) as settings:
        result = follow(page, tmp_path, settings)
    assert result.returncode == 0, result.stdout + result.stderr


@contextmanager
def database_for(page: Path) -> Iterator[dict[str, str]]:
    """Give a page that asks its reader for a database one of its own, named as it asks."""
    if "DATABASE_URL" not in page.read_text(encoding="utf-8"):
        yield {}
        return
    with some_database() as url:
        yield {"DATABASE_URL": url}


def follow_text(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return follow(page, folder)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx = 1\n```\n\n```python\nassert x == 1\n```\n",
        "- a list\n\n  ```python\n  x = 1\n  ```\n",
        '```python title="app.py"\nx = 1\n```\n```python\nfrom app import x\n```\n',
        '```python title="app.py"\nx = 1\n```\n```console\n$ python app.py\n```\n',
        "```console\n$ python -c 'print(\"took 12 ms\")'\ntook … ms\n```\n",
        "```console\n$ false  # exits 1\n```\n",
        "```console\n$ echo a \\\n> b\na b\n```\n",
        "```console\n$ sleep 99 &  # exits 143\n```\n",
        "```console background\n$ sleep 99  # exits 143\n```\n",
        "```console\n$ make test\n$ pip install headrace\n```\n",
        "```toml\nx = 1\n```\n```json\n{}\n```\n```ini\n[a]\nb = c\n```\n```text\n->\n```\n",
        '```python\nif __name__ != "__main__":\n    raise SystemExit(1)\n```\n',
    ],
)
def test_a_true_page_passes(text: str, tmp_path: Path) -> None:
    result = follow_text(text, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```python\nraise ValueError('no')\n```\n", "ValueError: no"),
        ("```python\nimport warnings\nwarnings.warn('old')\n```\n", "UserWarning: old"),
        ("text\n\n```python\n\n1 / 0\n```\n", 'page.md", line 5'),
        ('```python title="app.py"\n1 / 0\n```\n', "ZeroDivisionError"),
        ("```console\n$ false\n```\n", "page.md:2: $ false\nexits 1, not 0"),
        ("```console\n$ true  # exits 2\n```\n", "exits 0, not 2"),
        ("```console\n$ echo a\nb\n```\n", "prints no line like 'b'"),
        ("```console\n$ printf 'b\\na\\n'\na\nb\n```\n", "prints no line like 'b'"),
        ("```console\n$ exit 3 &\n```\n", "not 0"),
        ("```sh\necho a\n```\n", "before the first '$ ' line"),
        ("```sh\n# nothing\n```\n", "runs nothing"),
        ("```console\n$ sleep 99 &\n```\n", "exits 143, not 0"),
        ("```toml\nx =\n```\n", "page.md:2"),
        ("```json\n{\n```\n", "page.md:2"),
        ("```python no-run\nx = 1\n```\n", "'no-run' means nothing here"),
        ("```\nx = 1\n```\n", "cannot check a '' block"),
        ("```rust\n```\n", "cannot check a 'rust' block"),
    ],
)
def test_an_untrue_page_fails(text: str, complaint: str, tmp_path: Path) -> None:
    result = follow_text(text, tmp_path)
    assert result.returncode != 0
    assert complaint in result.stderr


def test_every_make_target_shown_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z.-]+):", makefile, re.MULTILINE))
    shown = {
        target
        for page in pages()
        for line in re.findall(r"(?:\$ |`)make ([a-z -]+)", page.read_text(encoding="utf-8"))
        for target in line.split()
    }
    assert shown <= targets


@pytest.mark.parametrize("reason", NOT_RUN.values())
def test_what_is_not_run_has_a_reason(reason: str) -> None:
    assert reason
