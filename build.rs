//! Gives a release build its version with the commit: `0.1.0 (1a2b3c4d5e6f)`. Where there is no repository, such as in an
//! archive of the sources, `PLAYPROOF_COMMIT` names it, or nothing does.

#![expect(clippy::disallowed_methods, reason = "what cargo tells a build script is in its environment")]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PLAYPROOF_COMMIT");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    // A test build is the same whatever was committed last.
    let commit = if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") { commit() } else { None };
    let version = commit.map_or_else(|| version.clone(), |commit| format!("{version} ({commit})"));
    println!("cargo::rustc-env=PLAYPROOF_VERSION={version}");
}

fn commit() -> Option<String> {
    if let Ok(commit) = std::env::var("PLAYPROOF_COMMIT") {
        return Some(commit).filter(|commit| !commit.is_empty());
    }
    // The sources may lie unpacked in somebody else's repository.
    let home = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&home).canonicalize().ok()? != Path::new(".").canonicalize().ok()? {
        return None;
    }
    for watched in ["HEAD", "logs/HEAD"] {
        println!("cargo::rerun-if-changed={}", git(&["rev-parse", "--git-path", watched])?);
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let told = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?.trim().to_owned();
    (told.status.success() && !text.is_empty()).then_some(text)
}
