//! The `playproof-batch` binary: parse the command line, run the command, return its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    let env = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
    playproof_batch::cli::main(std::env::args_os(), env)
}
