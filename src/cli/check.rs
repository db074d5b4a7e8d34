//! `check`: says what is wrong with settings, store and detector and how to mend it. It changes nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::HumanBytes;

use super::progress::working;
use super::{Env, complain, say};
use crate::config::{Config, Flags, StoreSettings, StoreUrl};

pub(super) fn run(flags: &Flags, env: Env) -> anyhow::Result<ExitCode> {
    let config = Config::load(flags, env)?;
    crate::logging::init(&config.log, config.log_format).map_err(anyhow::Error::msg)?;
    say("ok    settings")?;
    for note in &config.notes {
        say(&format!("note  {note}"))?;
    }
    let findings = [
        ("disk", disk(&config.store)),
        ("store", working("looking at the store", || crate::app::probe_store(&config))),
        ("replica", working("looking at the replica", || crate::app::probe_replica(&config))),
        ("detector", working("asking the detector", || crate::app::probe_detector(&config))),
    ];
    let mut code = ExitCode::SUCCESS;
    for (part, finding) in findings {
        match finding {
            Ok(found) => say(&format!("ok    {part}: {found}"))?,
            Err(e) => {
                complain(&format!("{part}: {e:#}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Whether the store's folder, or the folder it would be made in, can be written and has room.
fn disk(store: &StoreSettings) -> anyhow::Result<String> {
    let StoreUrl::Embedded(folder) = &store.url else { return Ok("not used".to_owned()) };
    let place = existing(folder)?;
    tempfile::tempfile_in(&place).with_context(|| {
        format!("{} cannot be written; grant this user the right, or set PLAYPROOF_STORE", place.display())
    })?;
    let disk =
        rustix::fs::statvfs(&place).with_context(|| format!("the disk of {} cannot be asked", place.display()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < store.min_free_disk {
        anyhow::bail!(
            "{} has {} free, less than PLAYPROOF_MIN_FREE_DISK, {}; make room or lower the setting",
            place.display(),
            HumanBytes(free),
            HumanBytes(store.min_free_disk)
        );
    }
    Ok(format!("{} can be written, {} free", place.display(), HumanBytes(free)))
}

/// The folder itself, or its nearest ancestor that exists.
fn existing(folder: &Path) -> anyhow::Result<PathBuf> {
    let absolute = std::path::absolute(folder).with_context(|| format!("{} is no path", folder.display()))?;
    let nearest = absolute.ancestors().find(|path| path.exists());
    let nearest = nearest.with_context(|| format!("no part of {} exists", absolute.display()))?;
    if nearest.is_dir() {
        return Ok(nearest.to_owned());
    }
    anyhow::bail!("{} is a file, not a folder; set PLAYPROOF_STORE to another place", nearest.display())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::Retention;

    fn store(folder: &Path, min_free_disk: u64) -> StoreSettings {
        let span = Duration::from_secs(1);
        StoreSettings {
            url: StoreUrl::Embedded(folder.to_owned()),
            read: None,
            limit: None,
            min_free_disk,
            connections: 2,
            queue_limit: 1,
            retention: Retention { results: span, telemetry: span, telemetry_flagged: span },
            retention_counts: span,
        }
    }

    #[test]
    fn a_new_folder_is_judged_by_its_parent_and_is_not_made() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        let told = disk(&store(&folder, 0)).unwrap();
        assert!(told.contains("iB free") && !told.contains("bytes"), "{told}");
        assert!(!parent.path().join("a").exists());
    }

    #[test]
    fn a_full_disk_and_a_file_in_the_way_name_the_setting_to_change() {
        let parent = tempfile::tempdir().unwrap();
        let full = format!("{:#}", disk(&store(parent.path(), u64::MAX)).unwrap_err());
        assert!(full.contains("PLAYPROOF_MIN_FREE_DISK, 16.00 EiB"), "{full}");
        let file = parent.path().join("file");
        std::fs::write(&file, "").unwrap();
        let blocked = format!("{:#}", disk(&store(&file.join("data"), 0)).unwrap_err());
        assert!(blocked.contains("is a file") && blocked.contains("PLAYPROOF_STORE"), "{blocked}");
    }
}
