"""What the synchronous and the asynchronous client have in common: requests, errors, when to try again. No I/O."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from .errors import PlayProofError

#: Longest pause that a server may ask for before a request is tried again, s.
MAX_PAUSE = 30.0
#: What one request waits at most for a result; longer waits are several, s.
MAX_WAIT = 50.0
#: Results asked for at once.
PAGE_SIZE = 500


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    #: Beyond the client's own time limit, s.
    extra: float = 0.0

    def options(self, timeout: float) -> dict[str, Any]:
        """Arguments of ``httpx.Client.request``."""
        options: dict[str, Any] = {"params": dict(self.params), "timeout": timeout + self.extra}
        if self.body is not None:
            options["json"] = self.body
        return options


def score(session: Mapping[str, Any], use_batch: bool) -> Request:
    return Request("POST", "/api/v1/score", body={**session, "useBatch": use_batch})


def result(session_id: str, wait: float, deployment_id: str | None) -> Request:
    params = {"wait": f"{math.ceil(wait * 1000)}ms"} if wait > 0 else {}
    if deployment_id:
        params["deploymentId"] = deployment_id
    return Request("GET", f"/api/v1/batch/result/{quote(session_id, safe='')}", params, extra=wait)


def page(path: str, filters: Mapping[str, Any], cursor: str | None) -> Request:
    """A page of a list; filters of ``None`` are left out, ``session_id`` is sent as ``sessionId``."""
    params = {camel(name): str(value) for name, value in filters.items() if value is not None}
    params.setdefault("limit", str(PAGE_SIZE))
    if cursor:
        params["cursor"] = cursor
    return Request("GET", path, params)


def telemetry(session_id: str, deployment_id: str | None) -> Request:
    params = {"deploymentId": deployment_id} if deployment_id else {}
    return Request("GET", f"/api/v1/sessions/{quote(session_id, safe='')}/telemetry", params)


def label(session_id: str, value: str | None, note: str, deployment_id: str | None) -> Request:
    path = f"/api/v1/sessions/{quote(session_id, safe='')}/label"
    params = {"deploymentId": deployment_id} if deployment_id else {}
    if value is None:
        return Request("DELETE", path, params)
    return Request("POST", path, params, body={"label": value, "note": note})


def challenge(user_id: str | None, action: str | None, deployment_id: str | None, ttl: str | None) -> Request:
    fields = {"userId": user_id, "action": action, "deploymentId": deployment_id, "ttl": ttl}
    return Request(
        "POST", "/api/v1/challenges", body={name: value for name, value in fields.items() if value is not None}
    )


def siteverify(token: str) -> Request:
    return Request("POST", "/api/v1/siteverify", body={"token": token})


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def lines(sessions: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """One session a line."""
    for session in sessions:
        yield json.dumps(session, separators=(",", ":")).encode() + b"\n"


def session(telemetry: Mapping[str, Any]) -> dict[str, Any]:
    """A session as it could be sent again, of the columns that the service keeps."""
    columns = telemetry["movements"]
    moves = zip(columns["x"], columns["y"], columns["timestamp"], strict=True)
    return {**telemetry, "movements": [{"x": x, "y": y, "timestamp": t} for x, y, t in moves]}


def failure(response: httpx.Response) -> PlayProofError:
    """The error that an answer is."""
    try:
        told = response.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        told = {}
    try:
        after: float | None = float(response.headers["retry-after"])
    except (KeyError, ValueError):
        after = None
    message = told.get("message") or f"the service answered {response.status_code}"
    path = (told.get("details") or {}).get("path")
    return PlayProofError(response.status_code, told.get("code", "unknown"), message, path, after)


def unreachable(base_url: str, error: Exception) -> PlayProofError:
    return PlayProofError(0, "unreachable", f"{base_url} does not answer: {error}")


def pause(error: PlayProofError, tried: int, retries: int) -> float | None:
    """Seconds until the next attempt; ``None`` where there is none. Submissions may be repeated."""
    if error.status not in (0, 429, 503) or tried >= retries:
        return None
    if error.retry_after is not None:
        return min(max(error.retry_after, 0.0), MAX_PAUSE)
    return 0.25 * 2.0**tried * (0.5 + random.random())
