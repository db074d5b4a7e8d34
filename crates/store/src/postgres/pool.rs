//! Connections to the database: how many, how made, how long each may take, and what happens when there are none.
//!
//! A connection whose work did not end well is closed, never used again: what it was doing is not known.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::{Connect, Hook, HookError, Manager, ManagerConfig, Object, PoolError, RecyclingMethod};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, CONNECT, Role};
use super::fault::Fault;
use super::pooler::{self, Pooling, session_sql};
use crate::{StoreError, StoreResult};

/// Pauses between attempts to connect while the database is away.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// SQL for the time that counts: the parameter `number` where a test gives one, else the database's clock.
pub(super) fn now(number: &str) -> String {
    format!("coalesce({number}::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)")
}

/// Connects on the runtime that the store was opened on, whoever asks: a connection is driven where it was made, and one made
/// by work of low priority would slow down whoever gets it next.
struct Home {
    runtime: Handle,
    connector: MakeRustlsConnect,
}

impl Connect for Home {
    fn connect(
        &self,
        config: &tokio_postgres::Config,
    ) -> BoxFuture<'_, Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error>> {
        let (config, connector) = (config.clone(), self.connector.clone());
        let made = async move {
            let (client, connection) = config.connect(connector).await?;
            let driven = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::warn!(%error, "a connection to the database ended");
                }
            });
            Ok((client, driven))
        };
        let runtime = self.runtime.clone();
        Box::pin(async move {
            match runtime.spawn(made).await {
                Ok(made) => made,
                Err(died) if died.is_panic() => std::panic::resume_unwind(died.into_panic()),
                // The runtime ends, and the process with it.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// When the next attempt to connect is worth its while.
#[derive(Default)]
struct Patience {
    failures: u32,
    until: Option<Instant>,
    why: String,
}

/// The connections.
pub(super) struct Pool {
    role: Role,
    connections: deadpool_postgres::Pool,
    patience: Mutex<Patience>,
}

impl Pool {
    /// No connection is made yet.
    pub(super) fn new(address: &Address, pooling: Pooling, most: usize) -> StoreResult<Self> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let home = Home { runtime: Handle::current(), connector: address.connector()? };
        let manager = Manager::from_connect(address.config().clone(), home, recycling);
        let role = address.role;
        let settings = Hook::async_fn(move |client, _| {
            Box::pin(async move {
                match pooling {
                    Pooling::Sessions => client.batch_execute(&session_sql()).await.map_err(HookError::Backend),
                    // They would be set for whoever has that server's connection next, and not for us.
                    Pooling::Transactions => match pooler::lacking(client, role).await {
                        Ok(None) => Ok(()),
                        Ok(Some(lacking)) => Err(HookError::Message(lacking.into())),
                        Err(error) => Err(HookError::Backend(error)),
                    },
                }
            })
        });
        let connections = deadpool_postgres::Pool::builder(manager)
            .max_size(most)
            .wait_timeout(Some(CONNECT))
            .create_timeout(Some(CONNECT))
            .recycle_timeout(Some(CONNECT))
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .post_create(settings)
            .build()
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(Self { role, connections, patience: Mutex::new(Patience::default()) })
    }

    /// A connection. While the database is away most calls fail at once and one now and then tries.
    pub(super) async fn get(&self) -> Result<Held, Fault> {
        {
            let patience = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
            if patience.until.is_some_and(|until| Instant::now() < until) {
                return Err(Fault::Unreachable(patience.why.clone()));
            }
        }
        let outcome = self.connections.get().await;
        let mut patience = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(object) => {
                if patience.failures > 0 && self.role == Role::Store {
                    tracing::info!("the database answers again");
                }
                *patience = Patience::default();
                Ok(Held { object: Some(object), done: false })
            }
            Err(PoolError::Timeout(deadpool_postgres::TimeoutType::Wait)) => {
                Err(Fault::Unreachable("every connection to the database is busy".to_owned()))
            }
            Err(error) => {
                let fault = match error {
                    PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                        Fault::Engine(error)
                    }
                    PoolError::PostCreateHook(HookError::Message(why)) => Fault::Unreachable(why.into_owned()),
                    other => Fault::Unreachable(format!("no connection to the database: {other}")),
                };
                let pause = FIRST_PAUSE.saturating_mul(1 << patience.failures.min(8)).min(MAX_PAUSE);
                // Whoever watches a replica says so.
                if patience.failures == 0 && self.role == Role::Store {
                    tracing::error!(error = %fault, "the database cannot be reached; attempts go on");
                }
                patience.failures += 1;
                patience.until = Some(Instant::now() + pause);
                patience.why = fault.to_string();
                Err(fault)
            }
        }
    }

    /// Gives up every connection; those in use when they are done.
    pub(super) fn close(&self) {
        self.connections.close();
    }
}

/// A connection in use. One that is dropped without [`Held::release`] is closed.
pub(super) struct Held {
    object: Option<Object>,
    done: bool,
}

impl Held {
    /// The work on it ended well; others may have it.
    pub(super) fn release(mut self) {
        self.done = true;
    }
}

impl Deref for Held {
    type Target = Object;

    #[expect(clippy::expect_used, reason = "the connection is taken in drop only")]
    fn deref(&self) -> &Object {
        self.object.as_ref().expect("a connection is held until it is dropped")
    }
}

impl DerefMut for Held {
    #[expect(clippy::expect_used, reason = "the connection is taken in drop only")]
    fn deref_mut(&mut self) -> &mut Object {
        self.object.as_mut().expect("a connection is held until it is dropped")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(object) = self.object.take()
            && !self.done
        {
            drop(Object::take(object));
        }
    }
}

/// Longest that one call of the store may take, statements and waits together.
pub(super) const CALL: Duration = Duration::from_secs(20);
/// How often a transaction is run again that was in another's way.
pub(super) const TRIES: u32 = 8;

/// Runs an expression that makes a future of `Result<T, Fault>`, again after collisions, within the time of a call.
macro_rules! called {
    ($run:expr) => {{
        let attempts = async {
            let mut tries = 0;
            loop {
                match $run.await {
                    Err(fault) if fault.is_a_collision() && tries < $crate::postgres::pool::TRIES => {
                        tries += 1;
                        let pause = rand::random_range(1..=20u64 << tries.min(4));
                        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
                    }
                    outcome => break outcome,
                }
            }
        };
        match tokio::time::timeout($crate::postgres::pool::CALL, attempts).await {
            Ok(outcome) => outcome.map_err(|fault| fault.for_callers()),
            Err(_) => {
                let message = "the database did not answer in time".to_owned();
                Err($crate::StoreError::Unavailable(message))
            }
        }
    }};
}
pub(super) use called;
