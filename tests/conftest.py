"""What every test shares: no test is judged by the clock, and CI may not skip what it needs."""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from headrace.json_form import writable

pytest_plugins = ["pytester"]

# A slow machine is not a bug: neither a deadline nor a slow generator may fail a test.
settings.register_profile(
    "headrace", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("headrace")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that skips in CI for want of something that CI must provide."""
    report = yield
    _refuse_skip(report)
    # Between the processes that run the tests, a report travels as UTF-8.
    report.sections = [(name, writable(text)) for name, text in report.sections]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips as a whole."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (report.skipped and os.environ.get("CI") and isinstance(report.longrepr, tuple)):
        return
    reason = report.longrepr[2].removeprefix("Skipped: ")
    if reason.startswith("needs"):
        report.outcome = "failed"
        report.longrepr = f"CI must not skip this: {reason}"
