"""Supervise workers of `tests.system.program`: `python -m tests.system.supervise '{...}'`.

The argument is JSON: `processes`, and fields of `Work`.
"""

import json
import sys

from headrace.order import Work
from headrace.supervisor import Supervisor
from tests.system.program import app

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    processes = given.pop("processes")
    with app:
        supervisor = Supervisor(app, Work(target="tests.system.program:app", **given), processes)
        code = supervisor.run()
    sys.exit(code)
