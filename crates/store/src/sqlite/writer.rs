//! The writer: one thread that owns the one writing connection and commits in groups.
//!
//! Whatever arrived while the last commit ran becomes the next transaction; an answer leaves when its group is on disk.
//! Work that fails for a reason of its own leaves the group, which then runs without it; a disk that is full sinks the
//! group, and everyone in it is told.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::fault::Fault;
use super::state::WriterState;
use crate::{StoreError, StoreResult};

/// Most pieces of work in one transaction.
const MAX_GROUP: usize = 256;

/// One piece of work. `apply` may run again when a neighbour left the group, so it must not keep state between runs.
trait Work: Send {
    fn apply(&mut self, state: &mut WriterState) -> Result<(), Fault>;
    fn committed(self: Box<Self>);
    fn failed(self: Box<Self>, error: StoreError);
}

/// Something to do between two transactions.
type Outside = Box<dyn FnOnce(&mut WriterState) + Send>;

/// What the thread is asked to do.
enum Message {
    Work(Box<dyn Work>),
    Outside(Outside),
}

struct Closure<T, F> {
    run: F,
    outcome: Option<T>,
    reply: oneshot::Sender<StoreResult<T>>,
}

impl<T: Send, F: FnMut(&mut WriterState) -> Result<T, Fault> + Send> Work for Closure<T, F> {
    fn apply(&mut self, state: &mut WriterState) -> Result<(), Fault> {
        self.outcome = Some((self.run)(state)?);
        Ok(())
    }

    fn committed(self: Box<Self>) {
        // A caller that went away does not need its answer; the work is done all the same.
        if let Some(outcome) = self.outcome {
            let _ = self.reply.send(Ok(outcome));
        }
    }

    fn failed(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

/// The other threads' end of the writer.
pub(super) struct Writer {
    queue: Mutex<Option<Sender<Message>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(state: WriterState, ready: Arc<Notify>) -> StoreResult<Self> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(state, &receiver, &ready))
            .map_err(|e| StoreError::Unavailable(format!("the writer thread did not start: {e}")))?;
        Ok(Self { queue: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Has `run` done between two groups, outside any transaction.
    pub(super) async fn outside<T, F>(&self, run: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriterState) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let run = move |state: &mut WriterState| {
            let _ = reply.send(run(state).map_err(|fault| fault.for_callers()));
        };
        self.send(Message::Outside(Box::new(run)))?;
        answer.await.map_err(|_| closed())?
    }

    fn send(&self, message: Message) -> StoreResult<()> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().ok_or_else(closed)?.send(message).map_err(|_| closed())
    }

    /// Has `run` done in a transaction; the answer comes when it is on disk.
    pub(super) async fn execute<T, F>(&self, run: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut WriterState) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Work(Box::new(Closure { run, outcome: None, reply })))?;
        answer.await.map_err(|_| closed())?
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

fn run(mut state: WriterState, queue: &Receiver<Message>, ready: &Notify) {
    let mut group: Vec<Box<dyn Work>> = Vec::with_capacity(MAX_GROUP);
    let mut last = 1;
    while let Ok(first) = queue.recv() {
        let outside = gather(first, queue, &mut group, last);
        if !group.is_empty() {
            last = group.len();
            commit(&mut state, std::mem::take(&mut group));
        }
        if let Some(outside) = outside {
            outside(&mut state);
        }
        state.finish_checkpoint();
        if state.take_woken() {
            ready.notify_waiters();
            ready.notify_one();
        }
    }
    state.close();
}

/// Takes what is waiting into `group`, up to something that must run outside a transaction, which it returns. Where the
/// last group was large, more of the same size is on its way: waiting a moment for it saves a sync for each that comes.
fn gather(first: Message, queue: &Receiver<Message>, group: &mut Vec<Box<dyn Work>>, last: usize) -> Option<Outside> {
    let deadline = Instant::now() + Duration::from_micros(if last > 3 { 300 } else { 0 });
    let mut next = first;
    loop {
        match next {
            Message::Work(work) => group.push(work),
            Message::Outside(run) => return Some(run),
        }
        if group.len() >= MAX_GROUP {
            return None;
        }
        next = match queue.try_recv() {
            Ok(message) => message,
            Err(_) if group.len() >= last => return None,
            Err(_) => match queue.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            },
        };
    }
}

fn commit(state: &mut WriterState, mut group: Vec<Box<dyn Work>>) {
    let mut is_reserve_spent = false;
    while !group.is_empty() {
        let Err((place, fault)) = transaction(state, &mut group) else {
            return group.into_iter().for_each(Work::committed);
        };
        if fault.is_full_disk() && !is_reserve_spent && state.spend_reserve() {
            is_reserve_spent = true;
            continue;
        }
        let error = fault.for_callers();
        // A lost lease and a lack of room are answers; the rest is for the operator, who needs no line for each.
        if matches!(fault, Fault::Engine(_)) && state.may_complain() {
            tracing::error!(error = %fault, "the store could not write");
        }
        match place {
            Some(place) if fault.is_of_this_work_alone() => group.remove(place).failed(error),
            _ => return group.into_iter().for_each(|work| work.failed(error.clone())),
        }
    }
}

/// Applies and commits a group; when that fails, nothing of it is kept, and the place of the work at fault is told if it
/// was one.
fn transaction(state: &mut WriterState, group: &mut [Box<dyn Work>]) -> Result<(), (Option<usize>, Fault)> {
    state.begin().map_err(|fault| (None, fault))?;
    let mut works = group.iter_mut().enumerate();
    let applied = works.try_for_each(|(place, work)| work.apply(state).map_err(|fault| (Some(place), fault)));
    let outcome = applied.and_then(|()| state.commit().map_err(|fault| (None, fault)));
    if outcome.is_err() {
        state.rollback();
    }
    outcome
}
