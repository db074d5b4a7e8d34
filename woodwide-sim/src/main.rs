//! The `woodwide-sim` binary: parse the command line, serve, return the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    woodwide_sim::cli::main(std::env::args_os())
}
