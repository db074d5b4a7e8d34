//! The text form of a fault: `KIND[=ARG,...][@ROUTE,...][;n=COUNT][;p=CHANCE][;after=COUNT]`.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::Fault;
use super::catalogue::{Args, KINDS, Kind};
use crate::route::{self, RouteSet};

/// A fault as it was asked for.
///
/// `KIND[=ARG,...][@ROUTE,...][;n=COUNT][;p=CHANCE][;after=COUNT]`: the arguments of the kind, the routes or groups of
/// routes it strikes, how many requests at most, with which chance, and how many of them it lets pass first. A `,`, `;`,
/// `@` or `%` inside an argument is written as `%2C`, `%3B`, `%40`, `%25`.
#[derive(Debug, Clone)]
pub struct Spec {
    pub(super) text: String,
    pub(super) kind: &'static Kind,
    pub(super) fault: Fault,
    pub(super) routes: RouteSet,
    pub(super) limit: Option<u64>,
    pub(super) chance: Option<f64>,
    pub(super) after: u64,
}

impl Spec {
    /// The name of the kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind.name
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a fault was refused; the text names the mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError(String);

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SpecError {}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut parts = text.trim().split(';');
        let head = parts.next().unwrap_or_default();
        let (head, routes) = head.split_once('@').map_or((head, None), |(head, routes)| (head, Some(routes)));
        let (name, args) = head.split_once('=').map_or((head, None), |(name, args)| (name, Some(args)));
        let kind = KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| unknown("fault", name, kind_names()))?;

        let args: Vec<String> = args.map_or_else(Vec::new, |args| {
            args.split(',').map(|arg| percent_decode_str(arg).decode_utf8_lossy().into_owned()).collect()
        });
        if args.len() > kind.args.split(',').filter(|part| !part.is_empty()).count() {
            return Err(SpecError(format!("{name}: too many arguments; it takes {}", takes(kind))));
        }
        let explain = |why: String| SpecError(format!("{name}: {why}; it takes {}", takes(kind)));
        let fault = (kind.parse)(&Args(&args)).map_err(explain)?;
        let routes = RouteSet::parse(routes.unwrap_or(kind.routes))
            .map_err(|name| unknown("route", &name, route::names().collect()))?;
        let reach = RouteSet::parse(kind.routes).map_err(|name| unknown("route", &name, route::names().collect()))?;
        let routes = routes.within(&reach);
        if routes.is_empty() {
            return Err(SpecError(format!("{name} cannot strike there; it strikes {}", kind.routes)));
        }

        let mut spec = Self { text: text.trim().to_owned(), kind, fault, routes, limit: None, chance: None, after: 0 };
        if spec.fault == Fault::Credits {
            // That many pass, all the others don't.
            spec.after = args.first().and_then(|count| count.parse().ok()).unwrap_or(0);
        }
        for option in parts {
            spec.set(option.trim())?;
        }
        Ok(spec)
    }
}

impl Spec {
    fn set(&mut self, option: &str) -> Result<(), SpecError> {
        let wrong = || SpecError(format!("{option:?} is not n=COUNT, p=CHANCE or after=COUNT"));
        let (name, value) = option.split_once('=').ok_or_else(wrong)?;
        match name {
            "n" => self.limit = Some(value.parse().map_err(|_| wrong())?),
            "after" => self.after = value.parse().map_err(|_| wrong())?,
            "p" => {
                let chance: f64 = value.parse().map_err(|_| wrong())?;
                if !(0.0..=1.0).contains(&chance) {
                    return Err(SpecError(format!("p={value} is not a chance from 0 to 1")));
                }
                self.chance = Some(chance);
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }
}

fn takes(kind: &Kind) -> &'static str {
    if kind.args.is_empty() { "none" } else { kind.args }
}

fn kind_names() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

fn unknown(what: &str, name: &str, known: Vec<&'static str>) -> SpecError {
    let nearest = known
        .into_iter()
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)).then_with(|| b.cmp(a)));
    let list = if what == "fault" { "`--fault list` shows all" } else { "README.md lists all" };
    SpecError(format!("no {what} is called {name:?}; the nearest is {:?} ({list})", nearest.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_spec_is_read() {
        let spec: Spec = "rate-limit=date,3@infer,get-job;n=2;p=0.5;after=1".parse().unwrap();
        assert_eq!(spec.kind(), "rate-limit");
        assert_eq!((spec.limit, spec.chance, spec.after), (Some(2), Some(0.5), 1));
        assert_eq!(spec.routes.names(), ["infer", "get-job"], "in the order of the table");
    }

    #[test]
    fn a_misspelt_name_is_refused_with_the_nearest_one() {
        for (spec, nearest) in [("emty-body", "empty-body"), ("url-gzp", "url-gzip"), ("hang@infr", "infer")] {
            let error = spec.parse::<Spec>().unwrap_err().to_string();
            assert!(error.contains(&format!("{nearest:?}")), "{spec}: {error}");
        }
    }

    #[test]
    fn wrong_arguments_are_refused_with_the_right_ones() {
        for spec in [
            "shape",
            "shape=round",
            "status-before=200",
            "hang=1",
            "credits",
            "poison=a:1@train",
            "poison=x",
            "hang;p=2",
            "hang;x=2",
        ] {
            assert!(spec.parse::<Spec>().is_err(), "{spec} was taken");
        }
    }

    #[test]
    fn every_kind_names_routes_that_exist() {
        for kind in KINDS {
            assert!(RouteSet::parse(kind.routes).is_ok(), "{}: {}", kind.name, kind.routes);
        }
    }

    #[test]
    fn escapes_keep_separators_in_an_argument() {
        let spec: Spec = "train-failed=too%2C few%3B rows".parse().unwrap();
        assert_eq!(spec.fault, Fault::TrainFailed("too, few; rows".to_owned()));
    }
}
