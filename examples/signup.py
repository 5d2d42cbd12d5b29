"""Jobs in your own transaction: the mail is sent if, and only if, the account is committed.

Name a PostgreSQL database in DATABASE_URL. Run `headrace worker signup.py` in one terminal and
`python signup.py` in another.
"""

import os

import psycopg

from headrace import App, Job

URL = os.environ["DATABASE_URL"]

app = App(URL)


@app.task
def welcome(name: str) -> str:
    """Write a mail."""
    return f"welcome, {name}"


def sign_up(name: str) -> Job[str]:
    """Make an account, and have its owner welcomed."""
    with psycopg.connect(URL) as connection:  # commits at the end, or rolls back
        connection.execute("create table if not exists account (name text primary key)")
        connection.execute("insert into account values (%s)", (name,))
        return welcome.using(tx=connection).submit(name)


if __name__ == "__main__":
    print(sign_up("Ada").result(timeout=10))
