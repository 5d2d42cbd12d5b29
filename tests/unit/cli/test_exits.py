"""An exit code says what kind of error it was, the most special kind first."""

from __future__ import annotations

import inspect
import re

import click
import pytest

from headrace import errors
from headrace.cli.exits import Exit, NoDatabase
from tests.docs.markdown import ROOT


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.JobDead("x", "id", "rejected"), Exit.FAILED),
        (errors.ConfigError("x"), Exit.USAGE),
        (errors.UnknownTask("x"), Exit.USAGE),
        (click.UsageError("x"), Exit.USAGE),
        (errors.JobNotFound("x"), Exit.NOT_FOUND),
        (NoDatabase("x"), Exit.NOT_FOUND),
        (errors.QueueFull("x", "default", 1.0), Exit.REFUSED),
        (errors.StorageFull("x"), Exit.REFUSED),
        (errors.PayloadTooLarge("x"), Exit.REFUSED),
        (errors.OutcomeUnknown("x"), Exit.ENGINE),
        (errors.StorageCorrupt("x"), Exit.ENGINE),
        (OSError("x"), Exit.ENGINE),
        (errors.ResultTimeout("x", "id", "ready"), Exit.TIMEOUT),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (click.Abort(), Exit.INTERRUPTED),
        (ZeroDivisionError("x"), Exit.BUG),
    ],
)
def test_code_of_an_error(error: BaseException, code: Exit) -> None:
    assert Exit.of(error) is code


def test_no_error_of_ours_is_taken_for_a_bug() -> None:
    family = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.HeadraceError)
    ]
    assert len(family) > 20
    for kind in family:
        assert Exit.of(kind.__new__(kind)) is not Exit.BUG


def test_the_reference_lists_every_code() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert {int(code) for code in Exit} <= listed
