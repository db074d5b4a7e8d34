"""Client of PlayProof Batch: sessions in, verdicts out, and both as data frames."""

from .aio import AsyncClient
from .client import Client
from .errors import PlayProofError, ScoreError, WebhookError
from .frames import to_arrow, to_pandas, to_polars
from .models import (
    Challenge,
    Click,
    Label,
    LineAnswer,
    Movement,
    Reason,
    Result,
    ResultAnswer,
    ScoreAnswer,
    Session,
    SiteVerdict,
    WebhookEvent,
)
from .scoring import score
from .webhook import verify_webhook

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Challenge",
    "Click",
    "Client",
    "Label",
    "LineAnswer",
    "Movement",
    "PlayProofError",
    "Reason",
    "Result",
    "ResultAnswer",
    "ScoreAnswer",
    "ScoreError",
    "Session",
    "SiteVerdict",
    "WebhookError",
    "WebhookEvent",
    "score",
    "to_arrow",
    "to_pandas",
    "to_polars",
    "verify_webhook",
]
