"""How long the fault tests run: a slice in `make test`, the long form in `make soak`."""

from typing import Any

import pytest

SOAK_SECONDS = 3600


def lengths(short: int, long: int) -> list[Any]:
    """Return both lengths of a test, for `pytest.mark.parametrize`; the long one is a soak."""
    marks = [pytest.mark.soak, pytest.mark.timeout(SOAK_SECONDS)]
    return [short, pytest.param(long, marks=marks)]
