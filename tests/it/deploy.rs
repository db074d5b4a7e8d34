//! What operators are given names only what there is: metrics in alerts and on the dashboard, alerts in the manual.

use std::collections::BTreeSet;
use std::path::Path;

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
