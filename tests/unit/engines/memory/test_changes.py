"""What was changed can be undone, last change first, and whoever cares is named."""

from headrace.engines.memory.changes import Changes


def test_changes_are_undone_in_reverse() -> None:
    changes = Changes()
    undone: list[int] = []
    for number in range(3):
        changes.note(lambda number=number: undone.append(number))  # type: ignore[misc] # bound to this round
    changes.rollback()
    assert undone == [2, 1, 0]
    changes.rollback()
    assert undone == [2, 1, 0]


def test_what_is_kept_is_not_undone() -> None:
    changes = Changes()
    undone: list[int] = []
    changes.note(lambda: undone.append(1))
    changes.keep()
    changes.rollback()
    assert undone == []


def test_what_undoing_notes_is_not_undone_again() -> None:
    changes = Changes()
    values = {"a": 1}

    def put(key: str, value: int) -> None:
        old = values[key]
        changes.note(lambda: put(key, old))
        values[key] = value

    put("a", 2)
    put("a", 3)
    changes.rollback()
    assert values == {"a": 1}
    changes.rollback()
    assert values == {"a": 1}


def test_topics_are_told_once() -> None:
    changes = Changes()
    changes.note(lambda: None, "ready")
    changes.note(lambda: None, "ready")
    changes.note(lambda: None)
    assert changes.take_topics() == {"ready"}
    assert changes.take_topics() == set()
