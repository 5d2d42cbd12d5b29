"""Plans are generators of statements; batches travel as one document."""

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.engines.postgresql import plan, reading
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.plan import Rows, Statement, array, do, document, run, texts
from tests.postgresql import some_place

FILES = sorted(Path(plan._SQL).glob("*.sql"))

THROUGH = {
    *("cancelling", "entry", "expiry", "finished", "flow", "front", "history", "ordered"),
    *("ready", "receipt", "running", "scheduled", "tally", "unique_key"),
}
"""Tables that rows only pass through: what is gone stays while somebody holds a snapshot."""

# What is read from end to end all the same, and why.
READ = {
    ("claims_found", "running"),  # only after a connection was lost
    ("running_of_holder", "running"),  # only after a worker died
    ("running_expired", "running"),  # only when a lease has ended
    ("keeping_due", "running"),  # the rarer, the more there is
    ("keeping_due", "receipt"),  # once a minute
    ("receipts_forget", "receipt"),  # as above
    ("flow_fold", "flow"),  # a row for each transaction, not for each job
    ("keeping_due", "flow"),  # as above
    ("queue_row", "flow"),  # as above
    ("queue_status", "flow"),  # as above
    ("settle_succeeded", "cancelling"),  # ends at the first row; jobs are seldom cancelled
    *(
        ("queue_status", table) for table in ("running", "scheduled")
    ),  # asked by people, for a count
    *(("records", table) for table in ("finished", "front", "running", "scheduled")),  # continued
    *(("depart_live", table) for table in ("finished", "ordered", "ready", "running")),  # of a move
    *(("depart_entries", table) for table in ("entry", "ordered", "ready", "running", "scheduled")),
    ("depart_finished", "finished"),
}


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
    assert do("entries_of", "[]", 1.0)[1] == ("[]", 1.0)
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


# What the planner believes ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deceived() -> Iterator[Link]:
    """Give a connection to a schema whose tables, but for that of jobs, are thought to be empty."""
    with some_place() as place:
        link = Link(Address(place.url))
        link.say(
            "insert into headrace.job (id, queue, priority, task, accepted_at, size, envelope)"
            " select gen_random_uuid(), 1, 0, 't', 1, 2, '{}' from generate_series(1, 20000)"
        )
        link.say("; ".join(f"analyze headrace.{table}" for table in sorted({*THROUGH, "job"})))
        link.say("set plan_cache_mode = force_generic_plan")
        yield link
        link.close()


def read_whole(link: Link, text: str) -> set[str]:
    """Return the tables that rows pass through and that a statement reads from end to end."""
    count = max(map(int, re.findall(r"\$(\d+)", text)), default=0)
    link.say(f"prepare asked as {text}")
    values = f"({', '.join(['null'] * count)})" if count else ""
    (((explained,),),) = (link.say(f"explain (format json) execute asked {values}"),)
    link.say("deallocate asked")
    return {
        node["Relation Name"]
        for node in _nodes(explained[0]["Plan"])
        if node.get("Relation Name") in THROUGH
        and node["Node Type"].endswith("Scan")
        and "Index Cond" not in node
    }


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for part in node.get("Plans", ()):
        yield from _nodes(part)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_statement_reads_all_that_is_gone(deceived: Link, file: Path) -> None:
    known = {table for name, table in READ if name == file.stem}
    assert read_whole(deceived, file.read_text()) <= known


def test_a_statement_that_would_is_found(deceived: Link) -> None:
    """A join by an equals sign may begin at either end."""
    given = "from json_to_recordset($1::text::json) as given (s bigint)"
    text = f"select claim {given} join headrace.running on running.seq = given.s"
    assert read_whole(deceived, text) == {"running"}
    assert not read_whole(deceived, text.replace("given.s", "any (array[given.s])"))
