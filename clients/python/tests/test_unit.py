"""Without a node: retries, errors, signatures, frames."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import recording

import playproof_batch as pp
from playproof_batch import frames, scoring

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, **options: object) -> pp.Client:
    return pp.Client("http://node/", "key", transport=httpx.MockTransport(handler), **options)  # type: ignore[arg-type]


def test_what_is_put_off_is_tried_again_and_what_is_refused_is_not() -> None:
    asked: list[httpx.Request] = []

    def busy_twice(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) < 3:
            return httpx.Response(503, headers={"retry-after": "0"}, json={"code": "busy", "message": "later"})
        return httpx.Response(200, json={"sessionId": "a", "status": "queued"})

    assert client(busy_twice).score(recording("a"), use_batch=True) == {"sessionId": "a", "status": "queued"}  # type: ignore[arg-type]
    assert len(asked) == 3
    assert asked[0].headers["authorization"] == "Bearer key"
    assert json.loads(asked[0].content)["useBatch"] is True

    refused: list[int] = []

    def refuse(_: httpx.Request) -> httpx.Response:
        refused.append(1)
        return httpx.Response(
            422, json={"code": "out_of_bounds", "message": "too large", "details": {"path": "movements[3].x"}}
        )

    with pytest.raises(pp.PlayProofError) as told:
        client(refuse).score(recording("a"))  # type: ignore[arg-type]
    assert (told.value.status, told.value.code, told.value.path, len(refused)) == (
        422,
        "out_of_bounds",
        "movements[3].x",
        1,
    )


def test_a_node_that_is_away_is_named() -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(pp.PlayProofError, match="http://node does not answer") as told:
        client(away, retries=1).result("a")
    assert (told.value.status, told.value.code) == (0, "unreachable")
    with pytest.raises(pp.PlayProofError, match="answered 502"):
        client(lambda _: httpx.Response(502, text="<html>")).result("a")


def test_lists_are_read_page_after_page_and_names_are_those_of_the_service() -> None:
    def pages(request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        assert query.pop("deviceType") == "touch" and query.pop("limit") == "2"
        return httpx.Response(
            200,
            json={
                "results": [{"sessionId": query.get("cursor", "first")}],
                "nextCursor": {"": "second", "second": None}[query.get("cursor", "")],
            },
        )

    assert [row["sessionId"] for row in client(pages).results(device_type="touch", limit=2)] == ["first", "second"]


def test_ids_are_safe_in_a_path() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.raw_path == b"/api/v1/batch/result/a%3Fb%23c%20%C3%A9%3D?deploymentId=shop"
        return httpx.Response(200, json={"status": "processed"})

    assert client(handler).result("a?b#c é=", deployment_id="shop")["status"] == "processed"


def test_challenges_and_their_verdicts() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if request.url.path.endswith("challenges"):
            assert body == {"userId": "u1", "action": "login"}
            return httpx.Response(200, json={"token": "t", "sessionId": "s", "expiresAt": "2026-01-01T00:00:00Z"})
        return httpx.Response(200, json={"success": body["token"] == "t", "error-codes": []})

    assert client(handler).challenge(user_id="u1", action="login")["sessionId"] == "s"
    assert client(handler).siteverify("t")["success"] is True


def test_the_asynchronous_client_does_the_same() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if len(asked) == 1:
            return httpx.Response(429, headers={"retry-after": "0"})
        return httpx.Response(200, json={"labels": [{"sessionId": "a", "label": "bot"}], "nextCursor": None})

    async def run() -> list[pp.Label]:
        async with pp.AsyncClient("http://node", transport=httpx.MockTransport(handler)) as one:
            return [row async for row in one.labels()]

    assert asyncio.run(run()) == [{"sessionId": "a", "label": "bot"}]
    assert asked == ["/api/v1/labels"] * 2


def signature(secret: str, at: int, body: bytes) -> str:
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def test_webhooks_are_proven() -> None:
    body = '{"id":"1","type":"verdict.final","createdAt":"x","data":{"sessionId":"é"}}'.encode()
    header = signature("whsec", 1000, body)
    assert pp.verify_webhook("whsec", header, body, now=1100)["data"]["sessionId"] == "é"
    assert pp.verify_webhook("whsec", header, body.decode(), now=1100)["id"] == "1"
    for secret, head, told, now, why in [
        ("other", header, body, 1100, "signature"),
        ("whsec", header, body + b" ", 1100, "signature"),
        ("whsec", header, body, 1301, "too long ago"),
        ("whsec", header, body, 699, "future"),
        ("whsec", None, body, 1100, "missing"),
        ("whsec", "t=1,v1=zz", body, 1100, "malformed"),
        ("whsec", "t=²,v1=" + "0" * 64, body, 1100, "malformed"),
    ]:
        with pytest.raises(pp.WebhookError, match=why):
            pp.verify_webhook(secret, head, told, now=now)


ROWS = [
    {
        "sessionId": "a",
        "anomalyScore": None,
        "reasons": [{"code": "no_jitter", "message": "m"}, {"code": "campaign", "message": "m"}],
    },
    {"sessionId": "b", "anomalyScore": 1.5, "reasons": [], "matches": ["a"]},
]


def test_rows_are_frames_of_three_libraries() -> None:
    pandas = pp.to_pandas(ROWS)
    assert list(pandas["reasons"]) == ["no_jitter;campaign", ""]
    assert pandas["anomalyScore"].isna().tolist() == [True, False]
    assert pp.to_polars([*[ROWS[0]] * 2000, ROWS[1]])["anomalyScore"].max() == 1.5
    assert pp.to_arrow(ROWS).column("matches").to_pylist() == [None, "a"]
    assert pp.to_pandas([]).empty and pp.to_polars([]).is_empty() and pp.to_arrow([]).num_rows == 0


def test_a_row_is_a_session_or_a_movement_of_one() -> None:
    one, two = recording("one"), recording("two", 1)
    long = [
        {"sessionId": s["sessionId"], "deviceType": "mouse", **move}
        for pair in zip(one["movements"], two["movements"], strict=True)
        for s, move in zip((one, two), pair, strict=True)
    ]
    want = [{"sessionId": s["sessionId"], "deviceType": "mouse", "movements": s["movements"]} for s in (one, two)]
    for frame in (pd.DataFrame(long), pl.DataFrame(long), pa.Table.from_pylist(long), long):
        assert scoring.sessions(frames.records(frame)) == want
    wide = [{**one, "userId": None}, {**two, "userId": "u"}]
    for frame in (pd.DataFrame(wide), pl.DataFrame(wide, infer_schema_length=None), pa.Table.from_pylist(wide), wide):
        assert scoring.sessions(frames.records(frame)) == [one, {**two, "userId": "u"}]
    with pytest.raises(pp.ScoreError, match="row 0 has no timestamp"):
        pp.score([{"sessionId": "a", "x": 1, "y": 2}], binary="x")


def test_a_program_that_is_missing_or_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PLAYPROOF_BINARY", raising=False)
    with pytest.raises(pp.ScoreError, match="not on the PATH"):
        pp.score([recording("a")])
    with pytest.raises(pp.ScoreError, match="cannot be run"):
        pp.score([recording("a")], binary=tmp_path / "none")
    program = tmp_path / "fails"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.stdin.read()\nsys.exit('line 1: movements is empty')\n")
    program.chmod(0o755)
    with pytest.raises(pp.ScoreError, match="movements is empty"):
        pp.score([recording("a")], binary=program)
