"""Flask hands work over: the view answers 202 at once, and tells later what became of it.

Run `headrace worker flask_orders.py` in one terminal and
`flask --app flask_orders run --port 8000` in another; ask with
`curl -d name=Ada localhost:8000/orders`.
"""

from flask import Flask, request

from headrace import App, JobNotFound

app = App("sqlite:///flask_orders.db")


@app.task
def invoice(name: str) -> str:
    """Write an invoice."""
    return f"invoice for {name}"


site = Flask(__name__)


@site.post("/orders")
def order() -> tuple[dict[str, str], int, dict[str, str]]:
    """Accept an order."""
    job = invoice.submit(request.form["name"])
    return {"job": job.id}, 202, {"Location": f"/orders/{job.id}"}


@site.get("/orders/<job_id>")
def show(job_id: str) -> tuple[dict[str, object], int]:
    """Tell what became of it: 200 for each order that is known."""
    try:
        job = app.job(job_id)
    except JobNotFound:
        return {"error": "no such order"}, 404
    state = job.state
    return {"state": state, "result": job.result() if state == "succeeded" else None}, 200
