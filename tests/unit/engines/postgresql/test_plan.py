"""Plans are generators of statements; batches travel as one document."""

import re
from collections.abc import Generator
from pathlib import Path

import pytest

from headrace.engines.postgresql import plan, reading
from headrace.engines.postgresql.plan import Rows, Statement, array, do, document, run, texts


def test_a_plan_is_sent_the_rows_of_what_it_asks() -> None:
    def story() -> Generator[Statement, Rows, int]:
        ((first,),) = yield "one", ()
        ((second,),) = yield "two", (first,)
        return int(first) + int(second)

    asked: list[Statement] = []

    def ask(statement: Statement) -> Rows:
        asked.append(statement)
        return [(len(asked),)]

    assert run(ask, story()) == 3
    assert asked == [("one", ()), ("two", (1,))]


def test_what_a_plan_raises_and_what_is_raised_into_it_pass_through() -> None:
    def story() -> Generator[Statement, Rows, None]:
        yield "one", ()

    def ask(_: Statement) -> Rows:
        raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        run(ask, story())


def test_statements_are_files_and_all_of_them_are_used() -> None:
    assert do("entry", "key", 1.0)[1] == ("key", 1.0)
    folder = Path(plan.__file__).parent
    code = "".join(path.read_text() for path in folder.glob("*.py"))
    names = [path.stem for path in (folder / "sql").glob("*.sql")]
    assert len(names) > 50
    assert [name for name in names if f'"{name}"' not in code and f"'{name}'" not in code] == []


def test_batches_are_one_text() -> None:
    assert document([{"a": "ü"}]) == '[{"a":"ü"}]'
    assert array([3, 1]) == "{3,1}"
    assert array([]) == "{}"
    assert texts(["a", "b"]) == "{a,b}"


def test_arrays_are_read_once() -> None:
    """A cast from text may be evaluated for each row that is compared: a subquery is not."""
    texts = [file.read_text() for file in Path(plan._SQL).glob("*.sql")]
    texts.append(Path(reading.__file__).read_text())
    assert [text for text in texts if re.search(r"any\s*\(\s*\$", text)] == []
