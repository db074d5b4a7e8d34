//! Training at the service: tables go up once under a name made of their content, trainings are started once, whatever
//! happens to the answers.
//!
//! Before an order is sent, it is written down with the trainings that were there; where its answer is lost, what is
//! new there is ours, also for a process that starts later.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::answer::{id_of, items, text, version_of};
use super::dataset::{check, is_identifier, short_digest};
use super::failure::Failure;
use super::order::{Dataset, Order, Started, TrainingError};
use super::progress::{self, Progress};
use super::settings::{Generation, WoodwideSettings};
use super::table::{Table, columns};
use super::transport::{Body, Request, Transport};
use super::{beta, ga};
use playproof_detector::DetectorState;

/// Time for an upload, until it can be trained on.
const UPLOAD: Duration = Duration::from_secs(120);
/// Time for an order or a question.
const ORDER: Duration = Duration::from_secs(60);
/// Pauses between looks for a training whose answer was lost.
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(2)];
/// Times an order is sent at most, each after a look.
const SENDS: usize = 3;

/// An order that was, or may have been, sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Sent {
    /// Trainings of the same table that were there before.
    before: Vec<String>,
    /// Counts the trainings of this order; part of the model's name.
    attempt: u32,
    /// The outcome, once known.
    model: Option<String>,
    job: Option<String>,
}

/// Training at one Woodwide deployment.
pub struct Training {
    transport: Transport,
    generation: Generation,
    memory: Arc<dyn DetectorState>,
    /// One order at a time: an order looks at what is there before it sends.
    turn: Mutex<()>,
}

impl Training {
    /// Training behind `settings`. Nothing is asked yet.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(settings: &WoodwideSettings, memory: Arc<dyn DetectorState>) -> Result<Self, reqwest::Error> {
        let transport = Transport::new(&settings.base_url, settings.keys.clone(), settings.in_flight, settings.timing)?;
        Ok(Self { transport, generation: settings.generation, memory, turn: Mutex::default() })
    }

    /// Puts a table on the service. One that is there already is found by its content and not sent again.
    ///
    /// # Errors
    /// [`TrainingError`], with the mend.
    pub async fn upload(&self, name: &str, csv: String, overwrite: bool) -> Result<Dataset, TrainingError> {
        let checked = tokio::task::spawn_blocking(move || check(&csv)).await;
        let checked = checked.map_err(|error| TrainingError::Memory(error.to_string()))??;
        let _turn = self.turn.lock().await;
        let deadline = Instant::now() + UPLOAD;
        let known: Option<Dataset> = self.recall("dataset", name).await?;
        if known.as_ref().is_some_and(|known| known.digest != checked.digest) && !overwrite {
            return Err(TrainingError::Taken(name.to_owned()));
        }
        let remote = format!("{name}-{}", checked.digest);
        if let Some(known) = known.filter(|known| known.digest == checked.digest)
            && self.find(&remote, deadline).await?.is_some_and(|(id, _)| id == known.id)
        {
            return Ok(known);
        }
        let table = Table { name: remote, rows: checked.rows, csv: checked.csv };
        let (id, version) = match self.generation {
            Generation::Ga => match ga::upload(&self.transport, &table, deadline).await {
                Ok(dataset) => (dataset.id, dataset.version),
                Err(failure) => {
                    // What could not be read there must not be found by the next try.
                    if let (Failure::Refused(_), Some((id, _))) = (&failure, self.find(&table.name, deadline).await?) {
                        self.transport.delete(format!("/datasets/{id}"), deadline).await?;
                    }
                    return Err(failure.into());
                }
            },
            Generation::Beta => (beta::upload(&self.transport, &table, deadline).await?, None),
        };
        let columns = columns().map(str::to_owned).collect();
        let (rows, dropped, digest) = (checked.rows, checked.dropped, checked.digest);
        let dataset = Dataset { id, rows, columns, dropped, version, digest };
        self.remember("dataset", name, &dataset).await?;
        Ok(dataset)
    }

    /// Starts a training; an equal one that was started before, and did not fail, is found in its place.
    ///
    /// # Errors
    /// [`TrainingError`], with the mend. Where it cannot be told whether the training was started, the same order sent
    /// again finds out.
    pub async fn start(&self, order: &Order) -> Result<Started, TrainingError> {
        let _turn = self.turn.lock().await;
        let deadline = Instant::now() + ORDER;
        let dataset = match self.recall::<Dataset>("dataset", &order.dataset).await? {
            Some(dataset) => dataset,
            None => self.uploaded_elsewhere(&order.dataset, deadline).await?,
        };
        let columns = self.input_columns(order, &dataset)?;
        let key = short_digest(json!([order.model, dataset.id, dataset.version, columns]).to_string().as_bytes());
        let mut sent = self.recall::<Sent>("order", &key).await?;
        if let Some(Sent { model: Some(model), .. }) = &sent {
            match self.progress(model).await {
                Ok(found) if found.stage != progress::Stage::Failed && !order.overwrite => {
                    return Ok(Started { model: model.clone(), stage: found.stage, columns, found: true });
                }
                // Failed, removed, or to be replaced: this is another training.
                Ok(_) | Err(TrainingError::UnknownModel(_)) => {}
                Err(error) => return Err(error),
            }
            let attempt = sent.as_ref().map_or(0, |sent| sent.attempt + 1);
            sent = Some(Sent { attempt, before: self.trainings(&dataset, deadline).await?, ..Sent::default() });
        } else if let Some(lost) = &sent {
            // An earlier answer was lost.
            if let Some((model, job)) = self.look(order, &key, lost, &dataset, deadline).await? {
                return self.begun(order, &key, lost.clone(), (model, job, columns), true).await;
            }
        }
        let sent = match sent {
            Some(sent) => sent,
            None => Sent { before: self.trainings(&dataset, deadline).await?, ..Sent::default() },
        };
        self.remember("order", &key, &sent).await?;
        let (model, job) = self.send(order, &key, &sent, &dataset, &columns, deadline).await?;
        self.begun(order, &key, sent, (model, job, columns), false).await
    }

    /// How a training stands.
    ///
    /// # Errors
    /// [`TrainingError`].
    pub async fn progress(&self, model: &str) -> Result<Progress, TrainingError> {
        let named: Option<Named> = self.recall("model", model).await?;
        let job = named.as_ref().and_then(|named| named.job.clone());
        let deadline = Instant::now() + ORDER;
        let asked = match self.generation {
            Generation::Ga => progress::ga(&self.transport, model, job, deadline).await,
            Generation::Beta => progress::beta(&self.transport, model, deadline).await,
        };
        match asked {
            Ok(progress) => Ok(Progress { name: named.map_or(progress.name, |named| named.name), ..progress }),
            Err(Failure::Missing(_)) => Err(TrainingError::UnknownModel(model.to_owned())),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn begun(
        &self,
        order: &Order,
        key: &str,
        sent: Sent,
        (model, job, columns): (String, Option<String>, Vec<String>),
        found: bool,
    ) -> Result<Started, TrainingError> {
        let done = Sent { model: Some(model.clone()), job: job.clone(), ..sent };
        self.remember("model", &model, &Named { name: order.model.clone(), job }).await?;
        self.remember("order", key, &done).await?;
        Ok(Started { model, stage: progress::Stage::Pending, columns, found })
    }

    /// The columns to train on: never one that names a session or a person.
    fn input_columns(&self, order: &Order, dataset: &Dataset) -> Result<Vec<String>, TrainingError> {
        let Some(wanted) = &order.columns else { return Ok(dataset.columns.clone()) };
        let wanted: Vec<String> = wanted.iter().filter(|column| !is_identifier(column)).cloned().collect();
        if let Some(unknown) = wanted.iter().find(|column| !dataset.columns.contains(column)) {
            return Err(TrainingError::Columns(format!("the dataset has no column {unknown}; leave it out")));
        }
        if wanted.is_empty() {
            return Err(TrainingError::Columns("no column is left to learn from; name feature columns".to_owned()));
        }
        if self.generation == Generation::Beta && dataset.columns.iter().any(|column| !wanted.contains(column)) {
            let message = "the beta generation trains on all columns of a dataset; leave inputColumns out";
            return Err(TrainingError::Columns(message.to_owned()));
        }
        Ok(wanted)
    }

    /// A dataset that this installation did not upload, by its exact name at the service.
    async fn uploaded_elsewhere(&self, name: &str, deadline: Instant) -> Result<Dataset, TrainingError> {
        let found = self.find(name, deadline).await?;
        let (id, version) = found.ok_or_else(|| TrainingError::UnknownDataset(name.to_owned()))?;
        let columns = columns().map(str::to_owned).collect();
        Ok(Dataset { digest: id.clone(), id, version, rows: 0, columns, dropped: Vec::new() })
    }

    async fn find(&self, name: &str, deadline: Instant) -> Result<Option<(String, Option<String>)>, Failure> {
        match self.generation {
            Generation::Ga => {
                let found = ga::datasets(&self.transport, name, deadline).await?;
                let Some((id, _)) = found.into_iter().find(|(_, found)| found == name) else { return Ok(None) };
                let detail = self.transport.send(&Request::get(format!("/datasets/{id}")), deadline).await?.json()?;
                Ok(Some((id, version_of(&detail, "dataset"))))
            }
            Generation::Beta => {
                let found = beta::datasets(&self.transport, &format!("?name={name}"), deadline).await?;
                Ok(found.into_iter().find(|(_, found)| found == name).map(|(id, _)| (id, None)))
            }
        }
    }

    /// Sends the order, each time after a look whether it was taken already.
    async fn send(
        &self,
        order: &Order,
        key: &str,
        sent: &Sent,
        dataset: &Dataset,
        columns: &[String],
        deadline: Instant,
    ) -> Result<(String, Option<String>), Failure> {
        let name = model_name(order, key, sent);
        let mut last = Failure::away("nothing was sent", false);
        for _ in 0..SENDS {
            let request = self.request(&name, order.overwrite || sent.attempt > 0, dataset, columns);
            let taken = match self.transport.send(&request, deadline).await {
                Ok(reply) => reply.json().and_then(|reply| begun_by(&reply)),
                Err(failure) => Err(failure),
            };
            last = match taken {
                Ok(begun) => return Ok(begun),
                Err(failure) => failure,
            };
            let again = match &last {
                // The other side ended this request; one that never ended may yet be taken.
                Failure::Away { message, ambiguous, .. } => {
                    !ambiguous || message.starts_with(|c: char| c.is_ascii_digit())
                }
                Failure::Conflict(message) => message.contains("ready"),
                Failure::NotReady(_) | Failure::Protocol(_) | Failure::Refused(_) => false,
                _ => return Err(last),
            };
            for pause in LOOKS {
                sleep(pause).await;
                if let Some(found) = self.look(order, key, sent, dataset, deadline).await? {
                    return Ok(found);
                }
            }
            if !again {
                break;
            }
        }
        Err(last)
    }

    fn request(&self, name: &str, force: bool, dataset: &Dataset, columns: &[String]) -> Request {
        match self.generation {
            Generation::Ga => {
                let mut body = json!({"model_type": "anomaly", "model_name": name, "input_columns": columns});
                match &dataset.version {
                    Some(version) => body["dataset_version_id"] = json!(version),
                    None => body["dataset_id"] = json!(dataset.id),
                }
                if force {
                    body["force_retrain"] = json!(true);
                }
                Request::post("/models/train".to_owned(), Body::Json(body))
            }
            Generation::Beta => {
                let path = format!("/api/models/anomaly/train?dataset_id={}", dataset.id);
                Request::post(path, Body::Form(vec![("model_name".to_owned(), name.to_owned())]))
            }
        }
    }

    /// The training that this order started, if there is one.
    async fn look(
        &self,
        order: &Order,
        key: &str,
        sent: &Sent,
        dataset: &Dataset,
        deadline: Instant,
    ) -> Result<Option<(String, Option<String>)>, Failure> {
        if self.generation == Generation::Beta {
            let name = model_name(order, key, sent);
            let models = self.transport.send(&Request::get("/api/models".to_owned()), deadline).await?.json()?;
            let named = |model: &&Value| model.get("name").and_then(Value::as_str) == Some(name.as_str());
            return Ok(items(&models).iter().find(named).and_then(|model| Some((id_of(model, "model")?, None))));
        }
        let jobs = self.jobs(dataset, deadline).await?;
        let found = items(&jobs).iter().find_map(|job| {
            let id = id_of(job, "job").filter(|id| !sent.before.contains(id))?;
            let resource = job.get("resources").and_then(|resources| resources.get("model")?.get("id"));
            let model = job.get("model_id").filter(|model| !model.is_null()).or(resource).and_then(text)?;
            Some((model, Some(id)))
        });
        Ok(found)
    }

    async fn jobs(&self, dataset: &Dataset, deadline: Instant) -> Result<Value, Failure> {
        let of = dataset.version.as_ref().map(|version| format!("&dataset_version_id={version}")).unwrap_or_default();
        self.transport.send(&Request::get(format!("/jobs?type=train&limit=200{of}")), deadline).await?.json()
    }

    /// The trainings of a table that are there now.
    async fn trainings(&self, dataset: &Dataset, deadline: Instant) -> Result<Vec<String>, Failure> {
        if self.generation == Generation::Beta {
            return Ok(Vec::new());
        }
        let jobs = self.jobs(dataset, deadline).await?;
        Ok(items(&jobs).iter().filter_map(|job| id_of(job, "job")).collect())
    }

    async fn recall<T: for<'d> Deserialize<'d>>(&self, kind: &str, name: &str) -> Result<Option<T>, TrainingError> {
        let bytes = self.memory.get(&self.key(kind, name)).await.map_err(TrainingError::Memory)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    async fn remember<T: Serialize + Sync>(&self, kind: &str, name: &str, value: &T) -> Result<(), TrainingError> {
        let bytes = serde_json::to_vec(value).map_err(|error| TrainingError::Memory(error.to_string()))?;
        self.memory.put(&self.key(kind, name), Some(bytes)).await.map_err(TrainingError::Memory)
    }

    fn key(&self, kind: &str, name: &str) -> String {
        let generation = match self.generation {
            Generation::Ga => "ga",
            Generation::Beta => "beta",
        };
        format!("woodwide/{generation}/{kind}/{name}")
    }
}

/// What is kept about a model.
#[derive(Debug, Serialize, Deserialize)]
struct Named {
    name: String,
    job: Option<String>,
}

/// The model's name at the service: unique by what it learns from.
fn model_name(order: &Order, key: &str, sent: &Sent) -> String {
    match sent.attempt {
        0 => format!("{}-{key}", order.model),
        attempt => format!("{}-{key}-{attempt}", order.model),
    }
}

/// Model and job of the answer to an order.
fn begun_by(reply: &Value) -> Result<(String, Option<String>), Failure> {
    let model = id_of(reply, "model").ok_or_else(|| Failure::Protocol("the training names no model".to_owned()))?;
    Ok((model, ga::job_of(reply).ok()))
}
