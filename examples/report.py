"""Tell how far a task has come, from the task, and see it from outside.

Run `headrace worker report.py` in one terminal and `python report.py` in another.
"""

import time

from headrace import App, Context, ResultTimeout

app = App("sqlite:///report.db")


@app.task
def report(ctx: Context, months: int) -> str:
    """Write a report, one month after another."""
    for month in range(1, months + 1):
        ctx.check()
        time.sleep(0.1)
        ctx.progress(month, total=months, note=f"month {month}")
    return f"{months} months"


if __name__ == "__main__":
    job = report.submit(12)
    while True:
        try:
            print(job.result(timeout=0.3))
            break
        except ResultTimeout as late:
            print(late.state, job.progress())
