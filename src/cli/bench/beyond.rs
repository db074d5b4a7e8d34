//! Protocols beyond what a model was made from: kinds of processes it never saw, other paces, other claimed devices,
//! fingers, and people of recorders that it knows.

use std::collections::BTreeSet;

use super::detection::{Bench, decisions, figures, line, names};
use crate::adversary::{Family, Kind};
use crate::detector::embedded::train::Recipe;
use crate::domain::session::Session;
use crate::offline::evaluation::Scored;
use crate::offline::labels::Label;
use crate::offline::protocol::{self, Item, Role};

/// Factors of every time of a bot.
const PACES: [f64; 5] = [1.0, 0.3, 3.0, 10.0, 30.0];
/// Device types that a client may claim.
const CLAIMS: [&str; 5] = ["mouse", "trackpad", "stylus", "unknown", "touch"];
/// Parts of the zoo, each left out as a whole.
const ZOO_PARTS: usize = 4;
/// Folds of people for those of known recorders.
const FOLDS: u64 = 4;

impl Bench<'_> {
    /// People of the test sessions, whom processes and claims are made after.
    fn test_people(&self) -> Vec<&Session> {
        self.items.iter().filter(|item| item.role == Role::Test && item.label.human).map(|item| &item.session).collect()
    }

    /// One model a part of the zoo, made without the families of that part and judged by them.
    pub(super) fn zoo(&self) -> anyhow::Result<()> {
        let people = self.test_people();
        let kinds: Vec<Family> =
            Family::zoo().filter(|family| matches!(family.kind(), Kind::Process | Kind::Driver)).collect();
        let mut passed = Vec::new();
        for part in 0..ZOO_PARTS {
            let out: Vec<Family> = kinds.iter().copied().skip(part).step_by(ZOO_PARTS).collect();
            let model = self.model(&without(&self.recipe, &out), None)?;
            for family in out {
                let made = protocol::made(&people, &[family], self.args.seed);
                let decided = protocol::decided(&protocol::score(&model, &pairs(&made)));
                passed.push(decided[0]);
                line(format_args!("without {:<18} {}", family.name(), decisions(decided)))?;
            }
        }
        let mean = passed.iter().sum::<f64>() / f64::from(u32::try_from(passed.len().max(1))?);
        let worst = passed.iter().copied().fold(0.0, f64::max);
        line(format_args!("mean pass of {} kinds: {mean:.3}, worst {worst:.3}", passed.len()))
    }

    /// One model, judged by the test sessions' bots with all times stretched.
    pub(super) fn paces(&self) -> anyhow::Result<()> {
        let model = self.model(&self.recipe, None)?;
        for pace in PACES {
            let bots: Vec<(Session, Label)> = self
                .items
                .iter()
                .filter(|item| item.role == Role::Test && !item.label.human && item.label.family != "replay_noise")
                .map(|item| (protocol::paced(&item.session, pace), item.label.clone()))
                .collect();
            let scored = protocol::score(&model, &pairs(&bots));
            line(format_args!("bots at times x{pace:<5} {}", decisions(protocol::decided(&scored))))?;
        }
        Ok(())
    }

    /// One model, judged by every family of bots under every claimed device type.
    pub(super) fn claims(&self) -> anyhow::Result<()> {
        let model = self.model(&self.recipe, None)?;
        let fingers: Vec<&Session> = self
            .items
            .iter()
            .filter(|item| item.label.human && item.session.device_type == "touch")
            .map(|i| &i.session)
            .collect();
        let mice = self.test_people();
        for family in Family::ALL {
            let of_touch = family.kind() == Kind::Touch;
            let made = protocol::made(if of_touch { &fingers } else { &mice }, &[family], self.args.seed);
            let own = if of_touch { "touch" } else { "mouse" };
            let passes = |claim: &str| {
                let claimed: Vec<(Session, Label)> = made
                    .iter()
                    .map(|(bot, label)| (Session { device_type: claim.to_owned(), ..bot.clone() }, label.clone()))
                    .collect();
                protocol::decided(&protocol::score(&model, &pairs(&claimed)))[0]
            };
            let gains: Vec<String> =
                CLAIMS.iter().map(|claim| format!("{claim} {:+.3}", passes(claim) - passes(own))).collect();
            line(format_args!("{:<22} pass {:.3} as {own}; {}", family.name(), passes(own), gains.join("  ")))?;
        }
        Ok(())
    }

    /// One model, judged by fingers of people it was not fitted on, then one a source of fingers, and one a family of their
    /// bots.
    pub(super) fn touch(&self) -> anyhow::Result<()> {
        let touches = |item: &&Item| item.label.human && item.session.device_type == "touch";
        let fingers: Vec<&Session> = self.items.iter().filter(touches).map(|item| &item.session).collect();
        let (known, unknown) = self.folds(|item| item.session.device_type == "touch")?;
        line(format_args!("fingers of other people  {}", decisions(protocol::decided(&known))))?;
        for source in names(unknown.iter().map(|item| item.label.source.as_str())) {
            let model = self.model(&self.recipe, Some(&source))?;
            let scored = self.score(&model, |item| touches(&item) && item.label.source == source);
            line(format_args!("without {source:<16} {}", decisions(protocol::decided(&scored))))?;
        }
        let mut found = Vec::new();
        for family in Family::ALL.into_iter().filter(|family| family.kind() == Kind::Touch) {
            let model = self.model(&without(&self.recipe, &[family]), None)?;
            let made = protocol::made(&fingers, &[family], self.args.seed);
            let mut all: Vec<Scored> = protocol::score(&model, &pairs(&made));
            all.extend(known.iter().cloned());
            let ranking = protocol::ranked(&all, |_| true);
            found.extend(ranking.map(|r| r.tpr_at_1_percent));
            line(format_args!("without {:<22} {}", family.name(), figures(ranking)))?;
        }
        let mean = found.iter().sum::<f64>() / f64::from(u32::try_from(found.len().max(1))?);
        line(format_args!("mean TPR at 1 % of {} kinds: {mean:.3}", found.len()))
    }

    /// One model a fold of people, judged by those people: how often they exceed a score whose recorders are known.
    pub(super) fn known(&self) -> anyhow::Result<()> {
        let (scored, _) = self.folds(|item| item.session.device_type != "touch")?;
        let share = |of: &[&Scored]| {
            let above = |score: f64| of.iter().filter(|s| s.score > score).count();
            let n = of.len().max(1);
            #[expect(clippy::cast_precision_loss, reason = "numbers of sessions")]
            let [one, two] = [1.0, 2.0].map(|score| above(score) as f64 / n as f64);
            format!("above 1 {one:.4}  above 2 {two:.4}  of {n}")
        };
        line(format_args!("{:<22} {}", "all", share(&scored.iter().collect::<Vec<_>>())))?;
        for source in names(scored.iter().map(|s| s.source.as_str())) {
            line(format_args!(
                "  {source:<20} {}",
                share(&scored.iter().filter(|s| s.source == source).collect::<Vec<_>>())
            ))?;
        }
        Ok(())
    }

    /// The people whom `wanted` accepts, each scored by a model that was made without that person, and who they are.
    fn folds(&self, wanted: impl Fn(&Item) -> bool) -> anyhow::Result<(Vec<Scored>, Vec<&Item>)> {
        let people: Vec<&Item> = self
            .items
            .iter()
            .filter(|item| {
                item.label.human && item.role != Role::Test && !self.never(&item.label.source) && wanted(item)
            })
            .collect();
        let mut scored = Vec::new();
        for fold in 0..FOLDS {
            let out: BTreeSet<&str> = people
                .iter()
                .map(|item| item.label.user.as_str())
                .filter(|user| protocol::fold(user, self.args.seed, FOLDS) == fold)
                .collect();
            let rest: Vec<Item> =
                self.items.iter().filter(|item| !out.contains(item.label.user.as_str())).cloned().collect();
            let (model, _) = protocol::fit(&rest, &[], self.args.hold_out, &self.recipe, |source| !self.never(source))?;
            let judged: Vec<(&Session, &Label)> = people
                .iter()
                .filter(|item| out.contains(item.label.user.as_str()))
                .map(|item| (&item.session, &item.label))
                .collect();
            scored.extend(protocol::score(&model, &judged));
        }
        Ok((scored, people))
    }
}

/// The recipe with no counterexample of these families.
fn without(recipe: &Recipe, out: &[Family]) -> Recipe {
    let mut recipe = *recipe;
    for families in [&mut recipe.families, &mut recipe.touch_families] {
        families.iter_mut().filter(|(family, _)| out.contains(family)).for_each(|(_, weight)| *weight = 0);
    }
    recipe
}

fn pairs(sessions: &[(Session, Label)]) -> Vec<(&Session, &Label)> {
    sessions.iter().map(|(session, label)| (session, label)).collect()
}
