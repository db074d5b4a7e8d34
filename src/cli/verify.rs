//! `verify`: whether evidence is what was signed, and whether its verdicts follow from its records.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use rayon::prelude::*;
use serde_json::json;

use super::rows::{Bar, noun};
use super::train::open_model;
use super::{complain, say};
use crate::evidence_bundle::{Extent, Models, PublicKey, Verification, verify};
use crate::offline::documents::{Document, Documents};

/// Checks evidence of verdicts, as `GET /api/v1/sessions/ID/evidence` gives it.
///
/// Checks the signature, then decides each verdict anew from the record that the evidence holds: digests, features, rules,
/// score, decision, confidence and reasons, bit for bit, and every later change of the decision. Ends with 0 only if
/// everything holds.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files of evidence, one document or many, plain, .gz or .zst, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The key that must have signed, as `GET /api/v1/evidence-key` tells it; without it anybody may have signed
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,

    /// Model files beside the bundled model, for verdicts of other models
    #[arg(long, value_name = "FILE")]
    model: Vec<PathBuf>,

    /// Print a JSON object a line instead of a sentence
    #[arg(long)]
    json: bool,

    /// Print only what does not hold
    #[arg(long)]
    quiet: bool,
}

/// What was counted.
#[derive(Default)]
struct Counts {
    all: u64,
    refused: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let pinned = args.public_key.as_deref().map(pinned).transpose()?;
    let models = args.model.iter().map(|path| open_model(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let models = Models::with_bundled(models)?;
    let (mut counts, mut signers) = (Counts::default(), Vec::new());
    for file in &args.files {
        each(file, pinned.as_ref(), &models, |document, checked| {
            counts.all += 1;
            counts.refused += u64::from(!checked.holds());
            let signer = checked.signer.filter(|signer| !signers.contains(signer));
            signers.extend(signer);
            if args.json {
                say(&as_json(document, checked, pinned.is_some()))
            } else if args.quiet && checked.holds() {
                Ok(())
            } else {
                say(&as_text(document, checked))
            }
        })?;
    }
    if pinned.is_none() {
        for signer in &signers {
            complain(&format!(
                "only integrity was checked: whoever holds the key {signer} signed, fingerprint {}; name the key that you \
                 trust with --public-key",
                signer.fingerprint()
            ));
        }
    }
    let Counts { all, refused } = counts;
    if all == 0 {
        bail!("there is no evidence in what was named; get it from GET /api/v1/sessions/ID/evidence");
    }
    if !args.json && (all > 1 || args.quiet) {
        say(&format!("{all} {} checked, {refused} refused", noun(all, "document")))?;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn pinned(text: &str) -> anyhow::Result<PublicKey> {
    match PublicKey::parse(text) {
        Some(key) => Ok(key),
        None => bail!("--public-key must be 64 hexadecimal digits, as publicKey of GET /api/v1/evidence-key"),
    }
}

/// Checks every document of a file on all cores and tells of each in its order.
fn each(
    file: &Path,
    pinned: Option<&PublicKey>,
    models: &Models,
    mut tell: impl FnMut(&Document, &Verification) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut documents = Documents::open(file)?;
    let bar = Bar::new(documents.progress());
    let mut done = 0;
    while let Some(block) = documents.next_block()? {
        let checked: Vec<Verification> =
            block.par_iter().map(|document| verify(&document.text, pinned, models)).collect();
        for (document, checked) in block.iter().zip(&checked) {
            // A line on a terminal must not tear the bar.
            if std::io::stdout().is_terminal() {
                bar.hide_while(|| tell(document, checked))?;
            } else {
                tell(document, checked)?;
            }
            done += 1;
        }
        bar.update(done);
    }
    bar.finish();
    Ok(())
}

/// Where the document is, and of which session.
fn place(document: &Document, checked: &Verification) -> String {
    let session = checked.statement.as_ref().map(|statement| {
        let session = &statement.session;
        let of = if session.deployment.is_empty() { String::new() } else { format!(" of {}", session.deployment) };
        format!(" session {}{of}", session.id)
    });
    format!("{}:{}:{}", document.file, document.line, session.unwrap_or_default())
}

fn as_text(document: &Document, checked: &Verification) -> String {
    let place = place(document, checked);
    if !checked.holds() {
        let findings = checked.findings.iter().map(|found| format!("{}: {}", found.part.name(), found.message));
        return format!("{place} does not hold: {}", findings.collect::<Vec<_>>().join("; "));
    }
    let model = checked.statement.as_ref().map(|statement| {
        let verdict = &statement.verdict;
        format!("{} {}", verdict.model_id, verdict.model_version)
    });
    let model = model.unwrap_or_default();
    let score = match checked.score {
        Extent::Recomputed => format!("score recomputed with {model}"),
        Extent::AsStated => format!("score taken as {model} gave it, all that follows recomputed"),
        Extent::NotRecomputable => "score not recomputable".to_owned(),
    };
    let decision = match (checked.decision, checked.standing) {
        (Extent::Recomputed, Extent::Recomputed) => "decision recomputed",
        (Extent::Recomputed, _) => "first decision recomputed, a later change states too little to be",
        _ => "decision not recomputable: an earlier version kept no thresholds",
    };
    format!("{place} holds: {score}, {decision}")
}

fn as_json(document: &Document, checked: &Verification, pinned: bool) -> String {
    let session = checked.statement.as_ref().map(|statement| &statement.session);
    let findings = checked.findings.iter().map(|found| json!({"part": found.part.name(), "message": found.message}));
    json!({
        "file": document.file,
        "line": document.line,
        "sessionId": session.map(|session| &session.id),
        "deploymentId": session.map(|session| &session.deployment),
        "holds": checked.holds(),
        "publicKey": checked.signer.map(|signer| signer.to_string()),
        "publicKeyPinned": pinned,
        "score": checked.score.name(),
        "decision": checked.decision.name(),
        "standing": checked.standing.name(),
        "findings": findings.collect::<Vec<_>>(),
    })
    .to_string()
}
