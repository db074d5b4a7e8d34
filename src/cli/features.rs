//! `features`: the feature rows of a file of sessions, as models are trained on them.

use std::process::ExitCode;

use super::rows::{self, Files};
use crate::domain::features::FeatureSet;
use crate::offline::score::{FeatureRows, feature_columns};
use crate::offline::table::Quote;

/// Computes the feature rows of a file of sessions: one row a session, in the order of the file
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,
    /// Which features
    #[arg(long, value_name = "SET", default_value = "v1", value_parser = parse_set)]
    set: FeatureSet,
}

fn parse_set(name: &str) -> Result<FeatureSet, String> {
    FeatureSet::parse(name).ok_or_else(|| {
        let names: Vec<_> = FeatureSet::ALL.iter().map(|set| set.name()).collect();
        format!("there is no such set; choose {}", names.join(" or "))
    })
}

/// Runs `features`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { files, set } = args;
    rows::convert(&files, feature_columns(set), Quote::Always, || FeatureRows::new(set))
}
