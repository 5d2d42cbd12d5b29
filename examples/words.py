"""Count words: a first task, one that is tried again, and one that runs on the event loop.

Run `headrace worker words.py` in one terminal and `python words.py` in another.
"""

import asyncio

from headrace import App, Retry

app = App("sqlite:///words.db")


@app.task
def count(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


@app.task(retry=Retry(attempts=3, delay=0.1, never=(ValueError,)))
def average(words: int, lines: int) -> float:
    """Divide: fails where it must."""
    if lines < 0:
        raise ValueError("there are no lines below zero")
    return words / lines


@app.task
async def count_slowly(text: str, seconds: float = 0.1) -> int:
    """Count words while other tasks run on the same event loop."""
    await asyncio.sleep(seconds)
    return len(text.split())


if __name__ == "__main__":
    job = count.submit("the water turns the wheel")
    print(job.id, job.result(timeout=10))
