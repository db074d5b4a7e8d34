//! Bots of many kinds: counterexamples for training, opponents for measuring.
//!
//! Some play a given person's round ([`Kind::Reach`]): they take the person's stops, with their times and clicks, and
//! replace the movement between them. Task, rhythm and length stay, and the events come at the recorder's own times or on
//! a clock of their own, so that what learns from them learns motion and not the recorder. The others owe the person less:
//! random and periodic processes, browser drivers, templates, recordings rearranged, and strokes of touchscreens. Their paces, extents and
//! lengths are drawn from wide ranges, so that what learns from them learns no range. ADD A FAMILY: one variant and one
//! row in `family.rs`, one arm in the module of its kind.

mod drawn;

mod driver;

mod family;

mod legs;

mod motion;

mod motor;

mod noise;

mod oscillation;

mod random_process;

mod reach;

mod rearranged;

mod recorded;

pub mod replay;

mod setting;

mod template;

mod touch;

#[cfg(test)]
mod tests;

use rand::{Rng, RngExt};

pub use self::family::{Family, Kind};
use self::motion::Motion;
pub use self::noise::gaussian;
use self::setting::{Person, Setting};
use playproof_domain::session::Session;

/// When a bot sends its events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clock {
    /// When the person's own recorder did.
    Own,
    /// Every so many ms.
    Constant(f64),
    /// About every so many ms, with this standard deviation.
    Jitter(f64, f64),
}

impl Clock {
    /// Mostly the person's own.
    pub fn draw(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..10) {
            0..6 => Self::Own,
            6 | 7 => {
                Self::Constant([1000.0 / 240.0, 1000.0 / 144.0, 8.0, 10.0, 1000.0 / 60.0, 20.0][rng.random_range(0..6)])
            }
            _ => Self::Jitter(1000.0 / 60.0, rng.random_range(0.5..4.0)),
        }
    }
}

/// A bot session of `family` after `human`; `None` when there is too little movement to make it from.
#[must_use]
pub fn imitate(human: &Session, family: Family, clock: Clock, rng: &mut impl Rng) -> Option<Session> {
    if family.kind() == Kind::Reach {
        return reach::play(human, family, clock, rng);
    }
    if family == Family::PacedBot {
        return driver::paced_bot(human, clock, rng);
    }
    let person = Person::of(human);
    let setting = Setting::draw(&person, clock, rng);
    let motion = match family.kind() {
        Kind::Reach | Kind::Process => Motion::free(match family {
            Family::Alternation | Family::Lissajous | Family::Jiggler | Family::SawtoothScan => {
                oscillation::points(family, &setting, rng)
            }
            _ => random_process::points(family, &setting, rng),
        })
        .disturbed(rng)
        .paced(0.25, rng),
        Kind::Driver => driver::motion(family, &person, &setting, rng)?.paced(0.2, rng),
        Kind::Template => template::motion(family, &person, &setting, clock, rng)?.paced(0.15, rng),
        Kind::Recorded => rearranged::motion(family, &person, clock, rng)?,
        Kind::Touch => touch::motion(family, &person, &setting, clock, rng)?,
    };
    motion.finish(&person, rng)
}
