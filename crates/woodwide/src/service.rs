//! One Woodwide deployment, whichever generation: put a question, ask for the answer, leave nothing behind.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use super::answer::Scores;
use super::failure::Failure;
use super::retry_ladder::{RUNGS, Start};
use super::settings::Generation;
use super::table::Table;
use super::transport::{Body, Request, Transport};
use super::{beta, ga};
use playproof_domain::time::Timestamp;

/// How the rows reach the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// With the question.
    Inline,
    /// As a dataset of their own.
    Dataset,
}

/// A question that may be asked until it is answered.
#[derive(Debug)]
pub(super) enum Question {
    /// The rows go along each time.
    Inline(Table),
    /// They are on the service.
    Ga(ga::Dataset, Table, RemoteDataset),
    /// Likewise, in the beta generation.
    Beta(String, Table, RemoteDataset),
}

/// A name in use on the service. Dropped before what bears it is gone, it is looked for later.
#[derive(Debug)]
pub(super) struct RemoteDataset {
    name: String,
    books: Arc<RemoteNames>,
    gone: bool,
}

/// What is known of our things on the service.
#[derive(Debug, Default)]
struct RemoteNames {
    /// Names in use now.
    active: Mutex<BTreeSet<String>>,
    /// Whether something may have been left behind.
    untidy: AtomicBool,
    /// When to look for it, where the last look ended badly.
    rest: Mutex<Option<Instant>>,
}

impl RemoteNames {
    fn active(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RemoteDataset {
    fn new(name: &str, books: &Arc<RemoteNames>) -> Self {
        books.active().insert(name.to_owned());
        Self { name: name.to_owned(), books: Arc::clone(books), gone: false }
    }
}

impl Drop for RemoteDataset {
    fn drop(&mut self) {
        self.books.active().remove(&self.name);
        if !self.gone {
            self.books.untidy.store(true, Ordering::Relaxed);
        }
    }
}

/// The service, and the names of what is ours there.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) transport: Transport,
    pub(super) generation: Generation,
    pub(super) model: String,
    /// Names this installation in the name of everything it puts on the service.
    installation: String,
    /// Likewise this process.
    process: String,
    /// Whether other processes of this installation may be at work.
    shared: bool,
    books: Arc<RemoteNames>,
}

/// Begins the name of everything that any installation puts on the service.
const PREFIX: &str = "playproof-";
/// What a crashed process of a shared installation left behind is removed after this time.
const ABANDONED: Duration = Duration::from_secs(15 * 60);
/// The same for what bears another installation's name: of a `check` that was killed, or with a store that is gone. No
/// batch takes nearly as long.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

impl Service {
    /// The deployment behind `transport`, with names that begin `playproof-INSTALLATION-`.
    pub(super) fn new(
        transport: Transport,
        generation: Generation,
        model: String,
        installation: &str,
        shared: bool,
    ) -> Self {
        Self {
            transport,
            generation,
            model,
            installation: installation.to_owned(),
            process: format!("{:08x}", rand::random::<u32>()),
            shared,
            // Whoever ran before may have been killed.
            books: Arc::new(RemoteNames { untidy: AtomicBool::new(true), ..RemoteNames::default() }),
        }
    }

    /// A name that nobody has used: installation, process, time in ms, and a random number.
    pub(super) fn name(&self, now: Timestamp) -> String {
        format!("{PREFIX}{}-{}-{}-{:08x}", self.installation, self.process, now.0, rand::random::<u32>())
    }

    /// The version of the model that answers now.
    pub(super) async fn resolve(&self, deadline: Instant) -> Result<String, Failure> {
        let found = match self.generation {
            Generation::Ga => ga::resolve(&self.transport, &self.model, deadline).await,
            Generation::Beta => beta::resolve(&self.transport, &self.model, deadline).await,
        };
        found.map_err(|failure| self.no_model(failure))
    }

    /// Whether it answers at all, by a single request.
    pub(super) async fn ping(&self, deadline: Instant) -> Result<(), Failure> {
        let path = match self.generation {
            Generation::Ga => format!("/models/{}", self.model),
            Generation::Beta => format!("/api/models/{}", self.model),
        };
        let request = Request { tries: 1, ..Request::get(path) };
        let answered = self.transport.send(&request, deadline).await.and_then(|reply| reply.json());
        answered.map(|_| ()).map_err(|failure| self.no_model(failure))
    }

    /// Says which model is not there, and what to set.
    fn no_model(&self, failure: Failure) -> Failure {
        let Failure::Missing(message) = failure else { return failure };
        let (model, generation) = (&self.model, self.generation.name());
        Failure::Missing(format!(
            "the model {model} ({message}); set ANOMALY_MODEL_ID to the id of a trained model of this account, and \
             WOODWIDE_API, now {generation}, and WOODWIDE_BASE_URL to where that is"
        ))
    }

    /// The ways to put a question, from the one that worked last.
    pub(super) fn rungs(&self, start: Start) -> Vec<(usize, Place)> {
        let place = match self.generation {
            Generation::Ga => Place::Inline,
            Generation::Beta => Place::Dataset,
        };
        let mut rungs: Vec<_> =
            RUNGS.into_iter().filter(|size| *size >= start.top_up).map(|size| (size, place)).collect();
        if place == Place::Inline {
            // Where a call with the rows in it stays empty whatever their number, a dataset may not.
            rungs.push((RUNGS[RUNGS.len() - 1], Place::Dataset));
            if start.as_dataset {
                rungs.rotate_right(1);
            }
        }
        rungs
    }

    /// Puts a question.
    pub(super) async fn put(&self, table: Table, place: Place, deadline: Instant) -> Result<Question, Failure> {
        if place == Place::Inline {
            return Ok(Question::Inline(table));
        }
        let ours = RemoteDataset::new(&table.name, &self.books);
        Ok(match self.generation {
            Generation::Ga => Question::Ga(ga::upload(&self.transport, &table, deadline).await?, table, ours),
            Generation::Beta => Question::Beta(beta::upload(&self.transport, &table, deadline).await?, table, ours),
        })
    }

    /// Asks for the answer; [`Failure::NotReady`] means ask again.
    pub(super) async fn poll(&self, question: &Question, version: &str, deadline: Instant) -> Result<Scores, Failure> {
        match question {
            Question::Inline(table) => ga::infer(&self.transport, &self.model, version, table, deadline).await,
            Question::Ga(dataset, table, _) => {
                ga::infer_dataset(&self.transport, &self.model, version, dataset, table.rows, deadline).await
            }
            Question::Beta(id, table, _) => beta::infer(&self.transport, &self.model, id, table.rows, deadline).await,
        }
    }

    /// Removes what the question left on the service; where that fails it is found later by its name.
    pub(super) async fn forget(&self, question: Question, deadline: Instant) {
        // Also when the question's own time is over.
        let deadline = deadline.max(Instant::now() + Duration::from_secs(10));
        let (id, mut ours) = match question {
            Question::Inline(_) => return,
            Question::Ga(dataset, _, ours) => (dataset.id, ours),
            Question::Beta(id, _, ours) => (id, ours),
        };
        match self.remove(&id, deadline).await {
            Ok(()) => ours.gone = true,
            Err(error) => tracing::debug!(%error, "a dataset could not be removed; it is removed later"),
        }
    }

    /// Removes a dataset.
    async fn remove(&self, id: &str, deadline: Instant) -> Result<(), Failure> {
        let path = match self.generation {
            Generation::Ga => format!("/datasets/{id}"),
            Generation::Beta => format!("/api/datasets/{id}"),
        };
        self.transport.delete(path, deadline).await
    }

    /// Removes a GA dataset with all its versions, and frees its name at once: a deleted one may go on holding it. Half
    /// done, it is found later by the name it has then.
    pub(super) async fn retire(&self, id: &str, now: Timestamp, deadline: Instant) -> Result<(), Failure> {
        let mut ours = RemoteDataset::new(&self.name(now), &self.books);
        let body = Body::Json(json!({"name": ours.name}));
        let rename =
            Request { method: Method::PATCH, repeatable: true, ..Request::post(format!("/datasets/{id}"), body) };
        match self.transport.send(&rename, deadline).await {
            Ok(_) => {}
            Err(Failure::Missing(_)) => {
                ours.gone = true;
                return Ok(());
            }
            Err(failure) => return Err(failure),
        }
        self.remove(id, deadline).await?;
        ours.gone = true;
        Ok(())
    }

    /// Removes what earlier calls or a killed process left behind. Cheap when there is nothing to do. What cannot be
    /// removed now is left alone for a while, so that it costs the batches that follow nothing.
    pub(super) async fn clean_up(&self, now: Timestamp, deadline: Instant) {
        let rests = self.books.rest().is_some_and(|until| Instant::now() < until);
        if rests || !self.books.untidy.swap(false, Ordering::Relaxed) {
            return;
        }
        // A batch is waiting.
        let deadline = deadline.min(Instant::now() + self.transport.timing.request);
        let (removed, failed) = match self.sweep(now, deadline).await {
            Ok(swept) => swept,
            Err(failure) => (0, Some(failure)),
        };
        if removed > 0 {
            tracing::info!(removed, "datasets left behind on the Woodwide account were removed");
        }
        *self.books.rest() = failed.map(|error| {
            self.books.untidy.store(true, Ordering::Relaxed);
            tracing::debug!(%error, "leftovers on the Woodwide account could not be removed; they are looked for later");
            Instant::now() + self.transport.timing.sweep
        });
    }

    /// How many leftovers were removed, and why one could not be.
    async fn sweep(&self, now: Timestamp, deadline: Instant) -> Result<(usize, Option<Failure>), Failure> {
        let found = match self.generation {
            Generation::Ga => ga::datasets(&self.transport, PREFIX, deadline).await?,
            Generation::Beta => beta::datasets(&self.transport, "", deadline).await?,
        };
        let (mut removed, mut failed) = (0, None);
        for (id, name) in found {
            if !self.is_leftover(&name, now) {
                continue;
            }
            match self.remove(&id, deadline).await {
                Ok(()) => removed += 1,
                // The others need not stay because this one does.
                Err(failure) => failed = Some(failure),
            }
        }
        Ok((removed, failed))
    }

    /// One of this account's datasets that is not in use, of nobody who may still be at work.
    fn is_leftover(&self, name: &str, now: Timestamp) -> bool {
        let parts: Vec<&str> = name.strip_prefix(PREFIX).unwrap_or_default().split('-').collect();
        let [installation, process, made_ms, _] = parts[..] else { return false };
        let Ok(made_ms) = made_ms.parse::<i64>() else { return false };
        let age = now.since(Timestamp(made_ms));
        if installation != self.installation {
            return age > FORGOTTEN;
        }
        !self.books.active().contains(name) && (process == self.process || !self.shared || age > ABANDONED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_can_be_at_work_on_is_a_leftover() {
        let now = Timestamp(1_700_000_000_000);
        let service = |shared| {
            let timing = super::super::settings::Timing::default();
            let transport = Transport::new("http://127.0.0.1:1", Vec::new(), 1, timing).unwrap();
            Service::new(transport, Generation::Beta, "m".to_owned(), "0000000a", shared)
        };
        let named = |installation: &str, age: Duration| {
            format!("{PREFIX}{installation}-0000000b-{}-0000000c", now.minus(age).0)
        };
        let (alone, shared) = (service(false), service(true));
        let hour = Duration::from_secs(3600);
        let young = named("0000000a", Duration::from_secs(60));
        assert!(alone.is_leftover(&young, now) && !shared.is_leftover(&young, now));
        assert!(shared.is_leftover(&named("0000000a", hour), now));
        for service in [&alone, &shared] {
            assert!(!service.is_leftover(&named("0000000f", hour), now), "somebody else's");
            assert!(service.is_leftover(&named("0000000f", 25 * hour), now), "nobody's");
            let ours = RemoteDataset::new(&service.name(now), &service.books);
            assert!(!service.is_leftover(&ours.name, now), "in use");
            for name in ["people", "playproof-", "playproof-0000000a-b", "playproof-0000000a-b-c-d"] {
                assert!(!service.is_leftover(name, now), "{name}");
            }
        }
    }
}
