//! `bench`: what this machine gives, measured by the program itself.

mod attack;
mod baseline;
mod best;
mod beyond;
mod challenges;
mod detection;
mod drain;
mod flood;
mod grow;
mod histogram;
mod idle;
mod intake;
mod load;
mod node;
mod parse;
mod review;
mod sketches;
mod store;

use std::process::ExitCode;

use super::progress::working;

/// Measures speed on this machine
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Attack(attack::Args),
    Challenges(challenges::Args),
    Detection(detection::Args),
    Flood(flood::Args),
    Idle(idle::Args),
    Intake(intake::Args),
    Parse(parse::Args),
    Review(review::Args),
    Sketches(sketches::Args),
    Store(store::Args),
}

/// Runs `bench`.
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments in the same way")]
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    working("measuring", || match &args.what {
        What::Attack(args) => attack::run(args),
        What::Challenges(args) => challenges::run(args),
        What::Detection(args) => detection::run(args),
        What::Flood(args) => flood::run(args),
        What::Idle(args) => idle::run(args),
        What::Intake(args) => intake::run(args),
        What::Parse(args) => parse::run(args),
        What::Review(args) => review::run(args),
        What::Sketches(args) => sketches::run(args),
        What::Store(args) => store::run(args),
    })
}
