"""A newer Headrace: this one, with migrations that it does not have yet.

As a program it is `headrace` of that version, for tests with several processes.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from headrace.cli.main import main
from headrace.engines.postgresql import database

STEP = "alter table headrace.queue add column colour text"


def migrations(folder: Path) -> Path:
    """Make a folder with the migrations that there are, and one more."""
    made = folder / "migrations"
    shutil.copytree(database._MIGRATIONS, made)
    (made / f"{database.SCHEMA_VERSION + 1:04}.sql").write_text(STEP)
    return made


def upgrade(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Be the newer version."""
    patch.setattr(database, "_MIGRATIONS", folder)
    patch.setattr(database, "SCHEMA_VERSION", len(list(folder.glob("*.sql"))))
    database._migration.cache_clear()


if __name__ == "__main__":
    upgrade(pytest.MonkeyPatch(), Path(sys.argv[1]))
    main(sys.argv[2:])
