//! The end in steps. Leaving: say so, and go on. Soft: take no new work, finish or give back what is in flight. Hard: the
//! time for that is over, or somebody asked twice.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Phase {
    Running,
    Leaving,
    Soft,
    Hard,
}

/// Tells everybody when to end; cheap to clone. Whoever waits wakes in the order of waiting.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<Steps>);

#[derive(Debug)]
struct Steps {
    /// The [`Phase`] reached.
    phase: AtomicU8,
    changed: Notify,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Steps { phase: AtomicU8::new(Phase::Running as u8), changed: Notify::new() }))
    }

    /// Asks for the soft end; asking again changes nothing.
    pub fn trigger(&self) {
        self.raise(Phase::Soft);
    }

    /// Asks for the hard end.
    pub fn trigger_hard(&self) {
        self.raise(Phase::Hard);
    }

    /// Whether the soft end has been asked for.
    #[must_use]
    pub fn is_soft(&self) -> bool {
        self.0.has_reached(Phase::Soft)
    }

    /// Whether the hard end has come.
    #[must_use]
    pub fn is_hard(&self) -> bool {
        self.0.has_reached(Phase::Hard)
    }

    /// Returns once the end is known to come; at once when it was before.
    pub async fn leaving(&self) {
        self.reached(Phase::Leaving).await;
    }

    /// Returns once the soft end has been asked for; at once when it was before.
    pub async fn soft(&self) {
        self.reached(Phase::Soft).await;
    }

    /// Returns once the hard end has come.
    pub async fn hard(&self) {
        self.reached(Phase::Hard).await;
    }

    /// Leaves at the first of `signals`, and ends softly `delay` later, or when something else asked; hard at the next
    /// signal or `grace` after the first. Returns with the hard end; drop it when everything has ended before.
    pub async fn on_signals(&self, mut signals: Signals, delay: Duration, grace: Duration) {
        let signals = stream::poll_fn(|context| signals.poll(context).map(Some));
        self.escalate(signals, || tokio::time::sleep(delay), || tokio::time::sleep(grace)).await;
    }

    /// The steps of [`Self::on_signals`]; `delay` and `deadline` are called at the first signal.
    async fn escalate<W, D>(
        &self,
        mut signals: impl Stream<Item = ()> + Unpin,
        delay: impl FnOnce() -> W,
        deadline: impl FnOnce() -> D,
    ) where
        W: Future<Output = ()>,
        D: Future<Output = ()>,
    {
        tokio::select! {
            _ = signals.next() => {
                tracing::info!("ending: soon no new work is taken; a second signal ends at once");
                self.raise(Phase::Leaving);
            }
            () = self.soft() => {}
        }
        let soft = async {
            tokio::select! {
                () = delay() => self.trigger(),
                () = self.soft() => {}
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = signals.next() => tracing::warn!("ending at once: a second signal came"),
            () = deadline() => tracing::warn!("ending at once: the grace period is over"),
            () = self.hard() => {}
            () = soft => {}
        }
        self.trigger_hard();
    }

    fn raise(&self, to: Phase) {
        if self.0.phase.fetch_max(to as u8, Ordering::SeqCst) < to as u8 {
            self.0.changed.notify_waiters();
        }
    }

    fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + use<> {
        let steps = Arc::clone(&self.0);
        async move {
            loop {
                let changed = steps.changed.notified();
                tokio::pin!(changed);
                // Registered before the phase is looked at, or a change in between would wake nobody.
                changed.as_mut().enable();
                if steps.has_reached(phase) {
                    return;
                }
                changed.await;
            }
        }
    }
}

impl Steps {
    fn has_reached(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::SeqCst) >= phase as u8
    }
}

/// SIGTERM and SIGINT of this process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over; from now on they no longer end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Ready when a signal has come since the last time.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let terminate = self.terminate.poll_recv(context);
        if terminate.is_ready() { Poll::Ready(()) } else { self.interrupt.poll_recv(context).map(drop) }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn the_first_signal_is_soft_and_the_second_hard() {
        let shutdown = Shutdown::new();
        let (send, mut signals) = mpsc::channel::<()>(1);
        let (delay_over, delayed) = tokio::sync::oneshot::channel::<()>();
        let steps = shutdown.clone();
        let task = tokio::spawn(async move {
            let delay = async { drop(delayed.await) };
            steps.escalate(stream::poll_fn(|context| signals.poll_recv(context)), || delay, pending).await;
        });
        assert!(!shutdown.is_soft());
        send.send(()).await.unwrap();
        shutdown.leaving().await;
        assert!(!shutdown.is_soft(), "work is still taken during the delay");
        drop(delay_over);
        shutdown.soft().await;
        assert!(!shutdown.is_hard(), "one signal leaves time to finish");
        send.send(()).await.unwrap();
        shutdown.hard().await;
        task.await.unwrap();
    }

    #[tokio::test]
    async fn the_grace_period_runs_whoever_asked_for_the_end() {
        let shutdown = Shutdown::new();
        shutdown.trigger();
        shutdown.escalate(stream::pending(), pending, || ready(())).await;
        assert!(shutdown.is_hard());
    }

    #[tokio::test]
    async fn waiting_for_the_real_signals_can_be_a_task_of_its_own() {
        let shutdown = Shutdown::new();
        let signals = Signals::listen().unwrap();
        let waiting = shutdown.clone();
        let task =
            tokio::spawn(async move { waiting.on_signals(signals, Duration::ZERO, Duration::from_secs(3600)).await });
        shutdown.trigger_hard();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn waiting_works_before_and_after_and_hard_implies_soft() {
        let shutdown = Shutdown::new();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.soft().await }
        });
        shutdown.trigger_hard();
        shutdown.trigger();
        waiting.await.unwrap();
        shutdown.soft().await;
        shutdown.hard().await;
        assert!(shutdown.is_soft() && shutdown.is_hard(), "asking softly again takes nothing back");
    }
}
