"""A client that openapi-python-client makes of the document, against a real node."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ADMIN, recording

DOCUMENT = Path(__file__).parents[3] / "openapi.json"


def test_a_generated_client_submits_and_reads(node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = Path(sys.executable).with_name("openapi-python-client")
    settings = tmp_path / "settings.yml"
    settings.write_text("post_hooks: []\n")
    options = {"path": DOCUMENT, "meta": "none", "output-path": tmp_path / "generated", "config": settings}
    flags = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    made = subprocess.run([generator, "generate", *flags], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    client_module = importlib.import_module("generated.client")
    session_model = importlib.import_module("generated.models.session")
    submit = importlib.import_module("generated.api.sessions.submit_session")
    read = importlib.import_module("generated.api.results.read_result")

    client = client_module.AuthenticatedClient(base_url=node, token=ADMIN)
    sent = session_model.Session.from_dict({**recording("generated", 5), "useBatch": True})
    first = submit.sync_detailed(client=client, body=sent)
    assert first.status_code == 200 and type(first.parsed).__name__ == "ScoreAnswer"
    assert (first.parsed.session_id, first.parsed.status) == ("generated", "queued")
    final = read.sync_detailed("generated", client=client, wait="20s")
    assert final.parsed.status == "processed" and final.parsed.result.decision in {"pass", "review", "fail"}
    unknown = read.sync_detailed("nobody", client=client)
    assert unknown.status_code == 404 and unknown.parsed.code == "unknown_session"
