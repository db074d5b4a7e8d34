"""Proof that a delivery is the service's."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from typing import cast

from .errors import WebhookError
from .models import WebhookEvent


def verify_webhook(
    secret: str, header: str | None, body: bytes | str, *, tolerance: float = 300, now: float | None = None
) -> WebhookEvent:
    """Reads a delivery and proves that it is the service's and fresh.

    ``header`` is ``playproof-signature``, ``body`` the body as it came, byte for byte, ``tolerance`` in seconds.

    Raises:
        WebhookError: What is wrong.
    """
    parts = dict(part.split("=", 1) for part in (header or "").split(",") if "=" in part)
    at, code = parts.get("t", ""), parts.get("v1", "")
    if not re.fullmatch(r"[0-9]{1,15}", at) or not re.fullmatch(r"[0-9a-f]{64}", code):
        raise WebhookError("the header playproof-signature is missing or malformed")
    raw = body.encode() if isinstance(body, str) else body
    wanted = hmac.new(secret.encode(), at.encode() + b"." + raw, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted, code):
        raise WebhookError("the signature is not of this secret and body")
    if abs((time.time() if now is None else now) - int(at)) > tolerance:
        raise WebhookError("the delivery was signed too long ago, or in the future")
    return cast(WebhookEvent, json.loads(raw))
