//! Every setting as a command line flag, with the defaults file's own words as its help.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::builder::StyledStr;
use clap::{Arg, ArgMatches, Command, Error};

use super::catalogue::settings;

/// The settings given on the command line; flatten it into a command's arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// The other flags, by the setting's key.
    pub values: BTreeMap<String, String>,
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Settings file in TOML. [env: PLAYPROOF_CONFIG]");
        settings().iter().fold(command.arg(config), |command, setting| {
            let first = setting.doc.split_inclusive(". ").next().unwrap_or_default().trim_end();
            let origin = format!("[env: {}] [default: {}]", setting.env, setting.default);
            // What is either so or not needs no value to be so.
            let values = if ["true", "false"].contains(&setting.default.as_str()) { 0..=1 } else { 1..=1 };
            command.arg(
                Arg::new(setting.key.as_str())
                    .long(setting.flag.as_str())
                    .value_name("VALUE")
                    .num_args(values)
                    .default_missing_value("true")
                    .help_heading(setting.heading.as_str())
                    .help(StyledStr::from(format!("{first} {origin}")))
                    .long_help(StyledStr::from(format!("{} {origin}", setting.doc))),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        if let Some(path) = matches.get_one::<PathBuf>("config") {
            self.config = Some(path.clone());
        }
        for setting in settings() {
            if let Some(value) = matches.get_one::<String>(&setting.key) {
                self.values.insert(setting.key.clone(), value.clone());
            }
        }
        Ok(())
    }
}
