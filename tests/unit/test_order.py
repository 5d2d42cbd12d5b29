"""An order arrives as what it was."""

import pytest

from headrace.order import Serve, Work, decode, encode, farewell


@pytest.mark.parametrize(
    "order",
    [
        Serve("app.py"),
        Work(target="app:app", holder="a", queues=("q",), settings={"lease": 5.0}, most_jobs=9),
        Work(),
    ],
)
def test_an_order_arrives(order: Serve | Work) -> None:
    assert decode(encode(order)) == order


def test_a_farewell_tells_the_exit_code() -> None:
    assert farewell(77) != farewell(75)
