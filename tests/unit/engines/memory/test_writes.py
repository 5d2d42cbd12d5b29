"""What the writer does beyond the suites: it refuses what it does not know."""

import pytest

from headrace.engines.memory.changes import Changes
from headrace.engines.memory.entries import Entries
from headrace.engines.memory.jobs import Jobs
from headrace.engines.memory.writes import Writer
from headrace.errors import DuplicateJob, InvalidOption, QueueFull, Unsupported
from headrace.record import QueueLimits, State
from headrace.testing import ManualClock
from headrace.testing.steps import job_id, message
from headrace.write import Lease, LimitQueue, Send, Settle, Settlement, Write


@pytest.fixture
def writer() -> Writer:
    changes = Changes()
    return Writer(Jobs(changes), Entries(changes), ManualClock())


def test_an_unknown_write_is_refused_by_name(writer: Writer) -> None:
    class Surprise(Write[None], frozen=True):
        pass

    with pytest.raises(Unsupported, match="Surprise"):
        writer.carry_out(Surprise())


def test_an_unknown_version_is_refused_by_number(writer: Writer) -> None:
    with pytest.raises(InvalidOption, match="version 9"):
        writer.carry_out(Send((message("a", v=9),)))


def test_nothing_is_settled_to_running(writer: Writer) -> None:
    lease = Lease(message=message("a"), token=1, claim="w.1")
    with pytest.raises(InvalidOption, match="extend"):
        writer.carry_out(Settle((Settlement(lease=lease, to=State.RUNNING),)))


def test_a_refusal_names_the_rival(writer: Writer) -> None:
    writer.carry_out(Send((message("a", unique_key="k"),)))
    with pytest.raises(DuplicateJob, match=f"'k'.*{job_id('a')}.*ready") as refused:
        writer.carry_out(Send((message("b", unique_key="k"),)))
    assert refused.value.job_id == job_id("a")


def test_a_full_queue_tells_how_full_and_for_how_long(writer: Writer) -> None:
    writer.carry_out(LimitQueue("default", QueueLimits(max_depth=1)))
    writer.carry_out(Send((message("a"),)))
    with pytest.raises(QueueFull, match=r"'default' is full: 1 jobs, \d+ bytes; .* 1\.0 s"):
        writer.carry_out(Send((message("b"),)))


def test_a_replacement_fits_into_a_full_queue(writer: Writer) -> None:
    writer.carry_out(LimitQueue("default", QueueLimits(max_depth=1)))
    writer.carry_out(Send((message("a", unique_key="k"),)))
    new = message("b", unique_key="k", on_conflict="replace")
    assert writer.carry_out(Send((new,))).replaced == (job_id("a"),)
