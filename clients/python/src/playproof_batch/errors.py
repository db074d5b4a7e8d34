"""What can go wrong."""

from __future__ import annotations


class PlayProofError(Exception):
    """An answer that is an error, in the service's words; or, with the code ``unreachable``, none."""

    def __init__(
        self, status: int, code: str, message: str, path: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        #: HTTP status; 0 when nothing was answered.
        self.status = status
        #: Stable; branch on this.
        self.code = code
        #: The field at fault, where it is one.
        self.path = path
        #: When to come back, in seconds.
        self.retry_after = retry_after


class WebhookError(ValueError):
    """A delivery that is not the service's, or not fresh."""


class ScoreError(RuntimeError):
    """The binary could not score; the message is what it said."""
