//! Where a database is and how to get there: read from an address, which is never shown.

use std::time::Duration;

use tokio_postgres::Socket;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::Fault;
use super::tls::{self, Trust};
use crate::{StoreError, StoreResult};

/// Longest to connect, and to wait for a free connection.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// Which database an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The store's own.
    Store,
    /// One that follows it and is only read.
    Replica,
}

impl Role {
    /// The setting with the address.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Self::Store => "PLAYPROOF_STORE",
            Self::Replica => "PLAYPROOF_STORE_READ",
        }
    }
}

/// How to reach the database, from its address.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) role: Role,
    config: tokio_postgres::Config,
    trust: Trust,
}

impl Address {
    /// Reads `postgres://USER:PASSWORD@HOST/DATABASE?...`. Errors don't repeat it: it may hold a password.
    pub(super) fn parse(url: &str) -> StoreResult<Self> {
        Self::of(Role::Store, url)
    }

    /// The address of a database with this role.
    pub(super) fn of(role: Role, url: &str) -> StoreResult<Self> {
        let refused = |why: String| {
            let setting = role.setting();
            StoreError::Unusable(format!("the address of the database cannot be used: {why}; see {setting}"))
        };
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut rest, mut mode, mut authorities) = (Vec::new(), "prefer", None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", value)) => authorities = Some(value.replace("%2F", "/").replace("%2f", "/")),
                _ => rest.push(pair),
            }
        }
        let cleaned = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        let mut config: tokio_postgres::Config = cleaned.parse().map_err(|e| refused(format!("{e}")))?;
        let trust = match (mode, authorities) {
            ("verify-full", Some(file)) => Trust::File(file),
            ("verify-full", None) => Trust::System,
            ("disable" | "prefer" | "require", _) => Trust::Anybody,
            _ => return Err(refused("sslmode must be disable, prefer, require or verify-full".to_owned())),
        };
        config.ssl_mode(match mode {
            "disable" => SslMode::Disable,
            "prefer" => SslMode::Prefer,
            _ => SslMode::Require,
        });
        config.connect_timeout(CONNECT);
        config.tcp_user_timeout(Duration::from_secs(12));
        config.keepalives(true).keepalives_idle(Duration::from_secs(5)).keepalives_interval(Duration::from_secs(3));
        config.keepalives_retries(3);
        if config.get_application_name().is_none() {
            config.application_name("playproof-batch");
        }
        Ok(Self { role, config, trust })
    }

    /// Host and database, without user and password.
    pub(super) fn name(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
            Some(tokio_postgres::config::Host::Unix(path)) => path.display().to_string(),
            None => "localhost".to_owned(),
        };
        format!("{host}/{}", self.config.get_dbname().unwrap_or("(default)"))
    }

    /// The word for its encryption in `sslmode`.
    pub(super) fn mode(&self) -> &'static str {
        match (&self.trust, self.config.get_ssl_mode()) {
            (_, SslMode::Disable) => "disable",
            (_, SslMode::Prefer) => "prefer",
            (Trust::Anybody, _) => "require",
            (Trust::System | Trust::File(_), _) => "verify-full",
        }
    }

    pub(super) fn config(&self) -> &tokio_postgres::Config {
        &self.config
    }

    pub(super) fn connector(&self) -> StoreResult<MakeRustlsConnect> {
        tls::connector(&self.trust).map_err(StoreError::Unavailable)
    }

    /// One connection beside the pool, whose messages the caller reads.
    pub(super) async fn connect(
        &self,
    ) -> Result<
        (
            tokio_postgres::Client,
            tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>,
        ),
        Fault,
    > {
        Ok(self.config.connect(self.connector()?).await?)
    }
}
