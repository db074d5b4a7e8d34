//! `evaluate`: what a model is worth on sessions whose truth is known.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Value, json};

use super::train::{bytes_bar, note, open_model};
use crate::detector::embedded::Model;
use crate::domain::features::Extractor;
use crate::domain::result::Thresholds;
use crate::offline::evaluation::{Evaluation, Figure, MIN_USERS, Rates, Scored, evaluate};
use crate::offline::labels::Labels;
use crate::offline::{load, protocol};

/// Measure a model on labelled sessions.
///
/// Prints, overall and per bot family, how well its scores rank bots above humans, how many bots it catches when 1 % or
/// 0.3 % of humans may be wrongly accused, and which decisions humans and bots get, with 95 % intervals.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sessions: NDJSON, plain, .gz or .zst, or `-` for standard input
    #[arg(long, required = true, value_name = "INPUT")]
    sessions: Vec<PathBuf>,

    /// CSV with sessionId, label (human or bot), family, source, user, variant; sessions without a label are left out
    #[arg(long, required = true, value_name = "CSV")]
    labels: Vec<PathBuf>,

    /// Model file; the bundled model without it
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,

    /// Up to this score a session passes
    #[arg(long, default_value_t = Thresholds::default().pass)]
    threshold_pass: f64,

    /// Up to this score it is reviewed, above it fails
    #[arg(long, default_value_t = Thresholds::default().review)]
    threshold_review: f64,

    /// Seed of the intervals
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Fail when a line is refused
    #[arg(long)]
    strict: bool,
}

/// Runs the command.
///
/// # Errors
/// When files cannot be read or nothing in them is labelled; one sentence with the mend.
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments whole")]
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let thresholds = Thresholds { pass: args.threshold_pass, review: args.threshold_review, ..Thresholds::default() };
    let ordered = thresholds.pass < thresholds.review;
    if !ordered {
        bail!("--threshold-pass must be below --threshold-review");
    }
    let model = args.model.as_deref().map_or_else(|| Ok(Model::bundled()?), open_model)?;
    let labels = Labels::open(&args.labels)?;
    let (mut refused, mut unlabelled) = (0u64, 0u64);
    let bar = bytes_bar(&args.sessions);
    let scored = load::each(
        &args.sessions,
        <(Extractor, Vec<f64>)>::default,
        |buffers, session| {
            let label = labels.get(session.id.as_str());
            Some(label.map(|label| protocol::scored(&protocol::verdict(&model, &session, &thresholds, buffers), label)))
        },
        |sentence| {
            refused += 1;
            bar.suspend(|| note(&sentence));
        },
        |progress| bar.set_position(progress.read()),
    );
    bar.finish_and_clear();
    let scored: Vec<Scored> = scored?
        .into_iter()
        .filter_map(|found| {
            unlabelled += u64::from(found.is_none());
            found
        })
        .collect();
    if scored.is_empty() {
        bail!("none of the sessions has a label; the labels' sessionId must be that of the sessions");
    }
    let evaluation = evaluate(&scored, args.seed);
    let text = if args.json {
        serde_json::to_string_pretty(&as_json(&evaluation, &model, refused, unlabelled))? + "\n"
    } else {
        as_text(&evaluation, &model, refused, unlabelled)
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(if args.strict && refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn as_text(evaluation: &Evaluation, model: &Model, refused: u64, unlabelled: u64) -> String {
    let identity = model.identity();
    let mut text =
        format!("model {} version {}, feature set {}\n", identity.id, identity.version, model.feature_set().name());
    let mut line = |args: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = text.write_fmt(args);
        text.push('\n');
    };
    if refused > 0 {
        line(format_args!("left out: {refused} refused lines"));
    }
    if unlabelled > 0 {
        line(format_args!("left out: {unlabelled} sessions without a label"));
    }
    line(format_args!(
        "\n{:<20} {:>8} {:>6}  {:<19} {:<19} {:<19} {:<19}",
        "humans of", "sessions", "users", "pass", "review", "fail", "abstained"
    ));
    for humans in &evaluation.humans {
        let Rates { pass, review, fail, abstained } = &humans.decisions;
        let few =
            if humans.users < MIN_USERS { format!(" (under {MIN_USERS} users: no interval)") } else { String::new() };
        line(format_args!(
            "{:<20} {:>8} {:>6}  {:<19} {:<19} {:<19} {:<19}{few}",
            humans.source,
            humans.sessions,
            humans.users,
            shown(pass),
            shown(review),
            shown(fail),
            shown(abstained)
        ));
    }
    let head = ["ROC-AUC", "PR-AUC", "TPR at 1 %", "TPR at 0.3 %", "pass", "review", "fail", "abstained"];
    let cells = |cells: [String; 8]| cells.iter().fold(String::new(), |line, cell| format!("{line} {cell:<19}"));
    line(format_args!("\n{:<20} {:>8} {}", "bots", "sessions", cells(head.map(str::to_owned))));
    for bots in &evaluation.bots {
        let d = &bots.decisions;
        let figures = [
            &bots.roc_auc,
            &bots.pr_auc,
            &bots.tpr_at_1_percent,
            &bots.tpr_at_0_3_percent,
            &d.pass,
            &d.review,
            &d.fail,
            &d.abstained,
        ];
        line(format_args!("{:<20} {:>8} {}", bots.family, bots.sessions, cells(figures.map(shown))));
    }
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn shown(figure: &Figure) -> String {
    match figure.interval {
        Some((low, high)) => format!("{:.3} [{low:.3} {high:.3}]", figure.value),
        None => format!("{:.3}", figure.value),
    }
}

fn as_json(evaluation: &Evaluation, model: &Model, refused: u64, unlabelled: u64) -> Value {
    let figure = |f: &Figure| json!({ "value": f.value, "interval95": f.interval.map(|(low, high)| [low, high]) });
    let rates = |r: &Rates| {
        json!({
            "pass": figure(&r.pass), "review": figure(&r.review), "fail": figure(&r.fail), "abstained": figure(&r.abstained)
        })
    };
    let humans: Vec<Value> = evaluation
        .humans
        .iter()
        .map(|h| {
            json!({
                "source": h.source, "sessions": h.sessions, "users": h.users,
                "tooFewUsersForIntervals": h.users < MIN_USERS, "decisions": rates(&h.decisions),
            })
        })
        .collect();
    let bots: Vec<Value> = evaluation
        .bots
        .iter()
        .map(|b| {
            json!({
                "family": b.family, "sessions": b.sessions, "rocAuc": figure(&b.roc_auc), "prAuc": figure(&b.pr_auc),
                "tprAt1PercentFpr": figure(&b.tpr_at_1_percent), "tprAt0_3PercentFpr": figure(&b.tpr_at_0_3_percent),
                "decisions": rates(&b.decisions),
            })
        })
        .collect();
    let identity = model.identity();
    json!({
        "modelId": identity.id, "modelVersion": identity.version, "featureSet": model.feature_set().name(),
        "refused": refused, "unlabelled": unlabelled, "humans": humans, "bots": bots,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::domain::result::Decision;
    use crate::offline::evaluation::{Ranked, ranking};

    /// Recordings may not be shipped; where they lie beside the repository, the bundled model must keep its figures.
    #[test]
    fn the_bundled_model_keeps_its_figures() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/sessions");
        let (sessions, labels) = (folder.join("devtest.ndjson.zst"), folder.join("devtest_labels.csv"));
        if !sessions.exists() {
            note("skipped: no recordings beside the repository");
            return;
        }
        let model = Model::bundled().unwrap();
        let labels = Labels::open(&[labels]).unwrap();
        let (flagged, lowered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut falling = load::each(
            &[sessions],
            <(Extractor, Vec<f64>)>::default,
            |(extractor, row), session| {
                let human = labels.get(session.id.as_str())?.human;
                extractor.extract(model.feature_set(), &session, row);
                let assessed = model.assess(row);
                let supported_score = assessed.calibrated.supported_score;
                let decision = Thresholds::default().decide(supported_score);
                if let (Some(top), true) = (model.explain(row).first(), decision != Decision::Pass) {
                    // What moved the score most, put to the middle of what people have, takes something off it.
                    row[top.index] = f64::midpoint(top.range.0, top.range.1);
                    let lower = model.assess(row).raw < assessed.raw;
                    flagged.fetch_add(1, Ordering::Relaxed);
                    lowered.fetch_add(usize::from(lower), Ordering::Relaxed);
                }
                Some((Ranked { raw: assessed.raw, human, weight: 1.0 }, decision))
            },
            |refused| panic!("{refused}"),
            |_| (),
        )
        .unwrap();
        let (flagged, lowered) = (flagged.into_inner(), lowered.into_inner());
        assert!(
            lowered * 100 >= flagged * 95,
            "{lowered} of {flagged} flagged sessions lose by losing what moved them most"
        );
        falling.sort_by(|a, b| b.0.raw.total_cmp(&a.0.raw));
        let ranked: Vec<Ranked> = falling.iter().map(|(ranked, _)| *ranked).collect();
        let figures = ranking(&ranked).unwrap();
        assert!(figures.roc_auc > 0.97 && figures.tpr_at_1_percent > 0.85, "{figures:?}");
        let humans = falling.iter().filter(|(r, _)| r.human).count();
        let passed = falling.iter().filter(|(r, d)| r.human && *d == Decision::Pass).count();
        let failed = falling.iter().filter(|(r, d)| r.human && *d == Decision::Fail).count();
        assert!(passed * 100 > humans * 80 && failed * 100 < humans, "{passed} pass and {failed} fail of {humans}");
        // Sessions with too little motion to be judged share their few raw scores; all others have their own.
        let mut raws: Vec<u64> = ranked.iter().map(|r| r.raw.to_bits()).collect();
        raws.sort_unstable();
        raws.dedup();
        assert!(raws.len() * 100 > ranked.len() * 95, "{} raw scores of {} sessions", raws.len(), ranked.len());
    }

    #[test]
    fn tables_have_no_minus_zero_and_say_when_users_are_few() {
        let scored: Vec<Scored> = (0..40)
            .map(|i| Scored {
                human: i % 2 == 0,
                family: if i % 2 == 0 { "human".into() } else { "script".into() },
                source: "lab".into(),
                user: format!("u{}", i % 6),
                raw: f64::from(i),
                score: 0.0,
                decision: Decision::Pass,
                abstained: false,
            })
            .collect();
        let evaluation = evaluate(&scored, 1);
        let text = as_text(&evaluation, &Model::bundled().unwrap(), 2, 0);
        assert!(
            !text.contains("-0.0") && text.contains("under 10 users") && text.contains("2 refused lines"),
            "{text}"
        );
        let json = as_json(&evaluation, &Model::bundled().unwrap(), 2, 0);
        assert_eq!(json["humans"][0]["tooFewUsersForIntervals"], true);
        assert_eq!(json["bots"][1]["family"], "script");
    }
}
