//! A simulated Woodwide account with a trained model, and detectors that ask it.

use std::sync::Arc;

use playproof_batch::clock::SystemClock;
use playproof_batch::config::{Generation, Secret, Timing, WoodwideSettings};
use playproof_batch::detector::{Detector, DetectorError, DetectorState, Notebook, Outcome, Row};
use playproof_batch::domain::features::{Extractor, FeatureSet};
use playproof_batch::domain::id::Seq;
use playproof_batch::generator::{Family, Shape, generate};
use playproof_batch::woodwide::WoodwideDetector;
use serde_json::{Value, json};
use woodwide_sim::{Entry, Settings, Simulator};

/// The key that the simulator takes unless told otherwise.
pub(crate) const KEY: &str = "sk_sim";

pub(crate) struct Rig {
    pub(crate) sim: Simulator,
    pub(crate) model: String,
    pub(crate) generation: Generation,
    pub(crate) memory: Arc<Notebook>,
    /// The version of the model.
    pub(crate) version: String,
}

impl Rig {
    /// A simulator with one model, trained on people.
    pub(crate) async fn new(generation: Generation, settings: Settings) -> Self {
        Self::trained(generation, settings, &people()).await
    }

    /// A simulator with one model, trained on the rows of this file.
    pub(crate) async fn trained(generation: Generation, settings: Settings, csv: &[u8]) -> Self {
        let sim = Simulator::start(settings).unwrap();
        let (model, version) = train(&sim, generation, csv).await;
        sim.clear_requests();
        Self { sim, model, version, generation, memory: Arc::default() }
    }

    pub(crate) fn settings(&self) -> WoodwideSettings {
        WoodwideSettings {
            keys: vec![Secret::new(KEY)],
            base_url: self.sim.url().trim_end_matches('/').to_owned(),
            generation: self.generation,
            model_id: Some(self.model.clone()),
            persistent_dataset: None,
            min_rows: 10,
            in_flight: 2,
            timing: Timing::default(),
        }
    }

    /// A detector as a process that starts now would have it.
    pub(crate) async fn detector(&self) -> WoodwideDetector {
        self.detector_with(|_| {}).await
    }

    pub(crate) async fn detector_with(&self, change: impl FnOnce(&mut WoodwideSettings)) -> WoodwideDetector {
        let mut settings = self.settings();
        change(&mut settings);
        WoodwideDetector::new(
            &settings,
            Arc::clone(&self.memory) as Arc<dyn DetectorState>,
            Arc::new(SystemClock::new()),
            false,
        )
        .await
        .unwrap()
    }

    /// Names of the calls since the log was cleared.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.sim.requests().iter().filter_map(|entry: &Entry| entry.route).collect()
    }
}

/// Rows of generated sessions, each different.
pub(crate) fn rows(count: usize) -> Vec<Row> {
    let mut extractor = Extractor::default();
    (0..count)
        .map(|i| {
            let session = generate(Family::ALL[i % 4], 1000 + i as u64, Shape { movements: Some(120) });
            let mut features = Vec::new();
            extractor.extract(FeatureSet::V1, &session, &mut features);
            Row {
                id: Seq(7 * i64::try_from(i).unwrap() + 3),
                deployment: String::new(),
                game_type: "bubble-pop".into(),
                device_type: "mouse".into(),
                features,
            }
        })
        .collect()
}

/// Raw score by row id.
pub(crate) async fn raw_scores(detector: &WoodwideDetector, rows: &[Row]) -> Result<Vec<(Seq, f64)>, DetectorError> {
    let answer = detector.score(rows).await?;
    let raw = answer.outcomes.into_iter().map(|(id, outcome)| match outcome {
        Outcome::Calibrated { raw, .. } => (id, raw),
        other => panic!("{other:?}"),
    });
    Ok(raw.collect())
}

/// The reference rows beyond the thousand that calibrate: a model must not have learned from those.
pub(crate) fn people() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/reference/rows.csv.zst");
    let all = zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    let lines = all.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines.filter(|(line, _)| *line == 0 || *line > 1000).flat_map(|(_, line)| line.iter().copied()).collect()
}

/// The same under other names: what is trained on it knows none of the columns that are sent.
pub(crate) fn people_under_other_names() -> Vec<u8> {
    let people = people();
    let (header, rows) = people.split_at(people.iter().position(|byte| *byte == b'\n').unwrap());
    let header = String::from_utf8_lossy(header).split(',').map(|name| format!("old_{name}")).collect::<Vec<_>>();
    [header.join(",").as_bytes(), rows].concat()
}

/// The id and the version of a model trained on the rows of a file.
async fn train(sim: &Simulator, generation: Generation, csv: &[u8]) -> (String, String) {
    let client = playproof_batch::tls::http_client().build().unwrap();
    let url = sim.url();
    let file = || reqwest::multipart::Part::bytes(csv.to_vec()).file_name("people.csv");
    let send = |request: reqwest::RequestBuilder| async move {
        let response = request.bearer_auth(KEY).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{status} {text}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match generation {
        Generation::Ga => {
            let form = reqwest::multipart::Form::new().text("dataset_name", "people").part("file", file());
            let dataset = send(client.post(format!("{url}/datasets")).multipart(form)).await;
            let body = json!({"model_type": "anomaly", "dataset_version_id": dataset["version_id"]});
            let model = send(client.post(format!("{url}/models/train")).json(&body)).await;
            (text(&model["id"]), text(&model["version_id"]))
        }
        Generation::Beta => {
            let form = reqwest::multipart::Form::new().text("name", "people").part("file", file());
            let dataset = send(client.post(format!("{url}/api/datasets")).multipart(form)).await;
            let path = format!("{url}/api/models/anomaly/train?dataset_id={}", text(&dataset["id"]));
            let form = [("model_name", "people")];
            let model = send(client.post(path).form(&form)).await;
            (text(&model["id"]), text(&model["updated_at"]))
        }
    }
}
