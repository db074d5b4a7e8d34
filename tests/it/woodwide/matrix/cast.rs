//! Who takes part in every mode: a thousand sessions, what an unfaulted call answers about each, and what was learned
//! of the model before.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use playproof_batch::config::Generation;
use playproof_batch::detector::embedded::{EmbeddedDetector, Model};
use playproof_batch::detector::{Detector, Notebook, Outcome, Row};
use playproof_batch::domain::features::Extractor;
use playproof_batch::domain::id::Seq;
use playproof_batch::domain::session::Session;
use playproof_batch::generator::{Family, Shape, generate};
use serde_json::Value;

use super::super::rig::{KEY, Rig, people};

/// Sessions of every mode.
pub(crate) const SESSIONS: usize = 1000;

/// The game that a few sessions claim, and nobody else: the faults of single rows are aimed at it.
pub(crate) const ONE: (&str, &[usize]) = ("poison-one", &[512]);
/// Likewise, several of them, two of them neighbours.
pub(crate) const SEVERAL: (&str, &[usize]) = ("poison-several", &[30, 31, 777]);

/// What the service says of one session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) raw: Option<f64>,
    pub(crate) flag: bool,
}

pub(crate) struct Cast {
    pub(crate) sessions: Vec<Session>,
    /// By session, without a fault.
    pub(crate) ga: Vec<Said>,
    pub(crate) beta: Vec<Said>,
    /// What the local detector says.
    pub(crate) local: Vec<f64>,
    pub(crate) model: Arc<Model>,
    /// What a detector has learned of the GA and of the beta model.
    pub(crate) learned: [Notebook; 2],
}

impl Cast {
    pub(crate) async fn new() -> Self {
        let sessions: Vec<Session> = (0..SESSIONS).map(session).collect();
        let model = Arc::new(Model::bundled().unwrap());
        let local = locally(&model, &sessions).await;
        let csv = table(&sessions);
        let (ga, learned_ga) = asked(Generation::Ga, &csv).await;
        let (beta, learned_beta) = asked(Generation::Beta, &csv).await;
        let distinct: BTreeSet<u64> = ga.iter().filter_map(|said| said.raw).map(f64::to_bits).collect();
        assert!(distinct.len() > SESSIONS * 3 / 4, "a score tells its session: {}", distinct.len());
        let flagged = beta.iter().filter(|said| said.flag).count();
        assert!((SESSIONS / 10..SESSIONS * 9 / 10).contains(&flagged), "flags tell sessions apart: {flagged}");
        Self { sessions, ga, beta, local, model, learned: [learned_ga, learned_beta] }
    }

    pub(crate) fn said(&self, generation: Generation) -> &[Said] {
        match generation {
            Generation::Ga => &self.ga,
            Generation::Beta => &self.beta,
        }
    }

    pub(crate) fn learned(&self, generation: Generation) -> Notebook {
        match generation {
            Generation::Ga => self.learned[0].clone(),
            Generation::Beta => self.learned[1].clone(),
        }
    }
}

fn session(n: usize) -> Session {
    let mut session = generate(Family::ALL[n % 4], n as u64, Shape { movements: Some(60 + n % 40) });
    session.use_batch = true;
    if n.is_multiple_of(3) {
        // Far out, each in its own measure, so that some are flagged.
        let times = 25.0 + f64::from(u32::try_from(n).unwrap()) / 50.0;
        session.movements.x.iter_mut().chain(&mut session.movements.y).for_each(|place| *place *= times);
    }
    for (game, places) in [ONE, SEVERAL] {
        if places.contains(&n) {
            game.clone_into(&mut session.game_type);
        }
    }
    session
}

/// What the detector inside the program says.
async fn locally(model: &Arc<Model>, sessions: &[Session]) -> Vec<f64> {
    let detector = EmbeddedDetector::new(Arc::clone(model));
    let mut extractor = Extractor::default();
    let rows = sessions.iter().enumerate().map(|(n, session)| {
        let mut features = Vec::new();
        extractor.extract(detector.feature_set(), session, &mut features);
        let (game_type, device_type) = (session.game_type.clone(), session.device_type.clone());
        Row { id: Seq(i64::try_from(n).unwrap()), deployment: String::new(), game_type, device_type, features }
    });
    let rows: Vec<Row> = rows.collect();
    let mut outcomes = detector.score(&rows).await.unwrap().outcomes;
    outcomes.sort_by_key(|(id, _)| *id);
    let raw = outcomes.into_iter().map(|(_, outcome)| match outcome {
        Outcome::Calibrated { raw, .. } => raw,
        other => panic!("{other:?}"),
    });
    raw.collect()
}

/// The file that a client with nothing but the documentation would send.
fn table(sessions: &[Session]) -> Vec<u8> {
    let people = people();
    let header = people.split(|byte| *byte == b'\n').next().unwrap();
    let mut csv = [header, b"\n"].concat();
    let mut extractor = Extractor::default();
    for session in sessions {
        let mut line = format!("{},{}", session.game_type, session.device_type);
        for value in extractor.v1(session).values() {
            write!(line, ",{value}").unwrap();
        }
        csv.extend_from_slice(line.as_bytes());
        csv.push(b'\n');
    }
    csv
}

/// What an unfaulted service says of each row, asked without the client under test; and what a detector learns of it.
async fn asked(generation: Generation, csv: &[u8]) -> (Vec<Said>, Notebook) {
    let rig = Rig::new(generation, woodwide_sim::Settings::default()).await;
    let client = playproof_batch::tls::http_client().build().unwrap();
    let url = rig.sim.url();
    let send = |request: reqwest::RequestBuilder| async move {
        let text = request.bearer_auth(KEY).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let form = || {
        let file = reqwest::multipart::Part::bytes(csv.to_vec()).file_name("sessions.csv");
        reqwest::multipart::Form::new().text("name", "sessions").part("file", file)
    };
    let said = match generation {
        Generation::Ga => {
            let form = form().text("output_type", "json").text("anomaly_format", "per_row");
            let answer = send(client.post(format!("{url}/models/{}/infer", rig.model)).multipart(form)).await;
            let data = &answer["data"];
            let said = |n: usize| {
                assert_eq!(data["id"][n], n);
                Said { raw: data["anomaly_score"][n].as_f64(), flag: data["is_anomaly"][n].as_bool().unwrap() }
            };
            (0..SESSIONS).map(said).collect()
        }
        Generation::Beta => {
            let dataset = send(client.post(format!("{url}/api/datasets")).multipart(form())).await;
            let id = dataset["id"].as_str().unwrap().to_owned();
            let path = format!("{url}/api/models/anomaly/{}/infer?dataset_id={id}", rig.model);
            let answer = send(client.post(path)).await;
            let mut said = vec![Said { raw: None, flag: false }; SESSIONS];
            for id in answer["anomalous_ids"].as_array().unwrap() {
                said[id.as_str().unwrap().parse::<usize>().unwrap()].flag = true;
            }
            said
        }
    };
    let detector = rig.detector().await;
    detector.score(&super::super::rig::rows(10)).await.unwrap();
    (said, Notebook::clone(&rig.memory))
}
