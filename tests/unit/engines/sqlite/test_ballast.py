"""The reserve that is given back when the disk is full."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from headrace.engines.sqlite.ballast import Ballast

SIZE = 64 * 1024


@pytest.fixture
def ballast(tmp_path: Path) -> Ballast:
    ballast = Ballast(tmp_path / "jobs.db-ballast", SIZE)
    assert ballast.fill()
    return ballast


def no_space(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_it_takes_real_blocks_for_its_user_alone(ballast: Ballast) -> None:
    found = ballast.path.stat()
    assert found.st_size == SIZE
    assert found.st_blocks * 512 >= SIZE
    assert found.st_mode & 0o777 == 0o600
    assert ballast.whole()


def test_it_is_spent_part_by_part_and_filled_again(ballast: Ballast) -> None:
    sizes = []
    while ballast.spend():
        sizes.append(ballast.left())
        assert not ballast.whole()
    assert sizes == [SIZE * left // 8 for left in range(7, -1, -1)]
    assert ballast.fill()
    assert ballast.whole()


def test_two_processes_share_one_reserve(ballast: Ballast) -> None:
    other = Ballast(ballast.path, SIZE)
    ballast.spend()
    assert not other.whole()
    assert other.fill()
    assert ballast.whole()


def test_without_space_it_takes_nothing(ballast: Ballast, monkeypatch: pytest.MonkeyPatch) -> None:
    ballast.spend()
    left = ballast.left()
    monkeypatch.setattr(os, "posix_fallocate", no_space)
    assert not ballast.fill()
    assert ballast.left() == left


@pytest.mark.parametrize("problem", [None, errno.EOPNOTSUPP, errno.EINVAL])
def test_where_blocks_cannot_be_reserved_they_are_written(
    ballast: Ballast, monkeypatch: pytest.MonkeyPatch, problem: int | None
) -> None:
    while ballast.spend():
        pass
    if problem is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:

        def refuse(*_: object) -> NoReturn:
            raise OSError(problem, os.strerror(problem))

        monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert ballast.fill()
    assert ballast.path.stat().st_blocks * 512 >= SIZE


def test_a_file_that_was_written_in_part_only_is_given_back(
    ballast: Ballast, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast.spend()
    left = ballast.left()
    write = os.pwrite
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: write(file, data[:100], at))
    assert not ballast.fill()
    assert ballast.left() == left


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    precious, link = tmp_path / "precious", tmp_path / "jobs.db-ballast"
    precious.write_text("text")
    link.symlink_to(precious)
    ballast = Ballast(link, SIZE)
    assert not ballast.fill()
    assert not ballast.spend()
    assert precious.read_text() == "text"


def test_a_reserve_of_nothing_is_always_whole(tmp_path: Path) -> None:
    none = Ballast(tmp_path / "none", 0)
    assert none.whole()
    assert none.fill()
    assert not none.spend()
    assert not none.path.exists()


def test_a_reserve_that_cannot_be_made_or_given_back_is_no_accident(
    ballast: Ballast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not Ballast(tmp_path / "no" / "folder", SIZE).fill()
    monkeypatch.setattr(os, "ftruncate", no_space)
    assert not ballast.spend()
