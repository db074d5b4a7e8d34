"""Against the real program."""

from __future__ import annotations

import asyncio
import subprocess

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import ADMIN, recording

import playproof_batch as pp


def test_a_session_is_scored_and_its_batch_awaited(node: str) -> None:
    with pp.Client(node, ADMIN) as client:
        first = client.score(recording("waits"), use_batch=True)  # type: ignore[arg-type]
        assert first["status"] == "queued" and first["decision"] in ("pass", "review", "fail")
        answer = client.result("waits", wait=30)
        assert answer["status"] == "processed" and answer["result"]["source"] == "embedded"
        assert client.score(recording("waits"), use_batch=True)["status"] == "processed"  # type: ignore[arg-type]
        with pytest.raises(pp.PlayProofError) as told:
            client.score({"sessionId": "bad", "movements": [{"x": 1, "y": "no", "timestamp": 0}]})  # type: ignore[typeddict-item]
        assert (told.value.status, told.value.code, told.value.path) == (400, "malformed", "movements[0].y")
        with pytest.raises(pp.PlayProofError) as told:
            client.result("nobody")
        assert told.value.status == 404
    with pp.Client(node, "wrong-key-0123456789") as stranger, pytest.raises(pp.PlayProofError) as told:
        stranger.result("waits")
    assert told.value.status == 401


def test_many_are_submitted_listed_and_labelled(node: str) -> None:
    many = [recording(f"many-{n}", n) for n in range(20)]
    with pp.Client(node, ADMIN) as client:
        answers = list(client.submit([*many, {"sessionId": "bad", "movements": "none"}, many[0]]))  # type: ignore[list-item]
        assert [answer["outcome"] for answer in answers] == ["accepted"] * 20 + ["refused", "duplicate"]
        assert answers[20]["line"] == 21 and answers[20]["code"] == "malformed"
        for one in many:
            assert client.result(one["sessionId"], wait=30)["status"] == "processed"
        listed = {row["sessionId"]: row for row in client.results(limit=3)}
        assert {one["sessionId"] for one in many} <= set(listed)
        frame = pp.to_pandas(listed.values())
        assert set(frame["decision"]) <= {"pass", "review", "fail"}
        client.label("many-3", "bot", note="too even")
        assert [(row["sessionId"], row["label"]) for row in client.labels()] == [("many-3", "bot")]
        client.label("many-3", None)
        assert list(client.labels()) == []
        kept = {one["sessionId"]: one for one in client.sessions(limit=7)}
        assert kept["many-5"]["movements"] == many[5]["movements"]


def test_the_asynchronous_client_does_the_same(node: str) -> None:
    async def run() -> None:
        async with pp.AsyncClient(node, ADMIN) as client:
            many = [recording(f"async-{n}", n) for n in range(5)]
            answers = [answer async for answer in client.submit(many)]  # type: ignore[arg-type]
            assert [answer["outcome"] for answer in answers] == ["accepted"] * 5
            await asyncio.gather(*(client.result(one["sessionId"], wait=30) for one in many))
            listed = {row["sessionId"] async for row in client.results(session_id="async-4")}
            assert listed == {"async-4"}
            kept = [one async for one in client.sessions(session_id="async-4")]
            assert kept[0]["movements"] == many[4]["movements"]

    asyncio.run(run())


def test_a_frame_is_scored_as_the_program_scores_a_file(binary: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    many = [recording(f"scored-{n}", n) for n in range(8)]
    folder = tmp_path_factory.mktemp("score")
    (folder / "in.ndjson").write_bytes(b"".join(pp.client.protocol.lines(many)))
    subprocess.run(
        [binary, "score", str(folder / "in.ndjson"), "-o", str(folder / "out.csv")], check=True, capture_output=True
    )
    want = pd.read_csv(folder / "out.csv", dtype={"modelVersion": str, "reasons": str}, keep_default_na=False)
    got = pp.score(pd.DataFrame(many), binary=binary)
    assert list(got.columns) == list(want.columns)
    assert got["rawScore"].tolist() == pytest.approx(want["rawScore"].tolist(), rel=1e-12)
    assert got["reasons"].tolist() == want["reasons"].tolist()
    for frame in (pl.DataFrame(many), pa.Table.from_pylist(many)):
        same = pp.score(frame, binary=binary)
        assert type(same) is type(frame) and pp.frames.records(same) == pp.frames.records(got)
    bad = [many[0], {"sessionId": "bad", "movements": [{"x": 1, "y": 2}]}, many[1]]
    with pytest.raises(pp.ScoreError, match=r"2.*timestamp"):
        pp.score(bad, binary=binary)
    assert [row["sessionId"] for row in pp.score(bad, binary=binary, strict=False)] == ["scored-0", "scored-1"]
