"""The steps of a client's run: each is timed, printed as one line of the table, and counted."""

import contextlib
import csv
import io
import sys


class Steps:
    """Runs steps until one fails; the later ones need what it makes."""

    def __init__(self, client):
        self.client = client

    @contextlib.contextmanager
    def step(self, name):
        try:
            yield
        except BaseException as error:
            print(f"{self.client:<10} {name:<44} FAILED {type(error).__name__}: {str(error)[:300]}", flush=True)
            sys.exit(1)
        print(f"{self.client:<10} {name:<44} ok", flush=True)


def rows(count, outliers=()):
    """A table as CSV bytes: ordinary rows, and outliers at the given places."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["speed", "turns", "device"])
    for row in range(count):
        speed = 900 if row in outliers else 100 + row * 7 % 13
        writer.writerow([speed, row * 5 % 11, "mouse"])
    return text.getvalue().encode()
