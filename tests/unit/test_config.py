"""Settings come from four places, in one order, and a wrong one says where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.config import Config, load
from headrace.errors import ConfigError
from headrace.message import Retention
from headrace.record import QueueLimits


def test_defaults_hold_where_nothing_is_said(tmp_path: Path) -> None:
    assert load({}, {}, tmp_path) == Config()


def test_keyword_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.headrace]\nthreads = 1\nconcurrency = 1\nlease = 1\n"
    )
    config = load(
        {"threads": 3},
        {"HEADRACE_THREADS": "2", "HEADRACE_CONCURRENCY": "2", "OTHER": "x"},
        tmp_path,
    )
    assert (config.threads, config.concurrency, config.lease, config.poll) == (3, 2, 1.0, 1.0)


def test_the_process_s_own_environment_and_directory_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.headrace]\npoll = 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_URL", "memory:")
    config = load({})
    assert (config.poll, config.url) == (7.0, "memory:")


def test_texts_of_the_environment_become_values(tmp_path: Path) -> None:
    config = load(
        {},
        {
            "HEADRACE_ALLOW_NETWORK_FILES": "true",
            "HEADRACE_LEASE": "2.5",
            "HEADRACE_QUEUES": '{"images": {"max_depth": 10}}',
            "HEADRACE_RETENTION": '{"dead": 60}',
        },
        tmp_path,
    )
    assert (config.allow_network_files, config.lease) == (True, 2.5)
    assert config.queues == {"images": QueueLimits(max_depth=10)}
    assert config.retention == Retention(dead=60)


def test_values_may_be_given_as_objects_or_as_tables(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.headrace.queues.images]\nmax_depth = 10\n")
    assert load({}, {}, tmp_path).queues == {"images": QueueLimits(max_depth=10)}
    given = {"queues": {"images": QueueLimits(max_bytes=5)}}
    assert load(given, {}, tmp_path).queues == {"images": QueueLimits(max_bytes=5)}


def test_a_project_without_our_table_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert load({}, {}, tmp_path) == Config()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"concurency": 1}, "concurency=1: there is no such setting; did you mean 'concurrency'"),
        ({"zzz": 1}, "there are url, durability"),
        ({"concurrency": "5"}, "concurrency='5': expected `int`"),
        ({"concurrency": 0}, "concurrency=0: expected `int` >= 1"),
        ({"durability": "maybe"}, "durability='maybe'"),
        ({"lease": 0}, "lease=0"),
        ({"queues": {"images": {"max_dept": 5}}}, "max_dept"),
    ],
)
def test_a_wrong_keyword_is_refused(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        load(given, {}, tmp_path)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"HEADRACE_THREDS": "1"}, "HEADRACE_THREDS is no setting: did you mean HEADRACE_THREADS"),
        ({"HEADRACE_THREADS": "many"}, "HEADRACE_THREADS='many': expected `int`"),
        ({"HEADRACE_QUEUES": "images"}, "HEADRACE_QUEUES='images'"),
    ],
)
def test_a_wrong_variable_is_refused(variables: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        load({}, variables, tmp_path)


def test_variables_that_belong_to_others_are_left_alone(tmp_path: Path) -> None:
    assert load({}, {"HEADRACE_PORT": "tcp://10.0.0.1:80"}, tmp_path) == Config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.headrace]\nthread = 1\n", r"pyproject\.toml: thread = 1: .*'threads'"),
        ("[tool.headrace]\nthreads = '1'\n", r"pyproject\.toml: threads = '1': expected `int`"),
        ("[tool]\nheadrace = 1\n", r"\[tool\.headrace\] must be a table"),
        ("[tool\n", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        load({}, {}, tmp_path)


def test_no_secret_of_the_url_is_shown() -> None:
    config = Config(url="redis://me:s3cret@host:6379/0?prefix=a")
    assert config.place == "redis://host:6379/0?prefix=a"
    assert "s3cret" not in repr(config)
    assert "place" not in repr(config)
    assert Config(url="sqlite:////a/b%20c.db").place == "sqlite:////a/b%20c.db"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host:5433/jobs", "postgresql://host:5433/jobs"),
        ("postgresql://host/jobs?password=secret", "postgresql://host/jobs?***"),
        ("postgresql://me@host/jobs?sslmode=require", "postgresql://host/jobs?sslmode=require"),
        ("sqlite:///jobs.db", "sqlite:///jobs.db"),
        ("memory:", "memory:"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert Config(url=url).place == shown
