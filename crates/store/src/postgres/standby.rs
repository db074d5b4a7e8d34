//! What a server says of itself: whether it is a standby of the store's own server, knows this schema, and how far behind it
//! is.

use std::time::Duration;

use tokio_postgres::Client;

use super::address::{Address, Role};
use super::fault::Fault;
use super::pool::now;
use super::pooler;
use super::schema;
use crate::lists::ReplicaState;
use crate::{StoreError, StoreResult};

/// What tells a store from every other, and its standbys from copies that do not follow it.
#[derive(Clone)]
pub(super) struct Identity {
    database: String,
    /// The server's number, which its standbys share; `None` where it may not be asked for.
    cluster: Option<i64>,
    /// The schema's version, and the oldest version of this program that knows it; `None` where there is no schema.
    schema: Option<(i64, i64)>,
    /// `None` where there is no schema.
    secret: Option<Vec<u8>>,
}

pub(super) async fn identity(client: &Client) -> Result<Identity, Fault> {
    let database = client.query_one("SELECT current_database()::text", &[]).await?.try_get(0)?;
    let cluster = client.query_one("SELECT system_identifier FROM pg_control_system()", &[]).await;
    let cluster = cluster.ok().map(|row| row.try_get(0)).transpose()?;
    let schema = schema::version(client).await?;
    let secret = match schema {
        Some(_) => {
            client.query_opt("SELECT value FROM meta WHERE name = 'secret'", &[]).await?.map(|row| row.try_get(0))
        }
        None => None,
    };
    Ok(Identity { database, cluster, schema, secret: secret.transpose()? })
}

/// How far the store has come: the place in its log, where that can be asked for, and its clock, milliseconds.
pub(super) struct Position {
    place: Option<String>,
    wall: i64,
}

pub(super) async fn position(client: &Client) -> Result<Position, Fault> {
    let wall = client.query_one(&format!("SELECT {}", now("NULL")), &[]).await?.try_get(0)?;
    let place = client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await;
    Ok(Position { place: place.ok().map(|row| row.try_get(0)).transpose()?, wall })
}

/// What a look at the replica found.
pub(super) struct Found {
    is_standby: bool,
    identity: Identity,
    /// How far behind; `None` where it cannot be told.
    lag: Option<Duration>,
}

pub(super) async fn look(client: &Client, position: Option<&Position>) -> Result<Found, Fault> {
    let sql = "SELECT pg_is_in_recovery(), CASE \
               WHEN pg_wal_lsn_diff($1::text::pg_lsn, pg_last_wal_replay_lsn()) <= 0 THEN 0 \
               ELSE $2::bigint - (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000)::bigint END";
    let (place, wall) = position.map_or((None, None), |at| (at.place.as_deref(), Some(at.wall)));
    let row = client.query_one(sql, &[&place, &wall]).await?;
    let lag = row.try_get::<_, Option<i64>>(1)?.map(|lag| Duration::from_millis(lag.max(0).unsigned_abs()));
    Ok(Found { is_standby: row.try_get(0)?, lag, identity: identity(client).await? })
}

/// Whether lists may be read there, and else why not and what to do.
pub(super) fn judge(store: &Identity, found: &Found, max_lag: Duration) -> Result<(), (ReplicaState, String)> {
    let Found { is_standby, identity: Identity { database, cluster, schema, secret }, lag } = found;
    let one_cluster = store.cluster.zip(*cluster).is_none_or(|(one, other)| one == other);
    let one_secret = store.secret.as_ref().zip(secret.as_ref()).is_none_or(|(one, other)| one == other);
    if !one_cluster || !one_secret || *database != store.database {
        let why = "PLAYPROOF_STORE_READ leads to another store than PLAYPROOF_STORE; name a standby of the same server, and \
                   the same database";
        return Err((ReplicaState::Foreign, why.to_owned()));
    }
    if !is_standby {
        let why = "PLAYPROOF_STORE_READ leads to a server that is no standby: it follows nothing; name a streaming replica, \
                   or leave it out";
        return Err((ReplicaState::Foreign, why.to_owned()));
    }
    let version = schema.map_or(0, |(version, _)| version);
    if version < schema::VERSION || schema.is_some_and(|(_, oldest)| oldest > schema::VERSION) {
        let why = format!(
            "the replica has schema version {version} where this program needs {}; its server has not come so far yet",
            schema::VERSION
        );
        return Err((ReplicaState::Away, why));
    }
    match lag {
        Some(lag) if *lag > max_lag => {
            let why = format!("the replica is {} s behind the store, more than {}", lag.as_secs(), max_lag.as_secs());
            Err((ReplicaState::Behind, why))
        }
        _ => Ok(()),
    }
}

/// What a failed look means.
pub(super) fn trouble(fault: &Fault) -> (ReplicaState, String) {
    match fault {
        Fault::Store(StoreError::Unusable(why)) => (ReplicaState::Foreign, why.clone()),
        _ => (ReplicaState::Away, format!("the replica does not answer: {fault}")),
    }
}

/// Says how the replica at an address stands to the store at another, changing nothing.
///
/// # Errors
/// When the replica cannot be reached, is none of the store, has another schema version, or is further behind than `max_lag`.
pub async fn probe_replica(store: &str, replica: &str, max_lag: Duration) -> StoreResult<String> {
    let (store, replica) = (Address::parse(store)?, Address::of(Role::Replica, replica)?);
    let outcome = async {
        let own = briefly(&store, async |client| Ok((identity(client).await?, position(client).await?)));
        let (own, position) = own.await?;
        pooler::find(&replica).await.map_err(|fault| StoreError::Unusable(trouble(&fault).1))?;
        let found = briefly(&replica, async |client| look(client, Some(&position)).await).await;
        let found = found.map_err(|fault| StoreError::Unusable(trouble(&fault).1))?;
        let version = |identity: &Identity| identity.schema.map_or(0, |(version, _)| version);
        let (version, theirs) = (version(&own), version(&found.identity));
        judge(&own, &found, max_lag).map_err(|(_, why)| StoreError::Unusable(why))?;
        if theirs != version {
            let why =
                format!("the replica has schema version {theirs}, the store {version}; wait until it has caught up");
            return Err(StoreError::Unusable(why).into());
        }
        let behind = match found.lag {
            Some(Duration::ZERO) => "up to date".to_owned(),
            Some(lag) => format!("{:.1} s behind", lag.as_secs_f64()),
            None => "its lag cannot be told".to_owned(),
        };
        Ok(format!("{} follows the store, {behind}", replica.name()))
    };
    outcome.await.map_err(|fault: Fault| fault.for_callers())
}

/// Asks on a connection of its own.
async fn briefly<T>(address: &Address, question: impl AsyncFnOnce(&Client) -> Result<T, Fault>) -> Result<T, Fault> {
    let (client, connection) = address.connect().await?;
    let driven = tokio::spawn(connection);
    let answer = question(&client).await;
    drop(client);
    let _ = driven.await;
    answer
}
