"""Exactly-once effects: a task's own writes, its new jobs and its completion in one transaction.

Run `headrace worker orders.py` in one terminal and `python orders.py` in another.
"""

from headrace import App, Context

app = App("sqlite:///orders.db")


@app.task
def confirm(order: str) -> str:
    """Tell the customer."""
    return f"order {order} is on its way"


@app.task
def ship(ctx: Context, order: str, pieces: int) -> int:
    """Take an order's pieces from the stock, and have it confirmed."""
    with ctx.transaction() as tx:
        tx.execute("create table if not exists stock (article text primary key, pieces int)")
        tx.execute("insert or ignore into stock values ('wheel', 100)")
        rows = tx.execute(
            "update stock set pieces = pieces - ? where article = 'wheel' returning pieces",
            (pieces,),
        )
        tx.submit([confirm.call(order)])
        left: int = rows[0][0]
        tx.done(left)
    return left


if __name__ == "__main__":
    print(ship.submit("A-17", pieces=3).result(timeout=10), "left")
