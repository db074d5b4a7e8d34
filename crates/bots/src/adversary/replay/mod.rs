//! Replays: what an attacker with recordings of people does to one before sending it again.
//!
//! No motion tells them from people, so no model is trained against them: they measure the comparison of sessions.

mod relay;

use rand::{Rng, RngExt as _};

use playproof_domain::session::{Click, Movements, Session};

/// One kind of replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The recording as it is.
    AsItWas,
    /// Moved on the screen, and begun later.
    Shifted,
    /// Turned by any angle.
    Turned,
    /// Scaled by 0.5 to 2.
    Scaled,
    /// At 0.8 to 1.25 of its times.
    Paced,
    /// With up to 3 px of noise in each coordinate of each sample.
    Noisy,
    /// Resampled to 60 Hz.
    At60Hz,
    /// Resampled to 240 Hz.
    At240Hz,
    /// Three fifths of it.
    Cut,
    /// Cut, turned, scaled, paced, resampled, shifted, with up to 1 px of noise.
    Everything,
    /// Left and right, or top and bottom, exchanged.
    Mirrored,
    /// Stretched by 0.7 to 1.4 in one direction.
    Stretched,
    /// Pieces of 0.3 to 1.5 s at paces of 0.85 to 1.18.
    Retimed,
    /// Re-timed in pieces, then resampled to 60 Hz.
    RetimedAt60Hz,
    /// The first half of one recording and the second half of another.
    Joined,
    /// Two fifths of it between the movement of a bot.
    Inside,
    /// Each reach turned and scaled by 0.75 to 1.3 onto a new target, in order.
    Reaches,
    /// The same with reaches of three recordings.
    ThreeSources,
    /// The same with each reach of another recording.
    ManySources,
}

impl Replay {
    /// All kinds, the plainest first.
    pub const ALL: [Self; 19] = [
        Self::AsItWas,
        Self::Shifted,
        Self::Turned,
        Self::Scaled,
        Self::Paced,
        Self::Noisy,
        Self::At60Hz,
        Self::At240Hz,
        Self::Cut,
        Self::Everything,
        Self::Mirrored,
        Self::Stretched,
        Self::Retimed,
        Self::RetimedAt60Hz,
        Self::Joined,
        Self::Inside,
        Self::Reaches,
        Self::ThreeSources,
        Self::ManySources,
    ];

    /// Its name in a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AsItWas => "as it was",
            Self::Shifted => "shifted",
            Self::Turned => "turned",
            Self::Scaled => "scaled 0.5-2",
            Self::Paced => "paced 0.8-1.25",
            Self::Noisy => "noise to 3 px",
            Self::At60Hz => "at 60 Hz",
            Self::At240Hz => "at 240 Hz",
            Self::Cut => "cut to 60 %",
            Self::Everything => "all, noise 1 px",
            Self::Mirrored => "mirrored",
            Self::Stretched => "stretched 0.7-1.4",
            Self::Retimed => "re-timed in pieces",
            Self::RetimedAt60Hz => "re-timed, 60 Hz",
            Self::Joined => "two halves joined",
            Self::Inside => "40 % inside a bot",
            Self::Reaches => "reaches re-laid",
            Self::ThreeSources => "reaches of three",
            Self::ManySources => "reaches of many",
        }
    }

    /// Whether it is made of single reaches: it is measured on sessions that have at least five, see
    /// [`has_five_reaches`].
    #[must_use]
    pub fn is_of_reaches(self) -> bool {
        matches!(self, Self::Reaches | Self::ThreeSources | Self::ManySources)
    }

    /// The replay of the session at `place`, and the places of all that it was made from. One made of reaches needs a
    /// session of five ([`has_five_reaches`]). `bot` makes the movement that
    /// [`Replay::Inside`] hides a recording in.
    pub fn apply<R: Rng>(
        self,
        sessions: &[Session],
        place: usize,
        bot: impl FnMut(&mut R) -> Session,
        rng: &mut R,
    ) -> (Session, Vec<usize>) {
        let mut session = sessions[place].clone();
        let mut sources = vec![place];
        let clicks = &mut session.clicks;
        let moves = &mut session.movements;
        match self {
            Self::AsItWas => {}
            Self::Shifted => shift(moves, clicks, rng),
            Self::Turned => turn(moves, rng),
            Self::Scaled => scale(moves, rng),
            Self::Paced => pace(moves, clicks, rng),
            Self::Noisy => noise(moves, 3.0, rng),
            Self::At60Hz => resample(moves, 60.0),
            Self::At240Hz => resample(moves, 240.0),
            Self::Cut => cut(moves, rng),
            Self::Everything => {
                cut(moves, rng);
                turn(moves, rng);
                scale(moves, rng);
                pace(moves, clicks, rng);
                resample(moves, rng.random_range(60.0..240.0));
                noise(moves, 1.0, rng);
                shift(moves, clicks, rng);
            }
            Self::Mirrored => relay::mirror(moves, rng),
            Self::Stretched => relay::stretch(moves, rng),
            Self::Retimed => relay::retime(moves, clicks, rng),
            Self::RetimedAt60Hz => {
                relay::retime(moves, clicks, rng);
                resample(moves, 60.0);
            }
            Self::Joined => {
                let other = rng.random_range(0..sessions.len());
                sources.push(other);
                session = relay::join(&[relay::part(&session, 0.0, 0.5), relay::part(&sessions[other], 0.5, 1.0)]);
            }
            Self::Inside => session = relay::inside(&session, bot, rng),
            Self::Reaches => session = relay::lay(&relay::pieces(&session), rng),
            Self::ThreeSources | Self::ManySources => {
                let own = relay::pieces(&session);
                let wanted = if self == Self::ThreeSources { 3 } else { own.len() };
                let mut pools = vec![own];
                while pools.len() < wanted {
                    let other = rng.random_range(0..sessions.len());
                    let pieces = relay::pieces(&sessions[other]);
                    if pieces.len() >= 5 {
                        sources.push(other);
                        pools.push(pieces);
                    }
                }
                let drawn: Vec<_> = (0..pools[0].len())
                    .map(|n| {
                        let pool = &pools[n % pools.len()];
                        pool[rng.random_range(0..pool.len())].clone()
                    })
                    .collect();
                session = relay::lay(&drawn, rng);
            }
        }
        (session, sources)
    }
}

/// Whether a session has five reaches or more between its clicks or stops.
#[must_use]
pub fn has_five_reaches(session: &Session) -> bool {
    relay::pieces(session).len() >= 5
}

fn shift(moves: &mut Movements, clicks: &mut [Click], rng: &mut impl Rng) {
    let by = (rng.random_range(-500.0..500.0), rng.random_range(-500.0..500.0));
    place(moves, |x, y| (x + by.0, y + by.1));
    moves.t.iter_mut().chain(clicks.iter_mut().map(|click| &mut click.t)).for_each(|t| *t += 12_345.0);
}

fn turn(moves: &mut Movements, rng: &mut impl Rng) {
    let (sin, cos) = rng.random_range(0.0..std::f64::consts::TAU).sin_cos();
    place(moves, |x, y| (cos * x - sin * y, sin * x + cos * y));
}

fn scale(moves: &mut Movements, rng: &mut impl Rng) {
    let by = 2f64.powf(rng.random_range(-1.0..1.0));
    place(moves, |x, y| (by * x, by * y));
}

fn pace(moves: &mut Movements, clicks: &mut [Click], rng: &mut impl Rng) {
    let by = rng.random_range(0.8..1.25);
    moves.t.iter_mut().chain(clicks.iter_mut().map(|click| &mut click.t)).for_each(|t| *t *= by);
}

/// Uniform, up to `most` px either way in each coordinate of each sample.
fn noise(moves: &mut Movements, most: f64, rng: &mut impl Rng) {
    place(moves, |x, y| (x + rng.random_range(-most..most), y + rng.random_range(-most..most)));
}

fn place(moves: &mut Movements, mut to: impl FnMut(f64, f64) -> (f64, f64)) {
    for (x, y) in moves.x.iter_mut().zip(&mut moves.y) {
        (*x, *y) = to(*x, *y);
    }
}

/// Samples at a constant rate, on straight lines between those recorded.
fn resample(moves: &mut Movements, hz: f64) {
    let (Some(first), Some(last)) = (moves.t.first().copied(), moves.t.last().copied()) else { return };
    let mut out = Movements::default();
    let (mut at, mut now) = (0, first);
    while now <= last {
        while at + 2 < moves.len() && moves.t[at + 1] <= now {
            at += 1;
        }
        let next = (at + 1).min(moves.len() - 1);
        let gap = moves.t[next] - moves.t[at];
        let share = if gap > 0.0 { ((now - moves.t[at]) / gap).clamp(0.0, 1.0) } else { 1.0 };
        out.x.push(moves.x[at] + share * (moves.x[next] - moves.x[at]));
        out.y.push(moves.y[at] + share * (moves.y[next] - moves.y[at]));
        out.t.push(now);
        now += 1000.0 / hz;
    }
    *moves = out;
}

/// Keeps three fifths of the time, beginning anywhere in the first two.
fn cut(moves: &mut Movements, rng: &mut impl Rng) {
    let (Some(first), Some(last)) = (moves.t.first().copied(), moves.t.last().copied()) else { return };
    let begin = first + rng.random_range(0.0..0.4) * (last - first);
    let within = begin..=begin + 0.6 * (last - first);
    let kept: Vec<usize> = (0..moves.len()).filter(|i| within.contains(&moves.t[*i])).collect();
    let pick = |column: &[f64]| kept.iter().map(|i| column[*i]).collect();
    *moves = Movements { x: pick(&moves.x), y: pick(&moves.y), t: pick(&moves.t), trusted: Vec::new() };
}
