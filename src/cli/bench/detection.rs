//! `bench detection`: how far the recipe of `train` carries, by leaving out what it is then judged by.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;

use crate::adversary::Family;
use crate::cli::progress::aside;
use crate::detector::embedded::Model;
use crate::detector::embedded::train::Recipe;
use crate::domain::session::Session;
use crate::offline::evaluation::{Ranking, Scored};
use crate::offline::labels::{Label, Labels};
use crate::offline::load;
use crate::offline::protocol::{self, Change, Item, Role};

/// Fewest sessions of a source that is left out in turn.
const SOURCE_SESSIONS: usize = 150;

/// Trains and judges by turns, each time without what is judged
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Sessions of people to fit on
    #[arg(long, required = true, num_args = 1.., value_name = "INPUT")]
    fit: Vec<PathBuf>,
    /// Sessions of people to calibrate on
    #[arg(long, num_args = 1.., value_name = "INPUT")]
    calibration: Vec<PathBuf>,
    /// Sessions of people and bots to judge by
    #[arg(long, required = true, num_args = 1.., value_name = "INPUT")]
    test: Vec<PathBuf>,
    /// Labels of all of them: CSV with sessionId, label, family, source, user, variant
    #[arg(long, required = true, num_args = 1.., value_name = "CSV")]
    labels: Vec<PathBuf>,
    /// Sources that are never fitted on, only judged by
    #[arg(long, num_args = 1.., value_name = "SOURCE")]
    never: Vec<String>,
    /// Sources that take no part in leaving sources out
    #[arg(long, num_args = 1.., value_name = "SOURCE")]
    apart: Vec<String>,
    /// Share of the people of --fit that calibrate
    #[arg(long, default_value_t = 0.25)]
    pub(super) hold_out: f64,
    /// What is done
    #[arg(long, num_args = 1.., value_enum, default_values = ["test"])]
    protocol: Vec<Protocol>,
    /// Seed of everything drawn at random
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Protocol {
    /// One model, judged by the test sessions and by the sources never fitted on
    Test,
    /// One model a source, fitted and calibrated without it, judged by it
    Sources,
    /// One model a group of bot families, made without generators near them, judged by them
    Families,
    /// How often one model's decision on a person changes when only the recording does
    Flips,
    /// What adapting to a site adds: one model a source, fitted without it, then adapted to some of its people, judged
    /// by the others
    Site,
    /// How far each feature moves when only the recording does
    Robustness,
    /// What labelled bots, as many as one in a hundred fitted sessions, add
    Labelled,
    /// One model a random process or driver, made without it, judged by it
    Zoo,
    /// How often one model passes bots whose times are all stretched
    Paces,
    /// How often one model passes bots of every family under every claimed device type
    Claims,
    /// Fingers: people left out, sources left out, families of their bots left out
    Touch,
    /// How often people of known recorders exceed a score, each judged by a model made without that person
    Known,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let bench = Bench { items: read(args)?, args, recipe: Recipe { seed: args.seed, ..Recipe::default() } };
    if !bench.items.iter().any(|item| item.role == Role::Test && item.label.human) {
        bail!("no session of --test is labelled human; name the labels of all files with --labels");
    }
    for protocol in &args.protocol {
        match protocol {
            Protocol::Test => bench.test()?,
            Protocol::Sources => bench.sources()?,
            Protocol::Families => bench.families()?,
            Protocol::Flips => bench.flips()?,
            Protocol::Site => bench.site()?,
            Protocol::Robustness => bench.robustness()?,
            Protocol::Labelled => bench.labelled()?,
            Protocol::Zoo => bench.zoo()?,
            Protocol::Paces => bench.paces()?,
            Protocol::Claims => bench.claims()?,
            Protocol::Touch => bench.touch()?,
            Protocol::Known => bench.known()?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(args: &Args) -> anyhow::Result<Vec<Item>> {
    let labels = Labels::open(&args.labels)?;
    let mut items = Vec::new();
    for (paths, role) in [(&args.fit, Role::Fit), (&args.calibration, Role::Calibration), (&args.test, Role::Test)] {
        let found = load::each(
            paths,
            || (),
            |(), session| labels.get(session.id.as_str()).map(|label| (session, label.clone())),
            |sentence| super::super::train::note(&sentence),
            |_| (),
        )?;
        items.extend(found.into_iter().map(|(session, label)| Item { session, label, role }));
    }
    Ok(items)
}

pub(super) struct Bench<'a> {
    pub(super) items: Vec<Item>,
    pub(super) args: &'a Args,
    pub(super) recipe: Recipe,
}

impl Bench<'_> {
    pub(super) fn never(&self, source: &str) -> bool {
        self.args.never.iter().any(|never| never == source)
    }

    pub(super) fn model(&self, recipe: &Recipe, without: Option<&str>) -> anyhow::Result<Model> {
        let wanted = |source: &str| Some(source) != without && !self.never(source);
        Ok(protocol::fit(&self.items, &[], self.args.hold_out, recipe, wanted)?.0)
    }

    pub(super) fn score(&self, model: &Model, wanted: impl Fn(&Item) -> bool) -> Vec<Scored> {
        let pairs: Vec<(&Session, &Label)> =
            self.items.iter().filter(|item| wanted(item)).map(|item| (&item.session, &item.label)).collect();
        protocol::score(model, &pairs)
    }

    fn test(&self) -> anyhow::Result<()> {
        let model = self.model(&self.recipe, None)?;
        let scored = self.score(&model, |item| item.role == Role::Test);
        let own_clock = self
            .score(&model, |item| item.role == Role::Test && (item.label.human || item.label.variant == "recorder"));
        line(format_args!("all bots                 {}", figures(protocol::ranked(&scored, |_| true))))?;
        line(format_args!("on the recorder's clock  {}", figures(protocol::ranked(&own_clock, |_| true))))?;
        for family in names(scored.iter().filter(|s| !s.human).map(|s| s.family.as_str())) {
            let of = |s: &Scored| s.family == family;
            let decided = protocol::decided(scored.iter().filter(|s| !s.human && of(s)));
            line(format_args!("  {family:<22} {}  {}", figures(protocol::ranked(&scored, of)), decisions(decided)))?;
        }
        line(format_args!("bots   {}", decisions(protocol::decided(scored.iter().filter(|s| !s.human)))))?;
        line(format_args!("people {}", decisions(protocol::decided(scored.iter().filter(|s| s.human)))))?;
        let others = self.score(&model, |item| item.label.human && self.never(&item.label.source));
        let people: Vec<&Scored> = scored.iter().chain(&others).filter(|s| s.human).collect();
        for source in names(people.iter().map(|s| s.source.as_str())) {
            let decided = protocol::decided(people.iter().copied().filter(|s| s.source == source));
            line(format_args!("  {source:<22} {}", decisions(decided)))?;
        }
        Ok(())
    }

    fn sources(&self) -> anyhow::Result<()> {
        let people = || self.items.iter().filter(|item| item.label.human);
        for source in names(people().map(|item| item.label.source.as_str())) {
            let own: Vec<&Session> =
                people().filter(|item| item.label.source == source).map(|item| &item.session).collect();
            if own.len() < SOURCE_SESSIONS || self.args.apart.contains(&source) {
                continue;
            }
            let model = self.model(&self.recipe, Some(&source))?;
            let humans = self.score(&model, |item| item.label.human && item.label.source == source);
            let template = format!("tmpl_{source}");
            let mut bots = self.score(&model, |item| !item.label.human && item.label.source == template);
            let recorded = !bots.is_empty();
            if !recorded {
                let made = protocol::imitations(&own, self.args.seed);
                bots =
                    protocol::score(&model, &made.iter().map(|(session, label)| (session, label)).collect::<Vec<_>>());
            }
            let kind = if recorded { "recorded" } else { "made" };
            let (h, b) = (protocol::decided(&humans), protocol::decided(&bots));
            let all: Vec<Scored> = humans.into_iter().chain(bots).collect();
            line(format_args!("without {source:<18} people {}  {kind} bots {}", decisions(h), decisions(b)))?;
            line(format_args!("{:26} {}", "", figures(protocol::ranked(&all, |_| true))))?;
            if !recorded {
                let copies = [Family::Replay, Family::Morph].map(Family::name);
                let part = all.iter().filter(|s| !s.human && !copies.contains(&s.family.as_str()));
                line(format_args!(
                    "{:26} bots that copy no person's movement {}",
                    "",
                    decisions(protocol::decided(part))
                ))?;
            }
        }
        Ok(())
    }

    fn families(&self) -> anyhow::Result<()> {
        let test = || self.items.iter().filter(|item| item.role == Role::Test && !item.label.human);
        let families = names(test().map(|item| item.label.family.as_str()));
        let groups: BTreeSet<&[Family]> = families.iter().map(|family| protocol::near(family)).collect();
        let mut all = Vec::new();
        for near in groups {
            let mut recipe = self.recipe;
            recipe.families.iter_mut().filter(|(family, _)| near.contains(family)).for_each(|(_, weight)| *weight = 0);
            let model = self.model(&recipe, None)?;
            let left: Vec<&String> = families.iter().filter(|family| protocol::near(family) == near).collect();
            let scored = self.score(&model, |item| {
                item.role == Role::Test && (item.label.human || left.contains(&&item.label.family))
            });
            let without = near.iter().map(|family| family.name()).collect::<Vec<_>>().join(", ");
            line(format_args!("without {}", if without.is_empty() { "nothing" } else { &without }))?;
            for family in left {
                let found = protocol::ranked(&scored, |s| s.family == *family);
                all.extend(found.map(|ranking| ranking.tpr_at_1_percent));
                line(format_args!("  {family:<22} {}", figures(found)))?;
            }
        }
        let mean = all.iter().sum::<f64>() / f64::from(u32::try_from(all.len().max(1))?);
        line(format_args!("mean TPR at 1 % of {} families: {mean:.3}", all.len()))
    }

    fn flips(&self) -> anyhow::Result<()> {
        let model = self.model(&self.recipe, None)?;
        let people = self.items.iter().filter(|item| item.role == Role::Test && item.label.human);
        let people: Vec<&Session> = people.map(|item| &item.session).collect();
        let (each, any) = protocol::flips(&model, &people);
        for (change, share) in each {
            let change = change.to_string();
            line(format_args!("{change:<24} {share:.4} of {} people get another decision", people.len()))?;
        }
        line(format_args!("{:<24} {any:.4}", "by any of these"))
    }

    fn site(&self) -> anyhow::Result<()> {
        let people = || self.items.iter().filter(|item| item.label.human);
        for source in names(people().map(|item| item.label.source.as_str())) {
            let own = || people().filter(|item| item.label.source == source);
            if own().count() < SOURCE_SESSIONS || self.args.apart.contains(&source) {
                continue;
            }
            let base = self.model(&self.recipe, Some(&source))?;
            for wanted in [200, 316, 700] {
                // Half of the people and no more sessions of theirs than wanted; the others judge.
                let (site, others) = protocol::site(own(), wanted, self.args.seed);
                if site.len() < wanted || others.is_empty() {
                    continue;
                }
                let adapted = protocol::adapted(&base, site, &self.recipe)?;
                let made = protocol::imitations(&others.iter().map(|(session, _)| *session).collect::<Vec<_>>(), 1);
                for (name, model) in [("base", &base), ("adapted", &adapted)] {
                    let humans = protocol::score(model, &others);
                    let bots = protocol::score(model, &made.iter().map(|(s, l)| (s, l)).collect::<Vec<_>>());
                    let (h, b) = (protocol::decided(&humans), protocol::decided(&bots));
                    let all: Vec<Scored> = humans.into_iter().chain(bots).collect();
                    line(format_args!(
                        "{source:<18} {wanted} sessions {name:<8} people {}  bots {}  {}",
                        decisions(h),
                        decisions(b),
                        figures(protocol::ranked(&all, |_| true))
                    ))?;
                }
            }
        }
        Ok(())
    }

    /// Markdown: a row a feature, a column a change.
    fn robustness(&self) -> anyhow::Result<()> {
        let people = self.items.iter().filter(|item| item.role == Role::Test && item.label.human);
        let people: Vec<&Session> = people.map(|item| &item.session).collect();
        let changes = Change::STATED;
        let heads: Vec<String> = changes.iter().map(ToString::to_string).collect();
        line(format_args!("| feature | {} |", heads.join(" | ")))?;
        line(format_args!("| --- |{}", " --: |".repeat(changes.len())))?;
        for moved in protocol::moved(self.recipe.set, &people, &changes) {
            let by: Vec<String> = moved.by.iter().map(|by| format!("{by:.2}")).collect();
            line(format_args!("| {} | {} |", moved.column, by.join(" | ")))?;
        }
        Ok(())
    }

    fn labelled(&self) -> anyhow::Result<()> {
        let fitted = self.items.iter().filter(|i| i.role == Role::Fit && i.label.human && !self.never(&i.label.source));
        let bots: Vec<usize> = (0..self.items.len())
            .filter(|i| self.items[*i].role == Role::Test && !self.items[*i].label.human)
            .collect();
        let wanted = (fitted.count() / 100).max(1);
        let taken: BTreeSet<usize> = bots.iter().copied().step_by((bots.len() / wanted).max(1)).take(wanted).collect();
        let known: Vec<Session> = taken.iter().map(|i| self.items[*i].session.clone()).collect();
        let rest: Vec<(&Session, &Label)> = (0..self.items.len())
            .filter(|i| self.items[*i].role == Role::Test && !taken.contains(i))
            .map(|i| (&self.items[i].session, &self.items[i].label))
            .collect();
        let model = |bots: &[Session]| {
            protocol::fit(&self.items, bots, self.args.hold_out, &self.recipe, |source| !self.never(source))
        };
        let before = protocol::score(&model(&[])?.0, &rest);
        let after = protocol::score(&model(&known)?.0, &rest);
        line(format_args!("without labelled bots  {}", figures(protocol::ranked(&before, |_| true))))?;
        line(format_args!("with {:<4} of them      {}", known.len(), figures(protocol::ranked(&after, |_| true))))?;
        if let Some((value, low, high)) = protocol::gain(&before, &after, self.args.seed) {
            line(format_args!("TPR at 1 % rises by {value:.3} [{low:.3} {high:.3}]"))?;
        }
        Ok(())
    }
}

pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

pub(super) fn figures(ranking: Option<Ranking>) -> String {
    ranking.map_or_else(String::new, |r| {
        let Ranking { roc_auc, tpr_at_1_percent, tpr_at_0_3_percent, .. } = r;
        format!("ROC-AUC {roc_auc:.4}  TPR at 1 % {tpr_at_1_percent:.3}  at 0.3 % {tpr_at_0_3_percent:.3}")
    })
}

pub(super) fn decisions([pass, review, fail]: [f64; 3]) -> String {
    format!("pass {pass:.3} review {review:.3} fail {fail:.4}")
}

pub(super) fn line(text: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    aside(|| writeln!(io::stdout().lock(), "{text}"))?;
    Ok(())
}
