//! `copy`: moves an embedded store into a PostgreSQL database. It may be broken off and run again.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::say;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::id::Seq;
use crate::domain::time::Timestamp;
use crate::store::postgres::{PostgresSettings, PostgresStore, Time};
use crate::store::sqlite::{DATABASE, CapacityLimits, SqliteSettings, SqliteStore};
use crate::store::whole::Checksum;
use crate::store::{AuditStore as _, ControlStore as _, Store as _};

/// Sessions of one transaction.
const PAGE: u32 = 500;

/// From where to where.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The embedded store, `embedded:DIR`; no node may have it open
    #[arg(long)]
    from: String,
    /// The database, `postgres://USER:PASSWORD@HOST/DATABASE`; it must be empty, or hold a part of this copy
    #[arg(long)]
    to: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = args.from.strip_prefix("embedded:").context("--from must be embedded:DIR")?;
    let folder = PathBuf::from(folder);
    if !folder.join(DATABASE).exists() {
        anyhow::bail!("there is no store in {}; name its folder with --from embedded:DIR", folder.display());
    }
    if !args.to.starts_with("postgres://") && !args.to.starts_with("postgresql://") {
        anyhow::bail!("--to must be postgres://USER:PASSWORD@HOST/DATABASE");
    }
    let room = CapacityLimits { queue_limit: u64::MAX, store_limit: None, min_free_disk: 0 };
    let from = SqliteStore::open(&SqliteSettings { folder, room, autostart: true }, SystemClock::new().now().wall)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(copy(&from, &args.to))
}

fn bar(sessions: u64, what: &'static str) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new(sessions);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.set_style(ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}")?);
    bar.set_message(what);
    Ok(bar)
}

async fn copy(from: &SqliteStore, url: &str) -> anyhow::Result<ExitCode> {
    let settings = PostgresSettings {
        url: url.to_owned(),
        connections: 4,
        queue_limit: u64::MAX,
        store_limit: None,
        autostart: false,
        time: Time::Database,
        patience: Duration::ZERO,
    };
    let to = PostgresStore::open(&settings, Timestamp(0)).await?;
    let (rest, counts) = (from.rest().await?, from.snapshot().await?.counts);
    let mut reached = to.begin_copy(&rest.secret).await?;
    if reached > Seq(0) {
        say(&format!("goes on after session {}", reached.0))?;
    }
    let copying = bar(counts.stored(), "copying")?;
    copying.set_position(to.snapshot().await?.counts.stored());
    loop {
        let page = from.whole(reached, PAGE).await?;
        let Some(last) = page.last() else { break };
        reached = last.session.seq;
        to.take_page(&page, &rest.secret).await?;
        copying.inc(page.len() as u64);
    }
    copying.finish_and_clear();
    let (sessions, sum) = verify(from, &to, counts.stored()).await?;
    to.end_copy(&rest, counts).await?;
    let there = to.snapshot().await?.counts;
    let made = to.controls().await?.1 == rest.controls && to.audit(None, 1).await?.pop().as_ref() == rest.audit.last();
    if !made {
        anyhow::bail!("what operators made differs from the copy; empty the database and copy again");
    }
    if there != counts {
        anyhow::bail!("the counts differ: {counts:?} became {there:?}; empty the database and copy again");
    }
    say(&format!(
        "copied {sessions} sessions, {} batches, {} erased keys, {} keys and other things that operators made; counts agree, checksum {}",
        rest.batches.len(),
        rest.erased.len(),
        rest.controls.len(),
        sum.get(..16).unwrap_or(&sum)
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads both sides and compares every session, whatever an earlier run copied.
async fn verify(from: &SqliteStore, to: &PostgresStore, sessions: u64) -> anyhow::Result<(u64, String)> {
    let checking = bar(sessions, "checking")?;
    let (mut here, mut there) = (Checksum::default(), Checksum::default());
    let (mut after, mut count) = (Seq(0), 0);
    loop {
        let (left, right) = (from.whole(after, PAGE).await?, to.whole(after, PAGE).await?);
        for whole in &left {
            here.add(whole);
        }
        for whole in &right {
            there.add(whole);
        }
        let differs = left.iter().zip(&right).find(|(left, right)| left != right).map(|(left, _)| left.session.seq);
        if left.len() != right.len() || differs.is_some() {
            let place = differs.unwrap_or(after).0;
            anyhow::bail!("the copy differs at or after session {place}; empty the database and copy again");
        }
        let Some(last) = left.last() else { break };
        after = last.session.seq;
        count += left.len() as u64;
        checking.inc(left.len() as u64);
    }
    checking.finish_and_clear();
    let (here, there) = (here.finish(), there.finish());
    if here != there {
        anyhow::bail!("the checksums differ: {here} became {there}; empty the database and copy again");
    }
    Ok((count, here))
}
