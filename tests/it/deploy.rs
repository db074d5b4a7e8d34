//! What operators are given names only what there is: metrics in alerts and on the dashboard, alerts in the manual.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use playproof_batch::metrics::Metrics;

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Words of `text` that start so.
fn words(text: &str, start: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(start)).map(str::to_owned).collect()
}

#[test]
fn every_metric_that_alerts_and_dashboard_name_exists() {
    let exposition = Metrics::new().unwrap().render(None, playproof_batch::domain::time::Timestamp(0)).unwrap();
    let there: BTreeSet<&str> =
        exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for name in ["deploy/prometheus/alerts.yml", "deploy/grafana/dashboards/playproof.json"] {
        let named = words(&file(name), "playproof_");
        assert!(named.len() > 5, "{name} names hardly any metric: {named:?}");
        for metric in named {
            let parts = ["_bucket", "_count", "_sum"];
            let whole = parts.iter().find_map(|part| metric.strip_suffix(part)).unwrap_or(&metric);
            // Series of a histogram, or the metric itself; one without a sample yet is known by its family.
            let known = there.contains(metric.as_str()) || there.contains(whole) || lazy(whole);
            assert!(known, "{name} names {metric}, which does not exist");
        }
    }
}

/// Families whose series come with the routes, which a test without a server has none of.
fn lazy(name: &str) -> bool {
    name == "playproof_http_request_duration_seconds"
}

#[test]
fn every_alert_is_explained() {
    let manual = file("docs/operate.md");
    for line in file("deploy/prometheus/alerts.yml").lines() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            assert!(manual.contains(&format!("### {alert}")), "docs/operate.md says nothing of {alert}");
        }
    }
}

/// Runs a program in the repository; what it prints.
fn run(program: &str, args: &[&str]) -> String {
    let done = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_release_is_an_archive_a_package_and_their_checksums() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    // Without what debuggers need it is packed in a moment.
    let program = folder.path().join("program");
    run("strip", &["-o", program.to_str().unwrap(), env!("CARGO_BIN_EXE_playproof-batch")]);
    let told = run("scripts/release", &["--binary", program.to_str().unwrap(), "--out", out]);
    let files: Vec<&str> = told.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let named = |end: &str| format!("{out}/{}", files.iter().find(|name| name.ends_with(end)).unwrap());
    run("sh", &["-c", &format!("cd {out} && sha256sum --check --strict SHA256SUMS")]);

    let archive = run("tar", &["-tzf", &named(".tar.gz")]);
    for inside in ["playproof-batch", "LICENSE", "docs/operate.md", "completions/zsh", "man/playproof-batch.1"] {
        assert!(archive.lines().any(|line| line.ends_with(&format!("/{inside}"))), "{inside}");
    }
    let unpacked = folder.path().join("unpacked");
    run("dpkg-deb", &["--extract", &named(".deb"), unpacked.to_str().unwrap()]);
    let installed = |name: &str| std::fs::read_to_string(unpacked.join(name)).unwrap();
    let version = run(unpacked.join("usr/bin/playproof-batch").to_str().unwrap(), &["--version"]);
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    assert!(
        installed("lib/systemd/system/playproof-batch.service").contains("ExecStart=/usr/bin/playproof-batch serve")
    );
    assert_eq!(run("dpkg-deb", &["--field", &named(".deb"), "Version"]).trim(), env!("CARGO_PKG_VERSION"));

    // What is linked in is named, and what only tests it is not.
    let materials: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(named(".cdx.json")).unwrap()).unwrap();
    let components: Vec<&str> =
        materials["components"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(["tokio", "rustls", "playproof-domain"].iter().all(|name| components.contains(name)), "{components:?}");
    assert!(!components.contains(&"proptest"));
}

#[test]
fn what_runs_in_production_is_private_and_holds_no_simulator() {
    assert!(file("deploy/playproof-batch.service").lines().any(|line| line == "UMask=0077"));
    let dockerfile = file("deploy/Dockerfile");
    let production = dockerfile.rsplit_once("\nFROM ").unwrap().1;
    assert!(production.contains("playproof-batch") && !production.contains("woodwide-sim"), "{production}");
    let compose = file("deploy/compose.yaml");
    assert!(!compose.contains("simulator:4010"), "nodes ask a simulator");
    for line in compose.lines().filter(|line| line.contains("PASSWORD") && !line.starts_with('#')) {
        assert!(line.contains("${") && line.contains(":?"), "a password that everybody knows: {line}");
    }
}
