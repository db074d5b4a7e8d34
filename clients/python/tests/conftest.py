"""A real node, where ``PLAYPROOF_BINARY`` names the program."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ADMIN = "admin-key-0123456789"


def recording(name: str, n: int = 0) -> dict:
    """A session; the same arguments give the same one."""
    movements = [
        {"x": 10.0 + 5 * i + (i * n) % 3, "y": 40 + 30 * math.sin(i * 0.2 + n), "timestamp": i * 16.0 + i % 3}
        for i in range(80)
    ]
    return {
        "sessionId": name,
        "gameType": "bubble-pop",
        "deviceType": "mouse",
        "durationMs": 1300.0,
        "movements": movements,
    }


@pytest.fixture(scope="session")
def binary() -> str:
    path = os.environ.get("PLAYPROOF_BINARY")
    if not path:
        pytest.skip("PLAYPROOF_BINARY names no program; the unit tests ran without a node")
    return path


@pytest.fixture(scope="session")
def node(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("node")
    settings = {
        "PLAYPROOF_LISTEN": "127.0.0.1:0",
        "PLAYPROOF_STORE": f"embedded:{folder}",
        "PLAYPROOF_ADMIN_KEYS": ADMIN,
        "PLAYPROOF_SUBMIT_KEYS": "submit-key-0123456789",
        "PLAYPROOF_MIN_FREE_DISK": "0B",
        "PLAYPROOF_LOG": "error",
        "PLAYPROOF_SCHEDULER_INTERVAL": "200ms",
        "PLAYPROOF_SCHEDULER_MIN_BATCH": "1",
    }
    process = subprocess.Popen([binary, "serve"], env=settings, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("listening on "), line
    yield line.removeprefix("listening on ").strip()
    process.terminate()
    assert process.wait(60) == 0
