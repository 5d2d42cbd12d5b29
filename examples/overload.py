"""Load is shed before anything breaks: a full queue is answered with 503 and when to come again.

Run `headrace serve overload.py` in one terminal and `headrace worker overload.py` in another;
`python overload.py` sends more than there is room for.
"""

import time

from headrace import App, QueueFull, QueueLimits
from headrace.client import Client

app = App("sqlite:///overload.db", queues={"checks": QueueLimits(max_depth=20)})


@app.task(queue="checks")
def check(number: int) -> int:
    """Take some time over one thing."""
    time.sleep(0.01)
    return number


def main() -> None:
    """Send sixty calls: first as an impatient client, then as one that comes again when told."""
    refused = 0
    with Client("http://localhost:8000", patience=0) as impatient:
        for number in range(60):
            try:
                impatient.submit("check", {"number": number})
            except QueueFull:
                refused += 1
    print(f"{60 - refused} accepted, {refused} refused, nothing broken")
    with Client("http://localhost:8000", patience=30) as patient:
        jobs = [patient.submit("check", {"number": number}) for number in range(60)]
        print(sum(patient.result(job, timeout=30) for job in jobs))


if __name__ == "__main__":
    main()
