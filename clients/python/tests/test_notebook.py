"""The notebook in docs, cell after cell, over a node with recordings of people and with bots. ``NOTEBOOK_WRITE=1``
keeps what the cells gave in the notebook."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import ADMIN

import playproof_batch as pp

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOK = ROOT / "docs/threshold.ipynb"


def run(source: str, scope: dict[str, Any]) -> Any:
    """Runs a cell; the value of its last line, if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), scope)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), scope) if isinstance(last, ast.Expr) else None


def test_from_a_week_of_sessions_to_a_threshold(
    node: str, binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    humans = ROOT / "data/demo/humans.ndjson.zst"
    with pa.input_stream(str(humans), compression="zstd") as file:
        people = [json.loads(line) for line in file.read().splitlines()]
    # Bots of several families, some of which are hard to tell.
    made = [binary, "adversary", str(humans), "--each", "5", "-o", str(tmp_path / "bots.ndjson")]
    subprocess.run(made, check=True, capture_output=True)
    bots = [json.loads(line) for line in (tmp_path / "bots.ndjson").read_text().splitlines()]
    assert len(bots) >= 50
    with pp.Client(node, ADMIN) as client:
        assert all(answer["outcome"] != "refused" for answer in client.submit([*people, *bots]))
        for label, sessions in (("human", people), ("bot", bots)):
            for one in sessions:
                assert client.result(one["sessionId"], wait=30)["status"] == "processed"
            # Nobody knows of all.
            for one in sessions[::2]:
                client.label(one["sessionId"], label)
    monkeypatch.setenv("PLAYPROOF_NODE", node)
    monkeypatch.setenv("PLAYPROOF_KEY", ADMIN)
    monkeypatch.setenv("PLAYPROOF_BINARY", binary)

    notebook = json.loads(NOTEBOOK.read_text())
    scope: dict[str, Any] = {}
    for number, cell in enumerate(one for one in notebook["cells"] if one["cell_type"] == "code"):
        value = run("".join(cell["source"]), scope)
        cell["execution_count"] = number + 1
        data = {"data": {"text/plain": str(value).splitlines(True)}, "execution_count": number + 1, "metadata": {}}
        cell["outputs"] = [] if value is None else [{**data, "output_type": "execute_result"}]
    if os.environ.get("NOTEBOOK_WRITE"):
        NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")

    assert (len(scope["people"]), len(scope["bots"])) == (len(people[::2]), len(bots[::2]))
    held = (scope["people"] > scope["pass_threshold"]).mean()
    assert held <= scope["MAX_HELD_UP"] or scope["pass_threshold"] == 2.5
    assert scope["simulated"]["sessions"] >= len(people) + len(bots)
    assert scope["pass_threshold"] < scope["review_threshold"]
    merged = scope["merged"]
    assert len(merged) == 50 and (merged["rawScore"] - merged["rawScore stored"]).abs().max() == 0
