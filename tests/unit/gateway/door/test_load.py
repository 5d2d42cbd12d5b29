"""There is a limit to what is handled, and another to what waits."""

from __future__ import annotations

import pytest

from headrace.gateway.door.load import Load
from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings


def test_so_many_are_handled() -> None:
    load = Load(Settings(max_requests=2))
    load.handled = 2
    load.check()
    load.handled = 3
    with pytest.raises(Problem) as caught:
        load.check()
    assert caught.value.content["type"].endswith("#temporary-reduced-capacity")
    assert caught.value.headers == {"Retry-After": "1"}


def test_a_server_that_is_about_to_stop_takes_nothing_on() -> None:
    load = Load(Settings())
    load.draining = True
    with pytest.raises(Problem, match="about to stop"):
        load.check()


def test_who_waits_is_not_handled() -> None:
    load = Load(Settings(max_waiters=1))
    load.handled = 1
    with load.pausing():
        assert (load.handled, load.waiting) == (0, 1)
        with pytest.raises(Problem, match="too many wait"), load.pausing():
            pass
    assert (load.handled, load.waiting) == (1, 0)
