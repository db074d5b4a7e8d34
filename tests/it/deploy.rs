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

/// The value that an expression compares a label with, for each `metric{...label="value"...}` of a text.
fn matched(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (at, _) in text.match_indices("playproof_") {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let Some((inside, _)) = rest[end..].strip_prefix('{').and_then(|matchers| matchers.split_once('}')) else {
            continue;
        };
        let plain = inside.split("\",").map(|one| one.trim_end_matches('"')).filter(|one| !one.contains("=~"));
        for (label, value) in plain.filter_map(|one| one.split_once("=\"")) {
            all.push((rest[..end].to_owned(), format!("{label}=\"{value}\"")));
        }
    }
    all
}

#[test]
fn every_label_that_alerts_and_dashboard_compare_with_has_that_value() {
    let exposition = Metrics::new().unwrap().render(None, playproof_batch::domain::time::Timestamp(0)).unwrap();
    let dashboard = file("deploy/grafana/dashboards/playproof.json").replace("\\\"", "\"");
    let named = [matched(&file("deploy/prometheus/alerts.yml")), matched(&dashboard)].concat();
    assert!(named.len() > 10, "hardly any label was found: {named:?}");
    for (metric, label) in named {
        let whole = ["_bucket", "_count", "_sum"].iter().find_map(|part| metric.strip_suffix(part)).unwrap_or(&metric);
        let mut lines = exposition.lines().filter(|line| line.starts_with(&format!("{metric}{{")));
        assert!(lazy(whole) || lines.any(|line| line.contains(&label)), "{metric} never has {label}");
    }
}

#[test]
fn every_panel_asks_the_chosen_source_and_nodes() {
    let dashboard: serde_json::Value = serde_json::from_str(&file("deploy/grafana/dashboards/playproof.json")).unwrap();
    let variables: Vec<&str> =
        dashboard["templating"]["list"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(variables, ["datasource", "instance", "objective"]);
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let metrics = expression.matches("playproof_").count() + expression.matches("up{").count();
            assert_eq!(expression.matches("instance=~\"$instance\"").count(), metrics, "{expression}");
        }
    }
    let titles: Vec<&str> = panels.iter().filter_map(|panel| panel["title"].as_str()).collect();
    for title in
        ["Drift", "Fallback", "Webhook deliveries", "Sessions to compare", "Error budget left", "Share of pass"]
    {
        assert!(titles.contains(&title), "no panel is called {title}");
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
