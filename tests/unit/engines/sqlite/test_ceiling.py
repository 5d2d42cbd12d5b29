"""The raw ceiling stores every job once, and hands out each once."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from headrace.engines.sqlite.ceiling import Ceiling
from headrace.engines.sqlite.database import Durability


@pytest.mark.parametrize("durability", ["power", "crash"])
def test_every_job_is_settled_with_its_result(tmp_path: Path, durability: Durability) -> None:
    ceiling = Ceiling(tmp_path / "raw.db", 10, durability)
    ceiling.send(os.urandom(16 * 25), [{"n": n} for n in range(25)], 1.0)
    assert ceiling.proven() == 0
    assert ceiling.drain(2.0) == 25
    assert ceiling.proven() == 25
    assert ceiling.drain(3.0) == 0
    ceiling.close()
    rows = apsw.Connection(str(tmp_path / "raw.db")).execute(
        "select result ->> 'n', token, attempt, length(id) from job where state = 2 order by seq"
    )
    assert list(rows) == [(n, 1, 1, 16) for n in range(25)]
