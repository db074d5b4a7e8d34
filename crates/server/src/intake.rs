//! Intake: a parsed session becomes features, a first verdict and a durable place in the store, once per identifier.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::controls::OperatorState;
use crate::detector::embedded::EmbeddedDetector;
use crate::detector::embedded::sighting::Sighting;
use crate::domain::features::{Extractor, v1};
use crate::domain::heuristic::{self, Heuristic};
use crate::domain::id::SessionKey;
use crate::domain::queue::State;
use crate::domain::reason::Reason;
use crate::domain::record::{self, SessionDigest};
use crate::domain::refusal::Refusal;
use crate::domain::result::Verdict;
use crate::domain::session::{Bounds, Session};
use crate::domain::time::Now;
use crate::metrics::Metrics;
use crate::store::challenges::UsedChallenge;
use crate::store::{Acceptance, FirstVerdict, NewSession, Store, StoreError, StoredSession};
use crate::thresholds::ThresholdTable;

/// Who gives the first verdict on a session that waits for its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBy {
    /// The embedded model.
    Model,
    /// The fixed rules alone.
    Rules,
}

/// How a session came, and so what is believed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// From a server, with a key that a page never has.
    Server,
    /// From a page, by a submit key alone: it vouches for no user, has an identifier among those of pages, and always waits
    /// for its batch.
    Page,
    /// From a page, with a challenge; `vouched` where a server asked for that, and so said whose session it is.
    Challenged {
        /// Whether it did.
        vouched: bool,
        /// The challenge.
        used: UsedChallenge,
    },
}

impl Sender {
    /// Whether somebody answers for it who is no page.
    pub(crate) fn vouches(&self) -> bool {
        !matches!(self, Self::Page | Self::Challenged { vouched: false, .. })
    }
}

/// What goes with a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// When its request arrived.
    pub received: Now,
    /// What a test key says of it.
    pub forced: Option<Reason>,
    /// Where it is from.
    pub sender: Sender,
}

/// What the submitter is told; for a repeated submission, what it was told the first time with the current state.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// Deployment and identifier.
    pub key: SessionKey,
    /// Feature set v1.
    pub features: v1::Features,
    /// The verdict answered at once.
    pub first: FirstVerdict,
    /// Where the session stands.
    pub state: State,
    /// Whether it was known already.
    pub duplicate: bool,
}

/// Why a session was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The identifier is known with other content.
    #[error("a session with this id and other content exists")]
    Conflict,
    /// The identifier was erased.
    #[error("the session with this id was erased")]
    Erased,
    /// The queue is at its limit.
    #[error("the queue is full")]
    QueueFull,
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes sessions in.
pub struct Intake {
    store: Arc<dyn Store>,
    embedded: EmbeddedDetector,
    first_by: FirstBy,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    controls: Arc<OperatorState>,
}

impl Intake {
    /// An intake that writes to `store` and answers from `embedded`: always where the session asks for no batch, else as
    /// `first_by` says.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        embedded: EmbeddedDetector,
        first_by: FirstBy,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        controls: Arc<OperatorState>,
    ) -> Self {
        Self { store, embedded, first_by, clock, metrics, controls }
    }

    /// The scores at which decisions change.
    #[must_use]
    pub fn thresholds(&self) -> &Arc<ThresholdTable> {
        self.controls.thresholds()
    }

    /// Parses a session into buffers that an earlier one on this thread has left.
    ///
    /// # Errors
    /// A [`Refusal`] naming the field's path and the mend.
    pub fn parse(&self, body: &[u8], bounds: &Bounds) -> Result<Session, Refusal> {
        let mut session = WORKSPACE.with_borrow_mut(|workspace| std::mem::take(&mut workspace.spare));
        session.parse_into(body, bounds).map(|()| session)
    }

    /// Judges `session` and makes it durable: queued when it asks for a batch or comes from a page, else scored now. A
    /// session without movement has nothing to be scored or compared and is decided now.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was acknowledged then.
    pub async fn submit(&self, session: Session, submission: Submission) -> Result<Receipt, SubmitError> {
        let (new, sighting) = WORKSPACE.with_borrow_mut(|workspace| self.judge(session, submission, workspace));
        let (key, features, first, is_final) = (new.key.clone(), new.features, new.first.clone(), new.is_final);
        match self.store.accept(new).await? {
            Acceptance::New(seq) => {
                if let Some(sighting) = sighting {
                    sighting.count(seq);
                }
                if is_final {
                    self.metrics.result(&first.verdict, Duration::ZERO);
                }
                let state = if is_final { State::Processed } else { State::Ready };
                Ok(Receipt { key, features, first, state, duplicate: false })
            }
            Acceptance::Duplicate(stored) => {
                let StoredSession { key, features, first, entry, .. } = *stored;
                Ok(Receipt { key, features, first, state: entry.state, duplicate: true })
            }
            Acceptance::Conflict => Err(SubmitError::Conflict),
            Acceptance::Erased => Err(SubmitError::Erased),
            Acceptance::QueueFull => Err(SubmitError::QueueFull),
        }
    }

    /// The session as it will be stored: features, first verdict and compact record; and what the model's watchers will
    /// count of it, where the model scored it.
    fn judge(
        &self,
        mut session: Session,
        Submission { received, forced, sender }: Submission,
        workspace: &mut Workspace,
    ) -> (NewSession, Option<Sighting>) {
        let features = workspace.extractor.v1(&session);
        let heuristic = Heuristic::judge(&features);
        let without_pointer = session.movements.is_empty();
        let is_final = without_pointer || (sender == Sender::Server && !session.use_batch);
        let thresholds = self.thresholds().of(&session.deployment_id);
        // They stand among the session's reasons, so the batch decides by them too.
        let user = session.user_id.as_deref().filter(|_| sender.vouches());
        let ruling = forced.or_else(|| self.controls.override_for(user, &session.deployment_id));
        let rulings = || heuristic::reservations(&session).iter().chain(ruling);
        let reasons = heuristic.reasons.union(rulings().collect());
        let by_model = (!without_pointer && (is_final || self.first_by == FirstBy::Model)).then(|| {
            let known_reasons = heuristic::reasons_with_notes(reasons, features.total_moves);
            let Workspace { extractor, row, .. } = &mut *workspace;
            self.embedded.judge(&session, known_reasons, &thresholds, extractor, row)
        });
        let (verdict, sighting) = if let Some((verdict, sighting)) = by_model.flatten() {
            (verdict, Some(sighting))
        } else if without_pointer {
            let verdict = Verdict::without_pointer(&thresholds);
            (ruling.into_iter().fold(verdict, |verdict, reason| verdict.with_override(reason, &thresholds)), None)
        } else {
            // A session that the model refuses gets an answer too. A ruling is no rule and adds nothing to the rules' score.
            let rules = Verdict::heuristic(&heuristic, &thresholds);
            (rulings().fold(rules, |verdict, reason| verdict.with_override(reason, &thresholds)), None)
        };
        let mut record = Vec::with_capacity(64 + 8 * session.movements.len());
        record::encode(&session, &mut workspace.integers, &mut record);
        let digest = SessionDigest::of(&record);
        let latency = self.clock.now().monotonic.saturating_sub(received.monotonic);
        let first =
            FirstVerdict { verdict, scored_at: received.wall, latency_ms: (latency.as_secs_f64() * 1e6).round() / 1e3 };
        let id = std::mem::take(&mut session.id);
        let new = NewSession {
            key: SessionKey {
                deployment: std::mem::take(&mut session.deployment_id),
                id: if sender.vouches() { id } else { id.of_page() },
            },
            user_id: session.user_id.take(),
            game_type: std::mem::take(&mut session.game_type),
            device_type: std::mem::take(&mut session.device_type),
            digest,
            record,
            features,
            reasons,
            first,
            is_final,
            challenge: if let Sender::Challenged { used, .. } = sender { Some(used) } else { None },
        };
        // A session of the largest size must not keep its buffers for good.
        if session.movements.len() <= SPARED_MOVEMENTS {
            workspace.spare = session;
        }
        (new, sighting)
    }
}

/// Buffers of one worker thread, so that judging a session allocates nothing but what is stored.
#[derive(Default)]
struct Workspace {
    extractor: Extractor,
    row: Vec<f64>,
    integers: Vec<i64>,
    spare: Session,
}

/// Most movements of a session whose buffers are used again.
const SPARED_MOVEMENTS: usize = 2_000;

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}
