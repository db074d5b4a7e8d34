"""The SDK of the GA service, every answer checked against its published types."""

import json
import pathlib
import sys
import tempfile

from steps import Steps, rows
from woodwide import AuthenticationError, NotFoundError, UnprocessableEntityError, WoodWide
from woodwide.lib.datasets import ingest_dataset, ingest_large_dataset
from woodwide.lib.inference import infer_batch_and_wait
from woodwide.lib.jobs import wait_for_job
from woodwide.lib.models import train_model
from woodwide.lib.results import download_job_results, iter_result_rows

base_url = sys.argv[1]
client = WoodWide(base_url=base_url, api_key="sk_sim", max_retries=0, timeout=20, _strict_response_validation=True)
steps = Steps("sdk 0.9.0")
step = steps.step
folder = pathlib.Path(tempfile.mkdtemp())
OUTLIERS = (4, 17)


def table(count=60, outliers=OUTLIERS):
    return ("table.csv", rows(count, outliers), "text/csv")


with step("upload, wait for the ingest"):
    ready = client.datasets.create(file=("train.csv", rows(300), "text/csv"), dataset_name="sdk train")
    assert ready.status == "queued", ready
    job = wait_for_job(client, ready.job_id, poll_interval=0.05)
    assert job.type == "dataset_ingest" and job.progress == 100
    dataset = ready.id

with step("signed upload, wait for the ingest"):
    big = folder / "big.csv"
    big.write_bytes(rows(2000))
    ingest_large_dataset(client, file=big, dataset_name="sdk signed", poll_interval=0.05)
    found = client.datasets.list(q="SIGNED").items
    assert [item.name for item in found] == ["sdk signed"], found
    assert found[0].current_version.row_count == 2000

with step("ingest helper, add a version"):
    ingest_dataset(client, file=("more.csv", rows(80, OUTLIERS), "text/csv"), dataset_id=dataset, poll_interval=0.05)
    versions = client.datasets.versions.list(dataset).items
    assert [version.version for version in versions] == [2, 1]
    one = client.datasets.versions.retrieve(versions[1].id, dataset_id=dataset)
    assert one.row_count == 300 and one.status == "ready"

with step("read, rename, preview, look up"):
    assert client.datasets.retrieve(dataset).name == "sdk train"
    assert client.datasets.update(dataset, description="a table").description == "a table"
    preview = client.datasets.retrieve_preview(dataset, max_rows=3)
    assert preview.headers == ["id", "speed", "turns", "device"] and len(preview.rows) == 3
    looked = client.datasets.rows_lookup(dataset, ids=[4, 4, 99999])
    assert [row["id"] for row in looked.rows] == [4]

with step("train, wait, model ready"):
    trained = train_model(
        client, dataset_version_id=versions[1].id, model_type="anomaly", input_columns=["speed", "turns"], poll_interval=0.05
    )
    (model,) = [model.id for model in client.models.list().items]
    assert client.models.retrieve(model).status == "ready"
    (version,) = client.models.versions.list(model).items
    assert client.models.versions.retrieve(version.id, model_id=model).training_job_id
    assert [m.id for m in client.datasets.retrieve_models(dataset).items] == [model]

with step("train again: the equal model, then a new version"):
    same = client.models.train(model_type="anomaly", dataset_version_id=versions[1].id, input_columns=["speed", "turns"])
    assert same.version_id == version.id
    more = client.models.train(model_type="anomaly", dataset_id=dataset, model_id=model)
    wait_for_job(client, more.job_id, poll_interval=0.05)
    assert [v.version for v in client.models.versions.list(model).items] == [2, 1]

with step("infer, json, per_row"):
    answer = client.models.infer(model, file=table(), output_type="json", anomaly_format="per_row", model_version_id=version.id)
    answer = answer if isinstance(answer, dict) else json.loads(json.dumps(answer, default=lambda o: o.to_dict()))
    data = answer["data"]
    assert data["id"] == list(range(60))
    flagged = [row for row, flag in zip(data["id"], data["is_anomaly"]) if flag]
    assert set(OUTLIERS) <= set(flagged), flagged
    assert max(range(60), key=lambda row: data["anomaly_score"][row]) in OUTLIERS
    assert "4" in answer["anomaly_descriptions"]

with step("infer, json, ids_only"):
    answer = client.models.with_raw_response.infer(model, file=table(), output_type="json", model_version_id=version.id)
    assert set(OUTLIERS) <= set(answer.http_response.json()["data"]["anomalous_ids"])

with step("infer, csv and parquet"):
    raw = client.models.with_raw_response.infer(model, file=table(), output_type="csv", anomaly_format="per_row")
    assert raw.http_response.headers["content-type"] == "text/csv"
    assert raw.http_response.text.splitlines()[0] == "id,is_anomaly,anomaly_score"
    raw = client.models.with_raw_response.infer(model, file=table(), output_type="parquet", anomaly_format="per_row")
    assert raw.http_response.content[:4] == b"PAR1"

with step("infer-async, wait, download"):
    started = client.models.infer_async(model, file=table(), output_type="csv", anomaly_format="per_row")
    job = wait_for_job(client, started.job_id, poll_interval=0.05)
    assert job.type == "infer_batch" and job.resources.dataset is None
    path = download_job_results(client, started.job_id, folder / "async.csv")
    assert len(pathlib.Path(path).read_text().splitlines()) == 61
    path = download_job_results(client, started.job_id, folder / "combined.csv", result_type="combined")
    assert pathlib.Path(path).read_text().splitlines()[0] == "id,speed,turns,device,is_anomaly,anomaly_score"

with step("infer-batch, cache, force_rerun, download"):
    arguments = dict(dataset_id=dataset, output_type="json", anomaly_format="per_row", poll_interval=0.05)
    first = infer_batch_and_wait(client, model, **arguments)
    assert infer_batch_and_wait(client, model, **arguments).job.id == first.job.id
    assert infer_batch_and_wait(client, model, force_rerun=True, **arguments).job.id != first.job.id
    assert first.results.summary["total_row_count"] == 80
    path = download_job_results(client, first.job.id, folder / "batch.json")
    assert len(json.loads(pathlib.Path(path).read_text())["anomaly_score"]) == 80

with step("result rows: pages, columns, sorting"):
    assert len(list(iter_result_rows(client, first.job.id))) == 80
    page = client.jobs.retrieve_result_rows(
        first.job.id, limit=2, columns=["id", "anomaly_score"], sort_by="anomaly_score", sort_dir="desc"
    )
    assert page.total == 80 and all(set(row) == {"id", "anomaly_score"} for row in page.rows)
    assert {row["id"] for row in page.rows} == set(OUTLIERS)

with step("explain"):
    explained = client.jobs.explain(first.job.id, ids=[4])
    explained = wait_for_job(client, explained.id, poll_interval=0.05)
    assert explained.explanations[0].id == "4"

with step("jobs: list, pages, cancel, dashboard-activity"):
    page = client.jobs.list(limit=2)
    assert len(page.items) == 2 and page.next_cursor
    following = client.jobs.list(limit=2, cursor=page.next_cursor)
    assert not {job.id for job in page.items} & {job.id for job in following.items}
    assert all(job.type == "train" for job in client.jobs.list(type="train").items)
    assert client.jobs.cancel(first.job.id).status == "succeeded"
    activity = client.jobs.retrieve_dashboard_activity(days=14)
    assert activity.day_count == 14 and len(activity.daily) == 14 and activity.daily[-1].train == 2

with step("feedback"):
    assert client.feedback.create(category="bug", message="it works").ok

with step("401, 404, 422"):
    for wanted, call in [
        (AuthenticationError, lambda: client.with_options(api_key="sk_wrong").datasets.list()),
        (NotFoundError, lambda: client.models.retrieve("mdl_NONE")),
        (UnprocessableEntityError, lambda: client.models.train(model_type="dowsing", dataset_id=dataset)),
    ]:
        try:
            call()
        except wanted:
            continue
        raise AssertionError(f"no {wanted.__name__}")

with step("delete the dataset, score on, delete the model"):
    client.datasets.delete(dataset)
    try:
        client.datasets.retrieve(dataset)
        raise AssertionError("the dataset is still there")
    except NotFoundError:
        pass
    assert client.datasets.retrieve(dataset, include_archived=True).is_archived
    client.models.infer(model, file=table(), output_type="json")
    client.models.delete(model)
    try:
        client.models.retrieve(model)
        raise AssertionError("the model is still there")
    except NotFoundError:
        pass
