//! Where a value comes from: flag over environment over file over default. Everything that is wrong is collected, each
//! with the name of the place that said it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use super::Secret;
use super::catalogue::{self, settings};
use super::value::{Parsed, Raw};

/// Everything that is wrong with the settings, each fault one sentence that names the setting and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            many => {
                write!(f, "{} settings are wrong", many.len())?;
                many.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
            }
        }
    }
}

impl std::error::Error for Faults {}

/// Where a value was given, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    Default,
    File,
    Environment,
    Flag,
}

/// The four places, each with the values it gave by key.
pub(super) struct Layers {
    values: [(Origin, BTreeMap<String, Raw>); 4],
    file: Option<PathBuf>,
}

impl Layers {
    /// Reads the file, if one is named, and sorts everything by key. Faults of the file are noted in `faults`, unknown
    /// variables in `notes`.
    pub(super) fn gather(
        flags: &super::Flags,
        env: impl IntoIterator<Item = (String, String)>,
        faults: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) -> Self {
        let env: BTreeMap<String, String> = env.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let file = flags.config.clone().or_else(|| env.get("PLAYPROOF_CONFIG").map(PathBuf::from));
        let from_file = file.as_ref().map(|path| match std::fs::read_to_string(path) {
            Ok(text) => read_file(&text, &path.display().to_string(), faults),
            Err(e) => {
                faults.push(format!(
                    "{}: cannot be read: {e}; name an existing file with --config or PLAYPROOF_CONFIG",
                    path.display()
                ));
                BTreeMap::new()
            }
        });
        let mut from_env = BTreeMap::new();
        for setting in settings() {
            if let Some(value) = env.get(&setting.env) {
                from_env.insert(setting.key.clone(), Raw::Text(value.clone()));
            }
        }
        let known: BTreeSet<&str> = settings().iter().map(|s| s.env.as_str()).chain(["PLAYPROOF_CONFIG"]).collect();
        for name in env.keys().filter(|name| name.starts_with("PLAYPROOF_") && !known.contains(name.as_str())) {
            let hint = catalogue::nearest(name, known.iter().copied());
            let hint = hint.map_or_else(String::new, |hint| format!("; did you mean {hint}?"));
            notes.push(format!("the environment variable {name} is not a setting and is ignored{hint}"));
        }
        let from_flags = flags.values.iter().map(|(key, value)| (key.clone(), Raw::Text(value.clone()))).collect();
        let values = [
            (Origin::Flag, from_flags),
            (Origin::Environment, from_env),
            (Origin::File, from_file.unwrap_or_default()),
            (Origin::Default, read_file(catalogue::DEFAULTS, "the defaults", faults)),
        ];
        Self { values, file }
    }

    /// The value that holds for `key`, and where it was given.
    fn find(&self, key: &str) -> (Origin, &Raw) {
        let given = self.values.iter().find_map(|(origin, values)| Some((*origin, values.get(key)?)));
        #[expect(clippy::expect_used, reason = "the names in the code and in the compiled-in file are tested equal")]
        given.expect("every setting has a default")
    }

    /// How the person who gave the value calls the setting.
    fn name(&self, key: &str, origin: Origin) -> String {
        match (origin, &self.file) {
            (Origin::Flag, _) => format!("--{}", key.replace('_', "-")),
            (Origin::File, Some(path)) => format!("{key} in {}", path.display()),
            _ => catalogue::env_name(key),
        }
    }
}

/// The values of a settings file; what does not belong there becomes a fault.
fn read_file(text: &str, place: &str, faults: &mut Vec<String>) -> BTreeMap<String, Raw> {
    let table: toml::Table = match toml::from_str(text) {
        Ok(table) => table,
        Err(e) => {
            // The parser's own text quotes the line, which may hold a key.
            let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            faults.push(format!("{place}: line {line} is not valid TOML: {}; mend that line", e.message()));
            return BTreeMap::new();
        }
    };
    let mut values = BTreeMap::new();
    let mut known = BTreeSet::new();
    known.extend(settings().iter().map(|s| s.key.as_str()));
    let unknown = |key: &str, faults: &mut Vec<String>| {
        let mend = match catalogue::nearest(&key.replace('.', "_"), known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => "remove it".to_owned(),
        };
        faults.push(format!("{key} in {place}: is not a setting; {mend}"));
    };
    for (key, value) in table {
        if let toml::Value::Table(inner) = &value {
            inner.keys().for_each(|name| unknown(&format!("{key}.{name}"), faults));
            continue;
        }
        if !settings().iter().any(|s| s.key == key) {
            unknown(&key, faults);
            continue;
        }
        match raw(value) {
            Some(raw) => _ = values.insert(key, raw),
            None => faults.push(format!("{key} in {place}: has a type that no setting has; write a word or a number")),
        }
    }
    values
}

fn raw(value: toml::Value) -> Option<Raw> {
    let text = |value| match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    };
    match value {
        toml::Value::Array(entries) => entries.into_iter().map(text).collect::<Option<_>>().map(Raw::List),
        value => text(value).map(Raw::Text),
    }
}

/// Gives values their meaning and collects what is wrong.
pub(super) struct Reader {
    layers: Layers,
    /// Sentences, in the order found.
    pub(super) faults: Vec<String>,
    /// Keys whose value could not be read; rules about them are not checked.
    pub(super) broken: BTreeSet<&'static str>,
    /// Keys that were asked for.
    pub(super) asked: BTreeSet<&'static str>,
}

impl Reader {
    pub(super) fn new(layers: Layers, faults: Vec<String>) -> Self {
        Self { layers, faults, broken: BTreeSet::new(), asked: BTreeSet::new() }
    }

    /// Where the value of `key` was given.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.layers.find(key).0
    }

    /// The meaning of `key`'s value by `parse`; after a fault, that of the default.
    pub(super) fn read<T>(&mut self, key: &'static str, parse: impl Fn(&Raw) -> Parsed<T>) -> T {
        self.asked.insert(key);
        let (origin, raw) = self.layers.find(key);
        match parse(raw) {
            Ok(value) => value,
            Err(wrong) => {
                self.faults.push(format!("{}: {wrong}", self.layers.name(key, origin)));
                self.broken.insert(key);
                let (_, defaults) = &self.layers.values[3];
                #[expect(clippy::expect_used, reason = "a test reads every default")]
                parse(&defaults[key]).expect("defaults are valid")
            }
        }
    }

    /// A list of keys, or the file that holds it; the one that was given more strongly. Values are never repeated.
    pub(super) fn keys(&mut self, key: &'static str, file_key: &'static str) -> Vec<Secret> {
        let given = self.read(key, |raw| raw.list()?.iter().map(|k| secret(k)).collect());
        let from_file = self.read(file_key, |raw| {
            let Some(path) = raw.optional()? else { return Ok(None) };
            let text = std::fs::read_to_string(path)
                .map_err(|e| format!("names {path}, which cannot be read: {e}; name a readable file"))?;
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            let keys = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|k| !k.is_empty());
            let keys: Vec<Secret> = keys.map(secret).collect::<Parsed<_>>()?;
            if keys.is_empty() {
                return Err(format!("names {path}, which holds no key; write one a line"));
            }
            Ok(Some(keys))
        });
        let (value, file) = (self.origin(key), self.origin(file_key));
        let Some(from_file) = from_file else { return given };
        if value == file && !given.is_empty() {
            let name = self.layers.name(key, value);
            self.faults
                .push(format!("{name}: is set together with {}; set one of them", self.layers.name(file_key, file)));
        }
        if value > file { given } else { from_file }
    }
}

/// A key as it can stand in a header.
fn secret(text: &str) -> Parsed<Secret> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Secret::new(text));
    }
    Err("holds a key with a space or a special character; use letters, digits and signs only".to_owned())
}
