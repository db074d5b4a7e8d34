"""The command-line client of the GA service."""

import json
import pathlib
import subprocess
import sys
import tempfile

from steps import Steps, rows

base_url = sys.argv[1]
step = Steps("cli 0.1.1").step
folder = pathlib.Path(tempfile.mkdtemp())
train, probe = folder / "train.csv", folder / "probe.csv"
train.write_bytes(rows(300))
probe.write_bytes(rows(60, (4, 17)))


def wwai(*arguments, key="sk_sim", code=0):
    command = ["wwai", "--base-url", base_url, "--api-key", key, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def documents(text):
    """The JSON documents of an output; --wait prints two."""
    decoder, found = json.JSONDecoder(), []
    while text := text.strip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def one(*arguments, **options):
    return documents(wwai(*arguments, **options))[0]


WAIT = ("--wait", "--poll-interval", "1")

with step("datasets create, jobs wait"):
    created = one("datasets", "create", "--file", train, "--name", "cli train")
    wwai("jobs", "wait", created["job_id"], "--poll-interval", "1")
    dataset = created["dataset"]["id"]

with step("datasets upload (signed)"):
    uploaded = one("datasets", "upload", "--file", probe, "--name", "cli probe")
    wwai("jobs", "wait", uploaded["job_id"], "--poll-interval", "1")
    probes = uploaded["dataset"]["id"]

with step("datasets get, list, update, versions, preview"):
    assert one("datasets", "get", dataset)["name"] == "cli train"
    assert dataset in wwai("--format", "table", "datasets", "list")
    assert one("datasets", "update", dataset, "--description", "a table")["description"] == "a table"
    (version,) = one("datasets", "versions", dataset)["items"]
    assert version["row_count"] == 300
    assert len(one("datasets", "preview", dataset)["rows"]) == 10
    assert len(one("datasets", "lookup", dataset, "--ids", "1,2")["rows"]) == 2

with step("models train --wait, retrain --wait"):
    started, done = documents(wwai("models", "train", "--dataset", dataset, "--type", "anomaly", *WAIT))
    assert done["status"] == "succeeded"
    model = started["model"]["id"]
    documents(wwai("models", "retrain", model, "--dataset", dataset, *WAIT))
    assert [v["version"] for v in one("models", "versions", model)["items"]] == [2, 1]
    assert one("models", "get", model)["status"] == "ready"

with step("infer sync"):
    data = one("infer", "sync", model, "--file", probe, "--output-type", "json", "--anomaly-format", "per_row")["data"]
    assert data["is_anomaly"][4] and data["is_anomaly"][17]
    assert "id,is_anomaly,anomaly_score" in wwai("infer", "sync", model, "--file", probe, "--anomaly-format", "per_row")

with step("infer async --wait, jobs results"):
    started, done = documents(wwai("infer", "async", model, "--file", probe, *WAIT))
    assert done["status"] == "succeeded"
    assert one("jobs", "results", started["job_id"])["inference_results_uri"].startswith(base_url)

with step("infer batch --wait, jobs results"):
    started, done = documents(wwai("infer", "batch", model, "--dataset", probes, *WAIT))
    assert done["status"] == "succeeded"
    assert one("jobs", "results", started["job_id"])["summary"]["total_row_count"] == 60

with step("jobs list, dashboard-activity"):
    assert len(one("jobs", "list", "--limit", "3")["items"]) == 3
    assert one("jobs", "dashboard-activity", "--days", "7")["day_count"] == 7

with step("api-keys, with the user's token"):
    made = one("api-keys", "create", "--name", "second", key="user_sim")
    assert one("datasets", "list", key=made["key"])["items"]
    one("api-keys", "revoke", made["id"], "--yes", key="user_sim")
    wwai("datasets", "list", key=made["key"], code=1)

with step("org get"):
    assert one("org", "get", "org_1")["id"] == "org_1"

with step("errors end with 1"):
    wwai("models", "get", "mdl_NONE", code=1)
    wwai("datasets", "list", key="sk_wrong", code=1)

with step("models delete, datasets delete"):
    wwai("models", "delete", model, "--yes")
    wwai("datasets", "delete", dataset, "--yes")
    wwai("datasets", "get", dataset, code=1)
