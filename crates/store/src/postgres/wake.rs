//! Telling and hearing of sessions that became ready, across nodes.
//!
//! A notification takes one lock of the whole database at commit, so it travels outside the transaction it is about, and
//! a node sends few. None is needed for correctness: whoever waits is also told every second.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_postgres::AsyncMessage;

use super::address::Address;
use super::core::Core;
use super::fault::Fault;
use super::notifier::Notifier;

/// Least time between two notifications of a node: 20 a second.
const SPACING: Duration = Duration::from_millis(50);
/// How often whoever waits looks without being told.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after the connection that listens was lost.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Sends what was notified to the other nodes, until the store is dropped.
pub(super) async fn tell(store: Weak<Core>, notifier: Arc<Notifier>) {
    loop {
        notifier.far.notified().await;
        let Some(store) = store.upgrade() else { return };
        // One that is lost is made up for by polling.
        let _ = notify(&store).await;
        drop(store);
        tokio::time::sleep(SPACING).await;
    }
}

async fn notify(store: &Core) -> Result<(), Fault> {
    let held = store.pool.get().await?;
    let statement = held.prepare_cached("SELECT pg_notify('playproof_ready_' || current_schema(), '')").await?;
    held.execute(&statement, &[]).await?;
    held.release();
    Ok(())
}

/// Listens, and tells who waits on this node also every second; `listening` hears when the first attempt is over. Without an
/// address, behind a pooler where nothing is ever heard, it tells every second alone.
pub(super) async fn listen(
    store: Weak<Core>,
    notifier: Arc<Notifier>,
    address: Option<Address>,
    listening: oneshot::Sender<()>,
) {
    let mut first = Some(listening);
    let polling = async {
        let mut every = tokio::time::interval(POLL_INTERVAL);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if store.strong_count() == 0 {
                return;
            }
            notifier.notify_here();
        }
    };
    let hearing = async {
        let Some(address) = address else {
            first.take();
            return std::future::pending().await;
        };
        loop {
            if let Err(fault) = hear(&notifier, &address, &mut first).await {
                tracing::debug!(error = %fault, "not listening; the queue is polled");
            }
            first.take();
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    };
    tokio::select! {
        () = polling => {}
        () = hearing => {}
    }
}

/// Hears notifications until the connection is lost.
async fn hear(notifier: &Notifier, address: &Address, first: &mut Option<oneshot::Sender<()>>) -> Result<(), Fault> {
    let (client, mut connection) = address.connect().await?;
    let mut registered = std::pin::pin!(async {
        let schema: String =
            client.query_one("SELECT quote_ident('playproof_ready_' || current_schema())", &[]).await?.get(0);
        client.batch_execute(&format!("LISTEN {schema}")).await
    });
    let mut done = false;
    loop {
        tokio::select! {
            outcome = &mut registered, if !done => {
                outcome?;
                done = true;
                // Whatever came before: look once more, now that nothing can be missed.
                notifier.notify_here();
                first.take();
            }
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(_))) => notifier.notify_here(),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Fault::Unreachable("the connection that listens was closed".to_owned())),
            },
        }
    }
}
