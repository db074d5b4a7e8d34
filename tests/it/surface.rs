//! Names that scripts, dashboards and alerts use: commands, flags, exit codes and metrics. A changed snapshot here is a
//! change that users see and belongs into the changelog.

use std::fmt::Write as _;
use std::process::{Command, Output};

use clap::CommandFactory as _;
use playproof_batch::cli::Cli;
use playproof_batch::config::catalogue::settings;
use playproof_batch::domain::time::Timestamp;
use playproof_batch::metrics::Metrics;

/// The binary without any setting of the machine that runs the tests.
fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_playproof-batch")).args(args).env_clear().output().unwrap()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// The help of every command, without the settings, which have their own reference page.
#[test]
fn help() {
    let mut all = String::new();
    let mut cli = Cli::command().term_width(110);
    cli.build();
    let names: Vec<String> = cli.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let mut write = |command: clap::Command| {
        let has_settings = command.get_arguments().any(|a| a.get_id() == "listen");
        let setting = |id: &str| has_settings && settings().iter().any(|s| s.key == id);
        let mut command = command.mut_args(|arg| {
            let hide = setting(arg.get_id().as_str());
            arg.hide(hide)
        });
        writeln!(all, "{}", command.render_long_help()).unwrap();
    };
    write(cli.clone());
    for name in names.iter().filter(|name| *name != "help") {
        write(cli.find_subcommand(name).unwrap().clone());
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_help_of_a_setting_names_variable_default_and_consequence() {
    let help = Cli::command().term_width(0).render_long_help().to_string();
    let wanted = "Most sessions in a batch; that many ready run at once, without waiting for a look. \
                  [env: PLAYPROOF_BATCH_SIZE] [default: 50]";
    assert!(help.contains("--batch-size <VALUE>") && help.contains(wanted), "{help}");
}

#[test]
fn exit_codes_tell_usage_from_failure_and_errors_go_to_stderr() {
    let usage = run(&["--no-such-flag"]);
    assert_eq!((usage.status.code(), usage.stdout.is_empty()), (Some(2), true));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
    assert_eq!(run(&["serve", "--help"]).status.code(), Some(0));
    for args in [["serve", "--lease=60"], ["check", "--lease=60"]] {
        let failed = run(&args);
        assert_eq!((failed.status.code(), failed.stdout.is_empty()), (Some(1), true));
        let told = String::from_utf8(failed.stderr).unwrap();
        assert_eq!(
            told,
            "playproof-batch: --lease: is \"60\"; write a whole number and a unit (ms, s, m, h, d), such as 30s\n"
        );
    }
}

#[test]
fn the_printed_openapi_document_is_the_file_in_the_repository() {
    let printed = run(&["openapi"]).stdout;
    assert!(
        printed == include_bytes!("../../openapi.json"),
        "openapi.json is stale; run: cargo run -- openapi > openapi.json"
    );
}

/// Names, types and helps, and every label set that exists from the start.
#[test]
fn metrics() {
    let metrics = Metrics::new().unwrap();
    metrics.http("/health", "GET", 200, std::time::Duration::ZERO);
    let text = metrics.render(None, Timestamp(0)).unwrap();
    let mut names = String::new();
    for line in text.lines().filter(|line| !line.contains("_bucket{")) {
        let line = if line.starts_with('#') { line } else { line.rsplit_once(' ').unwrap().0 };
        writeln!(names, "{}", line.replace(env!("CARGO_PKG_VERSION"), "VERSION")).unwrap();
    }
    insta::assert_snapshot!(names);
}

#[test]
fn completions_are_taken_by_their_shell_and_every_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let printed = run(&["completions", shell]);
        assert!(printed.status.success() && String::from_utf8(printed.stdout).unwrap().contains("playproof-batch"));
    }
    let script = folder.path().join("playproof-batch.bash");
    std::fs::write(&script, run(&["completions", "bash"]).stdout).unwrap();
    // What bash offers after `playproof-batch mig`.
    let ask = "source \"$1\"; COMP_WORDS=(playproof-batch mig); COMP_CWORD=1; \
               of=$(complete -p playproof-batch | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
               \"$of\" playproof-batch mig playproof-batch; echo \"${COMPREPLY[@]}\"";
    let offered = Command::new("bash").args(["-c", ask, "bash"]).arg(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&offered.stdout).trim(), "migrate", "{offered:?}");
    let pages = folder.path().join("man1");
    assert!(run(&["man", "--out", pages.to_str().unwrap()]).status.success());
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap();
    assert!(page("playproof-batch.1").starts_with(".ie") && page("playproof-batch.1").contains("demo"));
    for command in ["serve", "demo", "score", "backup", "audit-verify", "completions"] {
        assert!(page(&format!("playproof-batch-{command}.1")).contains("SYNOPSIS"), "{command}");
    }
    let wrong = run(&["man", "--out", script.to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("cannot make the folder"));
}
