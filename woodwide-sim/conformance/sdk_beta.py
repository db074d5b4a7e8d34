"""The SDK of the beta service, every answer checked against its published types."""

import sys
import urllib.parse
import urllib.request

from steps import Steps, rows
from woodwide import AuthenticationError, NotFoundError, UnprocessableEntityError, WoodWide

base_url = sys.argv[1]
client = WoodWide(base_url=base_url, api_key="sk_sim", max_retries=0, timeout=20, _strict_response_validation=True)
step = Steps("sdk 0.7.0").step

with step("upload, list, read"):
    train = client.api.datasets.upload(file=("train.csv", rows(300), "text/csv"), name="beta train")
    assert train.num_rows == 300 and len(train.id) == 20
    probe = client.api.datasets.upload(file=("probe.csv", rows(60, (4, 17)), "text/csv"), name="beta probe")
    assert [d.id for d in client.api.datasets.list(name="beta train")] == [train.id]
    assert client.api.datasets.retrieve(train.id).dataset_schema.columns[0].name == "speed"

with step("upload over an existing name"):
    again = client.api.datasets.upload(file=("probe.csv", rows(60, (4, 17)), "text/csv"), name="beta probe", overwrite=True)
    assert again.num_rows == 60

with step("train as JSON is refused"):
    try:
        client.api.models.anomaly.train(model_name="beta model", dataset_id=train.id)
        raise AssertionError("JSON was taken")
    except UnprocessableEntityError as error:
        assert error.body["detail"][0]["loc"] == ["body", "model_name"], error.body

with step("train as a form, poll the model"):
    body = urllib.parse.urlencode({"model_name": "beta model", "overwrite": "false"}).encode()
    headers = {"Authorization": "Bearer sk_sim"}
    request = urllib.request.Request(f"{base_url}/api/models/anomaly/train?dataset_id={train.id}", body, headers)
    assert b'"PENDING"' in urllib.request.urlopen(request).read()
    (model,) = client.api.models.list()
    assert client.api.models.retrieve(model.id).training_status == "COMPLETE"

with step("infer"):
    answer = client.api.models.anomaly.infer(model.id, dataset_id=again.id)
    assert {"4", "17"} <= set(answer.anomalous_ids), answer
    answer = client.api.models.anomaly.infer(model.id, dataset_name="beta probe")
    assert {"4", "17"} <= set(answer.anomalous_ids), answer

with step("who am I, with a key and with a user's token"):
    assert client.auth.retrieve_me().identity_type == "api"
    user = client.with_options(api_key="user_sim").auth.retrieve_me()
    assert user.identity_type == "user" and user.wwai_credits > 0

with step("401, 404"):
    for wanted, call in [
        (AuthenticationError, lambda: client.with_options(api_key="sk_wrong").api.datasets.list()),
        (NotFoundError, lambda: client.api.models.retrieve("none")),
    ]:
        try:
            call()
        except wanted:
            continue
        raise AssertionError(f"no {wanted.__name__}")

with step("delete"):
    client.api.datasets.delete(again.id)
    try:
        client.api.datasets.retrieve(again.id)
        raise AssertionError("the dataset is still there")
    except NotFoundError:
        pass
