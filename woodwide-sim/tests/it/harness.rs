//! A simulator on a free port and a client for it.

use std::fmt::Write as _;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use woodwide_sim::{Settings, Simulator};

/// Where `table` plants its outliers.
pub(crate) const OUTLIERS: [usize; 2] = [4, 17];

/// Ordinary rows, and outliers at the given places.
pub(crate) fn table(rows: usize, outliers: &[usize]) -> String {
    let mut csv = "speed,turns,device\n".to_owned();
    for row in 0..rows {
        let speed = if outliers.contains(&row) { 900 } else { 100 + row * 7 % 13 };
        writeln!(csv, "{speed},{},mouse", row * 5 % 11).unwrap();
    }
    csv
}

/// The rows that tests score.
pub(crate) fn probe() -> String {
    table(60, &OUTLIERS)
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert!(self.status < 300, "{}: {}", self.status, self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn detail(&self) -> Value {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()));
        body["detail"].clone()
    }
}

pub(crate) struct Service {
    pub(crate) sim: Simulator,
    pub(crate) client: Client,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        // It fails only where there is a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_gzip().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { sim: Simulator::start(settings).unwrap(), client }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.sim.url())).bearer_auth("sk_sim")
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// A multipart request with the fields before the file, as the official clients send it.
    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)], file: impl AsRef<[u8]>) -> RequestBuilder {
        let mut body = Vec::new();
        for (name, value) in fields {
            let part = format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let head = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"t.csv\"\r\nContent-Type: text/csv\r\n\r\n";
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file.as_ref());
        body.extend_from_slice(b"\r\n--edge--\r\n");
        let request = self.request(Method::POST, path).header("content-type", "multipart/form-data; boundary=edge");
        request.body(body)
    }

    pub(crate) async fn upload(&self, name: &str, csv: &str) -> Answer {
        self.send(self.form("/datasets", &[("dataset_name", name)], csv)).await
    }

    /// A dataset to train on; its id.
    pub(crate) async fn dataset(&self) -> String {
        self.upload("train", &table(300, &[])).await.json()["id"].as_str().unwrap().to_owned()
    }

    /// A trained model; its id.
    pub(crate) async fn model(&self) -> String {
        let dataset = self.dataset().await;
        let body = serde_json::json!({"model_type": "anomaly", "dataset_id": dataset});
        self.post("/models/train", &body).await.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn infer(&self, model: &str, output: &str, format: &str) -> Answer {
        let fields = [("output_type", output), ("anomaly_format", format)];
        self.send(self.form(&format!("/models/{model}/infer"), &fields, probe())).await
    }

    /// An inference job of a kind; its id.
    pub(crate) async fn infer_async(&self, model: &str, output: &str) -> String {
        let fields = [("output_type", output), ("anomaly_format", "per_row")];
        let answer = self.send(self.form(&format!("/models/{model}/infer-async"), &fields, probe())).await;
        answer.json()["job_id"].as_str().unwrap().to_owned()
    }

    /// A beta dataset of a name; its id.
    pub(crate) async fn beta_dataset(&self, name: &str, csv: &str) -> String {
        let answer = self.send(self.form("/api/datasets", &[("name", name)], csv)).await;
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// A trained beta model and the dataset to score; their ids.
    pub(crate) async fn beta_model(&self) -> (String, String) {
        let train = self.beta_dataset("train", &table(300, &[])).await;
        let path = format!("/api/models/anomaly/train?dataset_id={train}");
        let request = self.request(Method::POST, &path).header("content-type", "application/x-www-form-urlencoded");
        let model = self.send(request.body("model_name=m")).await.json();
        let probe = self.beta_dataset("probe", &probe()).await;
        (model["id"].as_str().unwrap().to_owned(), probe)
    }

    pub(crate) async fn beta_infer(&self, model: &str, dataset: &str) -> Answer {
        let path = format!("/api/models/anomaly/{model}/infer?dataset_id={dataset}");
        self.send(self.request(Method::POST, &path)).await
    }
}
