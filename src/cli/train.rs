//! `train`: a model file from recordings of people.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::detector::embedded::Model;
use crate::detector::embedded::train::{self, Example, Material, Recipe, Report, Stage};
use crate::domain::features::FeatureSet;
use crate::domain::session::Session;
use crate::offline::labels::Labels;
use crate::offline::load;

/// Fit and calibrate a model of the embedded detector on recordings of people.
///
/// No recordings of bots are needed: counterexamples are made from the people's own sessions; recorded ones help. The same input and seed
/// give the same file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sessions to fit on: NDJSON, plain, .gz or .zst, or `-` for standard input
    #[arg(required = true, value_name = "INPUT")]
    input: Vec<PathBuf>,

    /// Sessions of other people to calibrate on; without them some of INPUT's people are kept apart for it
    #[arg(long, value_name = "INPUT", num_args = 1..)]
    calibration: Vec<PathBuf>,

    /// CSV with sessionId, label and optionally source and user: sessions labelled bot in INPUT are then learned from as
    /// bots, unlabelled ones are left out, and nobody is both fitted on and calibrated on
    #[arg(long, value_name = "CSV")]
    labels: Vec<PathBuf>,

    /// Leave out the sessions of a source, as `source=NAME` (needs --labels)
    #[arg(long, value_name = "source=NAME", value_parser = parse_exclusion)]
    exclude: Vec<String>,

    /// Adapt this model to a site in place of starting anew: INPUT are the site's own people. 200 of their sessions set
    /// the cut between pass and review, 316 that between review and fail; from 632 on, half of them are learned from
    #[arg(long, value_name = "MODEL")]
    base: Option<PathBuf>,

    /// Share of INPUT's sessions, by whole people, that calibrate; 0.25 without --calibration, else 0; with --base as
    /// said there
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    hold_out: Option<f64>,

    /// Feature set: v3, v2 or v1; that of --base, else v3
    #[arg(long, value_name = "SET", value_parser = parse_set)]
    set: Option<FeatureSet>,

    /// Seed of everything drawn at random
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Fail when a line is refused
    #[arg(long)]
    strict: bool,

    /// Where the model file goes
    #[arg(short, long, value_name = "MODEL")]
    output: PathBuf,
}

fn parse_exclusion(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("source", name)) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err("write source=NAME".to_owned()),
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "write a number from 0 to 0.9".to_owned())?;
    if (0.0..=0.9).contains(&share) { Ok(share) } else { Err("write a number from 0 to 0.9".to_owned()) }
}

fn parse_set(text: &str) -> Result<FeatureSet, String> {
    let names = || FeatureSet::ALL.map(FeatureSet::name).join(" or ");
    FeatureSet::parse(text).ok_or_else(|| format!("write {}", names()))
}

/// Runs the command.
///
/// # Errors
/// When files cannot be read or written or there are too few sessions; one sentence with the mend.
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments whole")]
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if !args.exclude.is_empty() && args.labels.is_empty() {
        bail!("--exclude goes by the labels' source column: add --labels CSV");
    }
    let labels = if args.labels.is_empty() { None } else { Some(Labels::open(&args.labels)?) };
    let mut census = Census::default();
    let (input, bots) = read(&args.input, labels.as_ref(), &args.exclude, &mut census)?;
    let (calibration, calibration_bots) = read(&args.calibration, labels.as_ref(), &args.exclude, &mut census)?;
    census.calibration_bots = calibration_bots.len();
    let base = args.base.as_deref().map(open_model).transpose()?;
    let hold_out = args.hold_out.unwrap_or(match (&base, args.calibration.is_empty()) {
        (_, false) => 0.0,
        (Some(_), true) => train::site_share(input.len()),
        (None, true) => 0.25,
    });
    let (fit, held_out) = train::split(input, hold_out, args.seed);
    let calibration: Vec<Example> = calibration.into_iter().chain(held_out).collect();

    let set = args.set.or(base.as_ref().map(Model::feature_set)).unwrap_or(FeatureSet::V3);
    let recipe = Recipe { set, seed: args.seed, ..Recipe::default() };
    let bar = stages();
    let material = Material { fit: &fit, calibration: &calibration, bots: &bots };
    let mut on_stage = |stage: Stage| {
        bar.inc(1);
        bar.set_message(stage.message());
    };
    let provenance = census.provenance(&recipe);
    let trained = match &base {
        Some(base) => train::adapt(base.contents(), &material, &recipe, &provenance, &mut on_stage),
        None => train::train(&material, &recipe, provenance, &mut on_stage),
    };
    bar.finish_and_clear();
    let (contents, report) = trained?;
    let bytes = contents.encode();
    let model = Model::load(&bytes).context("the new model does not load again; report this")?;
    write(&args.output, &bytes)?;
    print(&census, &report, &model, &args.output, bytes.len())?;
    Ok(if args.strict && census.refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The model in a file.
///
/// # Errors
/// One sentence with the mend.
pub(super) fn open_model(path: &Path) -> anyhow::Result<Model> {
    let failed = || format!("cannot read the model {}; check the path and its permissions", path.display());
    let bytes = std::fs::read(path).with_context(failed)?;
    Model::load(&bytes).with_context(|| format!("cannot use {}", path.display()))
}

/// What was read and what was left out.
#[derive(Default)]
struct Census {
    refused: u64,
    calibration_bots: usize,
    unlabelled: u64,
    excluded: u64,
    sources: BTreeMap<String, u64>,
}

impl Census {
    fn provenance(&self, recipe: &Recipe) -> String {
        let sources: Vec<String> = self.sources.iter().map(|(source, n)| format!("{source} ({n})")).collect();
        format!(
            "Human sessions of {}. Feature set {}, seed {}.",
            if sources.is_empty() { "unnamed sources".to_owned() } else { sources.join(", ") },
            recipe.set.name(),
            recipe.seed
        )
    }
}

enum Found {
    Human(Box<Example>, String),
    Bot(Box<Session>),
    Unlabelled,
    Excluded,
}

fn read(
    paths: &[PathBuf],
    labels: Option<&Labels>,
    exclude: &[String],
    census: &mut Census,
) -> anyhow::Result<(Vec<Example>, Vec<Session>)> {
    let bar = bytes_bar(paths);
    let found = load::each(
        paths,
        || (),
        |(), session| {
            let Some(labels) = labels else {
                let user = session.user_id.clone();
                return Some(Found::Human(Box::new(Example { session, user, source: String::new() }), String::new()));
            };
            Some(match labels.get(session.id.as_str()) {
                None => Found::Unlabelled,
                Some(label) if exclude.contains(&label.source) => Found::Excluded,
                Some(label) if !label.human => Found::Bot(Box::new(session)),
                Some(label) => {
                    let user = Some(label.user.clone()).filter(|u| !u.is_empty()).or_else(|| session.user_id.clone());
                    Found::Human(
                        Box::new(Example { session, user, source: label.source.clone() }),
                        label.source.clone(),
                    )
                }
            })
        },
        |sentence| {
            census.refused += 1;
            bar.suspend(|| note(&sentence));
        },
        |progress| bar.set_position(progress.read()),
    );
    bar.finish_and_clear();
    let (mut humans, mut bots) = (Vec::new(), Vec::new());
    for found in found? {
        match found {
            Found::Human(example, source) => {
                if !source.is_empty() {
                    *census.sources.entry(source).or_default() += 1;
                }
                humans.push(*example);
            }
            Found::Bot(session) => bots.push(*session),
            Found::Unlabelled => census.unlabelled += 1,
            Found::Excluded => census.excluded += 1,
        }
    }
    Ok((humans, bots))
}

/// Writes a sentence to standard error; where that is closed there is nobody to tell.
pub(super) fn note(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "{sentence}");
}

/// A bar over the bytes of the first file; of several files each starts anew.
pub(super) fn bytes_bar(paths: &[PathBuf]) -> ProgressBar {
    let total: u64 = paths.iter().filter_map(|p| std::fs::metadata(p).ok()).map(|m| m.len()).max().unwrap_or(0);
    let bar = if total == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(total) };
    if let Ok(style) = ProgressStyle::with_template("reading {bar:32} {bytes}/{total_bytes} {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn stages() -> ProgressBar {
    let bar = ProgressBar::new(Stage::ALL.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

/// Replaces the file as a whole: a reader sees the old model or the new one.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("cannot write the model to {}; check the folder and its permissions", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}

fn print(census: &Census, report: &Report, model: &Model, path: &Path, size: usize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (source, n) in &census.sources {
        writeln!(out, "source {source}: {n} human sessions")?;
    }
    let left_out = [
        (census.refused, "refused lines"),
        (census.calibration_bots as u64, "calibration sessions labelled bot"),
        (census.unlabelled, "sessions without a label"),
        (census.excluded, "sessions of excluded sources"),
        (report.shared as u64, "calibration sessions of people fitted on"),
        (report.motionless as u64, "sessions with too little motion"),
    ];
    for (n, what) in left_out.into_iter().filter(|(n, _)| *n > 0) {
        writeln!(out, "left out: {n} {what}")?;
    }
    if report.fitted > 0 {
        writeln!(
            out,
            "fitted on {} sessions of {} people and {} counterexamples made from them",
            report.fitted, report.fitted_people, report.counterexamples
        )?;
    } else {
        writeln!(out, "too few sessions to learn from beside those that set the cuts: the base's trees stay")?;
    }
    if report.bots > 0 {
        writeln!(out, "learned from {} rows of labelled bots", report.bots)?;
    }
    if report.foreign > 0 {
        writeln!(
            out,
            "calibrated for places unknown too: {} sources each judged without knowing them",
            report.foreign
        )?;
    }
    let telling: Vec<String> = report.telling.iter().map(|(name, s)| format!("{name} {:.0} %", 100.0 * s)).collect();
    writeln!(out, "columns asked most to tell them apart: {}", telling.join(", "))?;
    writeln!(out, "calibrated on {} sessions of {} other people", report.calibrated, report.calibrated_people)?;
    if model.calibrated_on() < 316 {
        writeln!(out, "fewer than 316 calibrate it: it sends sessions to review at worst and fails none")?;
    }
    writeln!(
        out,
        "model {} version {}: {size} bytes in {}",
        model.identity().id,
        model.identity().version,
        path.display()
    )?;
    Ok(())
}
