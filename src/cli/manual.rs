//! `completions` and `man`: what a shell and `man` know of the program, from the definitions of its commands.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::Cli;

/// Of which shell.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell that asks: put what is printed where it looks for completions
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Where to.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// The folder, made if it is missing; pages that are there are replaced
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut text);
    std::io::stdout().lock().write_all(&text).context("cannot write to stdout; keep its reader open")?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let folder = args.out.display();
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make the folder {folder}"))?;
    clap_mangen::generate_to(Cli::command(), &args.out)
        .with_context(|| format!("cannot write man pages into {folder}; name a folder that can be written to"))?;
    Ok(ExitCode::SUCCESS)
}
