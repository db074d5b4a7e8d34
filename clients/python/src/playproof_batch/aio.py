"""The asynchronous client."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal, cast

import httpx

from . import protocol
from .errors import PlayProofError
from .models import Challenge, Label, LineAnswer, Result, ResultAnswer, ScoreAnswer, Session, SiteVerdict
from .protocol import Request


async def _lines(sessions: Iterable[Session]) -> AsyncIterator[bytes]:
    for line in protocol.lines(sessions):
        yield line


class AsyncClient:
    """Asks one node, or the nodes behind one address.

    Args:
        base_url: Such as ``https://bots.example.com``.
        api_key: Of the role ingest, analyst or admin, as the methods need.
        timeout: How long a request may take, waiting for a result not counted, s.
        retries: How often a request is tried again that was put off (429, 503) or did not arrive.
        transport: In place of httpx's own, as for proxies.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:3000",
        api_key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 3,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._retries = retries
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.AsyncClient(base_url=self.base_url, headers=headers, transport=transport)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def score(self, session: Session, *, use_batch: bool = False) -> ScoreAnswer:
        """Submits a session and gives its first verdict. Sending the same session again gives the same answer."""
        return cast(ScoreAnswer, await self.request(protocol.score(session, use_batch)))

    async def submit(self, sessions: Iterable[Session]) -> AsyncIterator[LineAnswer]:
        """Queues many sessions in one request, of any number; an answer for each, a refused one among them.

        Not tried again by itself: sessions that were accepted are duplicates the second time.
        """
        headers = {"content-type": "application/x-ndjson"}
        content = _lines(sessions)
        try:
            async with self._http.stream(
                "POST", "/api/v1/batch/sessions", content=content, headers=headers, timeout=None
            ) as answer:
                if answer.is_error:
                    await answer.aread()
                    raise protocol.failure(answer)
                async for line in answer.aiter_lines():
                    told = json.loads(line) if line else {}
                    if "line" in told:
                        yield cast(LineAnswer, told)
                    elif told and "summary" not in told:
                        raise PlayProofError(200, told.get("code", "unknown"), told.get("message", line))
        except httpx.TransportError as error:
            raise protocol.unreachable(self.base_url, error) from error

    async def result(self, session_id: str, *, wait: float = 0.0, deployment_id: str | None = None) -> ResultAnswer:
        """How a session stands; with ``wait``, once it has a result or so many seconds are over."""
        until = time.monotonic() + wait
        while True:
            now = min(max(until - time.monotonic(), 0.0), protocol.MAX_WAIT)
            answer = cast(ResultAnswer, await self.request(protocol.result(session_id, now, deployment_id)))
            if answer["status"] != "queued" or time.monotonic() >= until:
                return answer

    async def results(self, **filters: Any) -> AsyncIterator[Result]:
        """Results, the newest first, page after page.

        Filters: ``decision``, ``source``, ``since``, ``until``, ``deployment_id``, ``reason``, ``device_type``,
        ``session_id``, ``limit`` (of a page).
        """
        async for row in self._pages("/api/v1/batch/results", "results", filters):
            yield cast(Result, row)

    async def labels(self, **filters: Any) -> AsyncIterator[Label]:
        """Labels, page after page. Filters: ``deployment_id``, ``limit``."""
        async for row in self._pages("/api/v1/labels", "labels", filters):
            yield cast(Label, row)

    async def sessions(self, **filters: Any) -> AsyncIterator[Session]:
        """Sessions with their movements, of what :meth:`results` gives; those whose telemetry is gone are left out."""
        async for row in self.results(**filters):
            try:
                told = await self.request(protocol.telemetry(row["sessionId"], row.get("deploymentId")))
            except PlayProofError as error:
                if error.status in (404, 410):
                    continue
                raise
            yield cast(Session, protocol.session(told))

    async def label(
        self,
        session_id: str,
        label: Literal["human", "bot"] | None,
        *,
        note: str = "",
        deployment_id: str | None = None,
    ) -> None:
        """Says what a session is; ``None`` takes that back."""
        await self.request(protocol.label(session_id, label, note, deployment_id))

    async def challenge(
        self,
        *,
        user_id: str | None = None,
        action: str | None = None,
        deployment_id: str | None = None,
        ttl: str | None = None,
    ) -> Challenge:
        """A single-use token for a page, which sends its session with it and no key."""
        return cast(Challenge, await self.request(protocol.challenge(user_id, action, deployment_id, ttl)))

    async def siteverify(self, token: str) -> SiteVerdict:
        """The verdict of the session that came with a token; a second time it is refused, in ``error-codes``."""
        return cast(SiteVerdict, await self.request(protocol.siteverify(token)))

    async def request(self, request: Request) -> Any:
        """A request of your own, with the client's key, retries and errors; its JSON."""
        for tried in itertools.count():
            try:
                return await self._once(request)
            except PlayProofError as error:
                pause = protocol.pause(error, tried, self._retries)
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("counting has no end")

    async def _once(self, request: Request) -> Any:
        try:
            answer = await self._http.request(request.method, request.path, **request.options(self._timeout))
        except httpx.TransportError as error:
            raise protocol.unreachable(self.base_url, error) from error
        if answer.is_error:
            raise protocol.failure(answer)
        return answer.json() if answer.content else None

    async def _pages(self, path: str, name: str, filters: dict[str, Any]) -> AsyncIterator[Any]:
        cursor: str | None = None
        while True:
            answer = await self.request(protocol.page(path, filters, cursor))
            for row in answer[name]:
                yield row
            cursor = answer.get("nextCursor")
            if not cursor:
                return
