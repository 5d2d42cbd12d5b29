"""Load is shed before anything breaks: a full queue is answered with 503 and when to come again.

Run `headrace serve overload.py --port 8047` in one terminal. Then `python overload.py 0` sends more
than there is room for, and `python overload.py 30` comes again when it is told to; it needs
`headrace worker overload.py` in another terminal, which makes room.
"""

import sys
import time
from contextlib import suppress

from headrace import App, QueueFull, QueueLimits
from headrace.client import Client

CALLS = 60

app = App("sqlite:///overload.db", queues={"checks": QueueLimits(max_depth=20)})


@app.task(queue="checks")
def check(number: int) -> int:
    """Take some time over one thing."""
    time.sleep(0.01)
    return number


def main(patience: float) -> None:
    """Send the calls, and try each for so many seconds."""
    accepted = 0
    with Client("http://localhost:8047", patience=patience) as client:
        for number in range(CALLS):
            with suppress(QueueFull):
                client.submit("check", {"number": number})
                accepted += 1
    print(f"{accepted} accepted, {CALLS - accepted} refused")


if __name__ == "__main__":
    main(patience=float(sys.argv[1]))
