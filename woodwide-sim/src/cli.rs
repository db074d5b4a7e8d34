//! The command line.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::duration;
use crate::fault::{KINDS, Spec};
use crate::route::{GROUPS, ROUTES};
use crate::settings::{Settings, Shape};
use crate::simulator::Simulator;

/// A local service that speaks the Woodwide AI HTTP API, GA and beta, with a working detector and faults on demand.
///
/// The first line on stdout is `listening on http://ADDR`. Everything is in memory. A fault is
/// `KIND[=ARG,...][@ROUTE,...][;n=COUNT][;p=CHANCE][;after=COUNT]`, for example `rate-limit=date@infer;n=2`;
/// `--fault list` shows every kind and every route. The routes under /_sim steer and watch a running simulator.
#[derive(Debug, Parser)]
#[command(name = "woodwide-sim", version)]
struct Cli {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// An API key, or LABEL:KEY; several are allowed [default: `sk_sim`].
    #[arg(long = "api-key", value_name = "KEY")]
    api_keys: Vec<String>,
    /// The token that may manage API keys.
    #[arg(long, value_name = "TOKEN", default_value = "user_sim")]
    user_token: String,
    /// A fault to start with, or `list`; several are allowed.
    #[arg(long = "fault", value_name = "SPEC")]
    faults: Vec<String>,
    /// Decides ids and the strikes of faults.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How answers refer to the things they made.
    #[arg(long, value_enum, default_value = "both")]
    shape: Shape,
    /// Added to every answer of the API.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration::parse)]
    latency: Duration,
    /// How long an ingest takes.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration::parse)]
    ingest_time: Duration,
    /// How long a training takes.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration::parse)]
    training_time: Duration,
    /// How long an inference takes.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration::parse)]
    inference_time: Duration,
    /// Beta answers are empty while a dataset has fewer rows or is younger; short for `--fault warm-up=ROWS,AGE`.
    #[arg(long, value_name = "ROWS[,AGE]")]
    warm_up: Option<String>,
    /// The credits of the account; short for `--fault credits=COUNT`.
    #[arg(long, value_name = "COUNT")]
    credits: Option<u64>,
    /// How long a signed address holds.
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration::parse)]
    url_lifetime: Duration,
    /// Scores depend on the other rows of the call.
    #[arg(long)]
    context_dependent: bool,
    /// The address to put into signed URLs, where the Host header does not lead back here.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Mebibytes of datasets and results to keep.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: u64,
}

/// Runs the simulator as `args` say, the program's name first.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            // Nobody is left to tell when this cannot be printed.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    if cli.faults.iter().any(|fault| fault == "list") {
        return say(&fault_list());
    }
    let settings = match cli.settings() {
        Ok(settings) => settings,
        Err(why) => return complain(&why, 2),
    };
    let listen = settings.listen;
    let simulator = match Simulator::start(settings) {
        Ok(simulator) => simulator,
        Err(e) => return complain(&format!("cannot listen on {listen}: {e}; choose another --listen"), 1),
    };
    let code = say(&format!("listening on {}", simulator.url()));
    match simulator.serve_until_signal() {
        Ok(()) => code,
        Err(e) => complain(&format!("cannot wait for a signal: {e}"), 1),
    }
}

impl Cli {
    fn settings(self) -> Result<Settings, String> {
        let mut faults = self.faults;
        faults.extend(self.warm_up.map(|args| format!("warm-up={args}")));
        faults.extend(self.credits.map(|count| format!("credits={count}")));
        let faults =
            faults.iter().map(|text| text.parse::<Spec>()).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        let defaults = Settings::default();
        Ok(Settings {
            listen: self.listen,
            api_keys: if self.api_keys.is_empty() { defaults.api_keys } else { self.api_keys },
            user_token: self.user_token,
            faults,
            seed: self.seed,
            shape: self.shape,
            latency: self.latency,
            ingest_time: self.ingest_time,
            training_time: self.training_time,
            inference_time: self.inference_time,
            url_lifetime: self.url_lifetime,
            context_dependent: self.context_dependent,
            public_url: self.public_url,
            memory: self.memory.saturating_mul(1 << 20),
            log_limit: defaults.log_limit,
        })
    }
}

fn fault_list() -> String {
    let mut lines: Vec<String> = KINDS
        .iter()
        .map(|kind| {
            let args = match kind.args.strip_prefix('[') {
                _ if kind.args.is_empty() => String::new(),
                Some(optional) => format!("[={optional}"),
                None => format!("={}", kind.args),
            };
            format!("{}{args}: {} [@{}]", kind.name, kind.meaning, kind.routes)
        })
        .collect();
    lines.push(String::new());
    lines.push(format!("groups of routes: {}", GROUPS.join(", ")));
    let routes: Vec<&str> = ROUTES.iter().map(|route| route.name).collect();
    lines.push(format!("routes: {}", routes.join(", ")));
    lines.join("\n")
}

fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    // Nobody may be reading.
    let _ = writeln!(std::io::stderr().lock(), "woodwide-sim: {text}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_list_names_every_kind() {
        let list = fault_list();
        assert!(KINDS.iter().all(|kind| list.lines().any(|line| line.starts_with(kind.name))));
    }

    #[test]
    fn the_readme_names_every_kind_and_flag() {
        let readme = include_str!("../README.md");
        for kind in KINDS {
            assert!(readme.contains(&format!("| `{}", kind.name)), "{}", kind.name);
            assert!(readme.contains(kind.meaning), "{}: {}", kind.name, kind.meaning);
        }
        for flag in Cli::command().get_arguments().filter_map(clap::Arg::get_long).filter(|flag| *flag != "help") {
            assert!(flag == "version" || readme.contains(&format!("`--{flag}")), "--{flag}");
        }
    }

    #[test]
    fn short_forms_are_faults() {
        let cli = Cli::try_parse_from(["woodwide-sim", "--warm-up", "50,10s", "--credits", "3"]).unwrap();
        let faults: Vec<String> = cli.settings().unwrap().faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults, ["warm-up=50,10s", "credits=3"]);
    }
}
