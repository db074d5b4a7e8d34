"""Scores a data frame by the program itself: the same code path as the service, without one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

from . import frames, protocol
from .errors import ScoreError

#: Names the program when it is not on the PATH.
BINARY = "PLAYPROOF_BINARY"
MOVEMENT = ("x", "y", "timestamp")


def score(
    frame: Any,
    *,
    binary: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    strict: bool = True,
) -> Any:
    """Scores the sessions of ``frame`` offline, one row a session in their order.

    Args:
        frame: A pandas or polars DataFrame, an Arrow table, or an iterable of sessions. A row is either a session, with
            a column ``movements``; or a row is a movement, with the columns ``sessionId``, ``x``, ``y`` (px) and
            ``timestamp`` (ms), and others, such as ``deviceType``, that hold for the session.
        binary: The program; else ``PLAYPROOF_BINARY``, else ``playproof-batch`` on the PATH.
        model: A model file in place of the bundled one.
        strict: Whether a refused session is an error; else its row is left out.

    Returns:
        A frame of the same library (a list for an iterable) with the columns of ``playproof-batch score``: sessionId,
        anomalyScore, rawScore, isAnomaly, decision, confidence, source, modelId, modelVersion, reasons.

    Raises:
        ScoreError: The program is missing or fails, or a session is refused; with its number, counted from 1.
    """
    program = str(binary) if binary else os.environ.get(BINARY) or shutil.which("playproof-batch")
    if not program:
        raise ScoreError(f"playproof-batch is not on the PATH; give binary=..., or set {BINARY}")
    command = [program, "score", "-", "-o", "-", "--format", "ndjson"]
    command += ["--model", str(model)] if model else []
    command += ["--strict"] if strict else []
    text = b"".join(protocol.lines(sessions(frames.records(frame))))
    try:
        done = subprocess.run(command, input=text, capture_output=True, check=False)
    except OSError as error:
        raise ScoreError(f"{program} cannot be run: {error}") from error
    if done.returncode != 0:
        raise ScoreError(done.stderr.decode(errors="replace").strip() or f"{program} ended with {done.returncode}")
    return like(frame, [json.loads(line) for line in done.stdout.splitlines() if line])


def sessions(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sessions of rows that are sessions, or movements of sessions."""
    rows = list(rows)
    if all("movements" in row for row in rows):
        return [dict(row) for row in rows]
    found: dict[str, dict[str, Any]] = {}
    movements: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(rows):
        absent = [name for name in ("sessionId", *MOVEMENT) if name not in row]
        if absent:
            raise ScoreError(
                f"row {number} has no {absent[0]}; a row is a session with movements, or a movement with "
                "sessionId, x, y and timestamp"
            )
        name = str(row["sessionId"])
        if name not in found:
            movements[name] = []
            rest = {key: value for key, value in row.items() if key not in (*MOVEMENT, "isTrusted")}
            found[name] = {**rest, "sessionId": name, "movements": movements[name]}
        movements[name].append({key: row[key] for key in (*MOVEMENT, "isTrusted") if key in row})
    return list(found.values())


def like(frame: Any, rows: list[dict[str, Any]]) -> Any:
    """Rows as a frame of the library that ``frame`` is of."""
    library = type(frame).__module__.partition(".")[0]
    makers = {"pandas": frames.to_pandas, "polars": frames.to_polars, "pyarrow": frames.to_arrow}
    return makers[library](rows) if library in makers else [frames.flat(row) for row in rows]
