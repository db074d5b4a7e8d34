//! The reaches of all kept sketches, in this node's memory, and the look-ups in them.
//!
//! Whoever compares keeps its own sketches in the store first, then follows what others kept, and only then looks. So of
//! two sessions alike, whichever was kept second is compared with the first, on whatever node. The one that was accepted
//! later is judged: where it was compared before the earlier one was kept, it is compared again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Mutex;

use crate::domain::evidence::{Alike, NAMED};
use crate::domain::id::{Seq, SessionKey};
use crate::domain::session::Session;
use crate::domain::sketch::{Likeness, Movement, ReachIndex, Strength};
use crate::store::{Candidate, NewSketch, SketchCursor, Store, StoreError, StoreResult};

/// Sketches read in one go.
const PAGE_SIZE: u32 = 2_000;
/// A movement that has copies of at least this share of its reaches in [`NAMED`] others is not looked up any more: they
/// stand for it, so that one movement sent over and over fills no cell.
const WHOLLY_COPIED: f64 = 0.7;

/// A session that has a movement to be known by.
pub(super) struct Looked {
    pub(super) seq: Seq,
    /// Whose session it is; `None` where a page alone says so.
    pub(super) user_id: Option<String>,
    /// Whether it came by a submit key alone.
    pub(super) is_of_page: bool,
    pub(super) movement: Movement,
}

impl Looked {
    /// A session that was read from its record; `None` where it says too little to be known by.
    pub(super) fn of(seq: Seq, key: &SessionKey, session: Session) -> Option<Self> {
        let session = Session { deployment_id: key.deployment.clone(), ..session };
        let movement = Movement::of(&session)?;
        let is_of_page = key.id.is_of_page();
        Some(Self { seq, user_id: session.user_id.filter(|_| !is_of_page), is_of_page, movement })
    }
}

/// What was found of one session.
pub(super) struct Found {
    pub(super) seq: Seq,
    /// Those accepted before it that it is like, the most alike first, at most [`NAMED`].
    pub(super) matches: Vec<Seq>,
    /// What they say of it, in the same order.
    pub(super) alike: Vec<Alike>,
    /// Those accepted after it that are like it and may have been compared before it was kept.
    pub(super) later: Vec<Seq>,
}

/// The reaches that this node knows.
#[derive(Default)]
pub(super) struct KeptReaches {
    index: Arc<RwLock<ReachIndex>>,
    following: Mutex<Following>,
}

#[derive(Default)]
struct Following {
    cursor: SketchCursor,
    is_loaded: bool,
}

impl KeptReaches {
    /// Takes in what was kept since the last time, by this process before it ended or by other nodes.
    pub(super) async fn follow(&self, store: &dyn Store) -> StoreResult<()> {
        let mut following = self.following.lock().await;
        if following.is_loaded && !store.is_shared() {
            return Ok(());
        }
        loop {
            let page = store.sketched(following.cursor, PAGE_SIZE).await?;
            let unknown: Vec<Seq> = {
                let index = read(&self.index);
                page.seqs.into_iter().filter(|seq| !index.contains(seq.0)).collect()
            };
            if !unknown.is_empty() {
                let kept = store.sketches(unknown).await?;
                let index = Arc::clone(&self.index);
                off_thread(move || {
                    for candidate in kept.into_iter().filter(|candidate| !candidate.is_copy) {
                        candidate.sketch.insert_into(&mut write(&index), candidate.seq.0);
                    }
                })
                .await?;
            }
            following.cursor = page.next;
            if !page.more {
                following.is_loaded = true;
                return Ok(());
            }
        }
    }

    /// Whether everything that was kept before this process began is known, so that following takes no time.
    pub(super) fn is_loaded(&self) -> bool {
        self.following.try_lock().is_ok_and(|following| following.is_loaded)
    }

    /// Keeps the movements in the store and here.
    pub(super) async fn keep(&self, store: &dyn Store, members: Vec<Looked>) -> StoreResult<Vec<Looked>> {
        let index = Arc::clone(&self.index);
        let (members, sketches) = off_thread(move || {
            let sketches: Vec<NewSketch> =
                members.iter().map(|m| NewSketch { seq: m.seq, sketch: m.movement.sketch() }).collect();
            (members, sketches)
        })
        .await?;
        store.keep_sketches(sketches.clone()).await?;
        let mut index = write(&index);
        for new in &sketches {
            new.sketch.insert_into(&mut index, new.seq.0);
        }
        Ok(members)
    }

    /// Compares movements that were kept here with all others.
    pub(super) async fn look(&self, store: &dyn Store, members: Vec<Looked>) -> StoreResult<Vec<Found>> {
        self.follow(store).await?;
        let index = Arc::clone(&self.index);
        let (members, asked) = off_thread(move || {
            let asked: Vec<Vec<Seq>> = members.iter().map(|member| candidates(&index, member)).collect();
            (members, asked)
        })
        .await?;
        let wanted: HashSet<Seq> = asked.iter().flatten().copied().collect();
        let kept: HashMap<Seq, Candidate> =
            store.sketches(wanted.iter().copied().collect()).await?.into_iter().map(|c| (c.seq, c)).collect();
        {
            // What the store no longer has was erased or pruned, perhaps by another node.
            let mut index = write(&self.index);
            wanted.iter().filter(|seq| !kept.contains_key(seq)).for_each(|seq| index.remove(seq.0));
        }
        let index = Arc::clone(&self.index);
        off_thread(move || {
            let together: HashSet<Seq> = members.iter().map(|member| member.seq).collect();
            let find = |(member, asked): (&Looked, &Vec<Seq>)| {
                let (found, is_whole) = found(member, asked, &kept, &together);
                if is_whole {
                    write(&index).remove(member.seq.0);
                }
                found
            };
            members.iter().zip(&asked).map(find).collect()
        })
        .await
    }
}

fn read(index: &RwLock<ReachIndex>) -> RwLockReadGuard<'_, ReachIndex> {
    index.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(index: &RwLock<ReachIndex>) -> RwLockWriteGuard<'_, ReachIndex> {
    index.write().unwrap_or_else(PoisonError::into_inner)
}

/// The stored sessions that a member is to be compared with.
fn candidates(index: &RwLock<ReachIndex>, member: &Looked) -> Vec<Seq> {
    read(index).look_up(&member.movement, |id| id != member.seq.0).into_iter().map(Seq).collect()
}

/// What a session is like, and whether it is one more copy of as many as a result names, from one end to the other.
fn found(member: &Looked, asked: &[Seq], kept: &HashMap<Seq, Candidate>, together: &HashSet<Seq>) -> (Found, bool) {
    let mut others: Vec<(Seq, Likeness, Strength, bool)> = Vec::new();
    for candidate in asked.iter().filter_map(|seq| kept.get(seq)) {
        let Some(like) = member.movement.compare(&candidate.sketch) else { continue };
        let Some(strength) = like.strength() else { continue };
        let by_page_alone = candidate.is_of_page && !member.is_of_page;
        let resubmitted = by_page_alone || (like.identical && candidate.user_id == member.user_id);
        others.push((candidate.seq, like, strength, resubmitted));
    }
    others.sort_by(|a, b| Likeness::order(&a.1, &b.1).then(a.0.0.cmp(&b.0.0)));
    let is_later = |seq: &Seq| seq.0 > member.seq.0;
    let later = others.iter().map(|other| other.0).filter(|seq| is_later(seq) && !together.contains(seq)).collect();
    others.retain(|other| !is_later(&other.0));
    others.truncate(NAMED);
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let most = WHOLLY_COPIED * member.movement.reaches() as f64;
    let is_whole = others.len() >= NAMED && others.iter().all(|(_, like, ..)| f64::from(like.reaches) >= most);
    let alike =
        others.iter().map(|(_, _, strength, resubmitted)| Alike { strength: *strength, resubmitted: *resubmitted });
    let found =
        Found { seq: member.seq, matches: others.iter().map(|other| other.0).collect(), alike: alike.collect(), later };
    (found, is_whole)
}

/// Runs `work` where it keeps nobody waiting.
pub(super) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> StoreResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| StoreError::Unavailable(format!("sessions could not be compared: {e}")))
}
