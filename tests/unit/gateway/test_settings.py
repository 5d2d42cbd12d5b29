"""Settings are checked when they are made."""

from __future__ import annotations

import msgspec
import pytest

from headrace.gateway.settings import Settings


def test_nobody_is_let_in_unless_it_is_said() -> None:
    assert not Settings().anonymous


@pytest.mark.parametrize("wrong", [{"max_body": 0}, {"body_timeout": 0}, {"max_bodies": 1}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Settings)
