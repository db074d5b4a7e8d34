//! The `playproof-batch` binary: parse the command line, run the command, return its exit code.

fn main() {}
