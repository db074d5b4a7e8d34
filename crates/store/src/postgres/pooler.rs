//! A pooler between this node and the database that gives each transaction whichever server connection is free, such as
//! PgBouncer with `pool_mode = transaction`.
//!
//! What a session holds does not hold there: settings (they must be the role's own), a `LISTEN` (the queue is polled, as
//! it is anyway) and, unless the pooler keeps them, prepared statements. The store needs nothing else of a session: its
//! locks are a transaction's, and it has no temporary tables and no cursors.

use std::fmt::Write as _;
use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use super::address::{Address, Role};
use super::fault::{self, Fault};
use crate::StoreError;

/// Longest to wait for a second server connection of the pooler; it may have one only.
const SECOND: Duration = Duration::from_secs(2);

/// For every connection, as `SHOW` shows them. A commit is on disk before it is answered, whatever the database's default
/// is; every statement of this store finds its rows by an index, also before the planner has learned how many there will
/// be, and is over before a second worker has started.
const SESSION: [(&str, &str); 11] = [
    ("synchronous_commit", "on"),
    ("statement_timeout", "10s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "15s"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_bitmapscan", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// Sets [`SESSION`] for as long as the connection lives.
pub(super) fn session_sql() -> String {
    let each = SESSION.iter().map(|(name, value)| format!("SET {name} = '{value}'; "));
    each.chain(["SET client_min_messages = warning; SET timezone = 'UTC'".to_owned()]).collect()
}

/// What a connection of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// A session of the database, for as long as it lives.
    Sessions,
    /// The connection of a pooler, which gives each transaction a session.
    Transactions,
}

/// Which server process answers on a connection.
async fn process(client: &Client) -> Result<String, Fault> {
    let rows = client.simple_query("SELECT pg_backend_pid()").await?;
    let found = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    found.ok_or_else(|| Fault::Unreachable("the database does not say who answers".to_owned()))
}

/// Finds out what the connections at an address are: over a pooler of transactions one connection gets another server
/// process while a second connection keeps its own in a transaction.
///
/// # Errors
/// When the database cannot be reached, or the pooler cannot be used as it is set.
pub(super) async fn find(address: &Address) -> Result<Pooling, Fault> {
    let ((one, driven), (other, also_driven)) = tokio::try_join!(address.connect(), address.connect())?;
    let driven = [tokio::spawn(driven), tokio::spawn(also_driven)];
    let found = look(&one, &other, address.role).await;
    drop((one, other));
    for connection in driven {
        let _ = connection.await;
    }
    found
}

async fn look(one: &Client, other: &Client, role: Role) -> Result<Pooling, Fault> {
    let (first, again) = (process(one).await?, process(one).await?);
    // A pooler of statements refuses this.
    if let Err(error) = other.batch_execute("BEGIN").await {
        let error = Fault::from(error);
        let message = format!(
            "{} leads to a pooler that takes no transactions ({error}); set pool_mode to transaction or session",
            role.setting()
        );
        return Err(StoreError::Unusable(message).into());
    }
    let held = process(other).await?;
    let is_pooled = first != again || first == held || {
        let third = tokio::time::timeout(SECOND, process(one)).await;
        third.is_ok_and(|third| third.is_ok_and(|third| third != first))
    };
    other.batch_execute("ROLLBACK").await?;
    if !is_pooled {
        return Ok(Pooling::Sessions);
    }
    keeps_statements(one, other, role).await?;
    if let Some(lacking) = lacking(one, role).await? {
        return Err(StoreError::Unusable(lacking).into());
    }
    Ok(Pooling::Transactions)
}

/// Refuses a pooler that loses what was prepared on another of its server connections.
async fn keeps_statements(one: &Client, other: &Client, role: Role) -> Result<(), Fault> {
    let outcome = async {
        let statement = one.prepare("SELECT 1").await?;
        // The pooler hands out last what it got back last, so this is where the statement is.
        other.batch_execute("BEGIN").await?;
        other.simple_query("SELECT 1").await?;
        let elsewhere = tokio::time::timeout(SECOND, one.query(&statement, &[])).await;
        other.batch_execute("ROLLBACK").await?;
        // With one server connection only there is no elsewhere.
        elsewhere.map_or(Ok(()), |answer| answer.map(drop))
    };
    match outcome.await {
        Err(error) if error.code().is_some_and(fault::is_of_statements) => {
            Err(StoreError::Unusable(format!("{}: {}", role.setting(), fault::STATEMENTS)).into())
        }
        outcome => Ok(outcome?),
    }
}

/// What the settings of [`SESSION`] lack on the server connection that a pooler gives now; `None` where they are all as they
/// must be.
pub(super) async fn lacking(client: &Client, role: Role) -> Result<Option<String>, tokio_postgres::Error> {
    let names: Vec<String> = SESSION.iter().map(|(name, _)| format!("current_setting('{name}')")).collect();
    let rows = client.simple_query(&format!("SELECT {}", names.join(", "))).await?;
    let mut wrong = String::new();
    for message in &rows {
        let SimpleQueryMessage::Row(row) = message else { continue };
        for (place, (name, value)) in SESSION.iter().enumerate() {
            if row.get(place) != Some(value) {
                let _ = write!(wrong, "ALTER ROLE CURRENT_USER SET {name} = '{value}'; ");
            }
        }
    }
    let setting = role.setting();
    Ok((!wrong.is_empty()).then(|| {
        format!(
            "{setting} leads to a pooler of transactions, where a node cannot set what it needs for its connections; give it \
             to the database's user, then let the pooler connect anew (RECONNECT): {}",
            wrong.trim_end()
        )
    }))
}
