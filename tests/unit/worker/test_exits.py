"""Exit codes are a promise to whoever supervises workers."""

from headrace.worker import Exit


def test_exit_codes_stay_what_they_are() -> None:
    assert {code.name: code.value for code in Exit} == {
        "CLEAN": 0,
        "USAGE": 2,
        "ENGINE": 75,
        "STUCK": 76,
        "RECYCLED": 77,
    }
