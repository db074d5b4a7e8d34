"""Shapes of what is sent and answered, with the names that they have in JSON."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Decision = Literal["pass", "review", "fail"]


class _MovementRequired(TypedDict):
    x: float
    y: float
    #: Milliseconds from any origin.
    timestamp: float


class Movement(_MovementRequired, total=False):
    """A pointer's place, px."""

    isTrusted: bool


class Click(_MovementRequired, total=False):
    """A button press or tap."""

    targetHit: bool


class _SessionRequired(TypedDict):
    #: Unique per deployment.
    sessionId: str
    #: In the order of arrival; empty for a visitor without a pointer.
    movements: list[Movement]


class Session(_SessionRequired, total=False):
    """A verification session."""

    clicks: list[Click]
    userId: str
    deploymentId: str
    gameType: str
    deviceType: str
    durationMs: float
    hits: int
    misses: int


class Reason(TypedDict):
    #: Stable; branch on this.
    code: str
    message: str


class Result(TypedDict, total=False):
    """A verdict; in lists with the session's names."""

    sessionId: str
    deploymentId: str
    deviceType: str
    decision: Decision
    anomalyScore: float | None
    rawScore: float | None
    scoreKind: str
    extrapolated: bool
    isAnomaly: bool
    confidence: float
    reasons: list[Reason]
    matches: list[str]
    source: str
    modelId: str
    modelVersion: str
    calibrationClass: str
    batchId: int | None
    scoredAt: str
    attempts: int
    fallback: bool


class ResultAnswer(TypedDict, total=False):
    """How a session stands."""

    sessionId: str
    status: Literal["queued", "processed", "failed"]
    result: Result
    first: dict[str, Any]
    attempts: int
    lastError: str
    message: str


class ScoreAnswer(TypedDict, total=False):
    """The first verdict; with a submit key only ``sessionId`` and ``status``."""

    sessionId: str
    status: str
    decision: Decision
    confidence: float
    anomaly: dict[str, Any]
    heuristic: dict[str, Any]
    featureSummary: dict[str, Any]
    reasons: list[Reason]
    source: str
    scoredAt: str
    latencyMs: float


class LineAnswer(TypedDict, total=False):
    """What became of one session of many."""

    #: Counted from 1.
    line: int
    outcome: Literal["accepted", "duplicate", "refused"]
    sessionId: str | None
    status: str
    code: str
    message: str


class Label(TypedDict, total=False):
    """What somebody said that a session is."""

    sessionId: str
    deploymentId: str
    label: Literal["human", "bot"] | None
    note: str
    at: str | None


class Challenge(TypedDict, total=False):
    """A single-use token for one session of a page."""

    token: str
    sessionId: str
    expiresAt: str


#: ``error-codes`` is no name in Python.
SiteVerdict = TypedDict(
    "SiteVerdict",
    {
        "success": bool,
        "score": float | None,
        "action": str | None,
        "challenge_ts": str,
        "hostname": str | None,
        "error-codes": list[str],
        "sessionId": str,
        "decision": Decision,
        "status": str,
        "reasons": list[Reason],
    },
    total=False,
)


class WebhookEvent(TypedDict):
    """What a webhook is sent."""

    #: The same however often it is sent.
    id: str
    type: Literal["verdict.final", "verdict.changed", "webhook.test"]
    createdAt: str
    data: dict[str, Any]
