"""Progress is stored, the newest word of each job, and never waited for."""

import msgspec

from headrace.errors import StorageFull
from headrace.job import Progress
from headrace.worker.reports import Reports
from headrace.write import Put
from tests.unit.waiting import until
from tests.unit.worker.stage import Stage


def test_only_the_newest_word_is_stored() -> None:
    stage = Stage()
    reports = Reports(stage.site)
    for done in range(100):
        reports.take("job-1", Progress(done, 100))
    reports.take("job-2", Progress(1, None, "half"))
    reports.stop()
    writes = [write for write in stage.engine.writes if isinstance(write, Put)]
    assert [write.key for write in writes] == ["progress/job-1", "progress/job-2"]
    assert msgspec.json.decode(writes[0].value) == {"done": 99, "total": 100, "note": ""}
    assert writes[0].expires_after


def test_it_is_stored_while_the_run_goes_on() -> None:
    stage = Stage()
    reports = Reports(stage.site)
    reports.start()
    reports.take("job-1", Progress(1))
    until(lambda: stage.engine.writes, "the progress to be stored")
    reports.stop()


def test_a_full_disk_is_no_reason_to_fail() -> None:
    stage = Stage()
    stage.engine.refusals = [StorageFull("no room")]
    reports = Reports(stage.site)
    reports.take("job-1", Progress(1))
    reports.stop()
    assert stage.ends == []
