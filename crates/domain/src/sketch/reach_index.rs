//! The reaches of all kept sketches, in memory, found by their shape.
//!
//! A shape's eight most telling numbers are cut into cells; a reach is kept in its cell and looked for there and in the
//! seven neighbouring ones it is nearest to (locality-sensitive hashing, Indyk and Motwani, 1998, with the probing of
//! Lv and others, 2007). A cell holds at most [`MAX_CELL`] reaches: what so many share says little, and a look-up costs
//! the same however often one movement is sent. In a full cell a new reach takes the place of an older one in one of four
//! cases only, and of which one is as good as random, so that who fills a cell has to send many times what it holds to
//! push others out.

use std::collections::HashMap;

use super::compact::{self, KeptReach};
use super::movement::{Movement, Sketch};
use super::shape::{Kind, Packed, levels};

/// Most reaches in a cell.
pub const MAX_CELL: usize = 32;
/// Numbers that are cut into cells.
const CUT: usize = 8;
/// Width of a cell, in typical changes of a copy.
const WIDTH: f32 = 10.0;
/// Cells that a reach is looked for in.
const PROBES: usize = 8;
/// Most stored sessions that a look-up names.
pub const MAX_NAMED: usize = 8;
/// Most sessions of which those are chosen, the best by themselves.
const MAX_WEIGHED: usize = 48;
/// What a reach counts in a session where another that was chosen has it, as a share.
const KNOWN_ALREADY: f32 = 0.5;
/// Stored sessions whose reaches count less together are not named.
const MIN_SCORE: f32 = 3.0;
/// No entry.
const NONE: u32 = u32::MAX;

/// One kept reach: 24 bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The next one of its chain.
    next: u32,
    /// Its session's place.
    session: u32,
    /// Part of its cell's hash.
    tag: u16,
    kind: Kind,
    shape: Packed,
}

/// One kept session.
#[derive(Clone, Copy, Debug)]
struct Session {
    id: i64,
    salt: u32,
    is_gone: bool,
}

/// An index of reaches.
#[derive(Debug, Default)]
pub struct ReachIndex {
    heads: Vec<u32>,
    entries: Vec<Entry>,
    sessions: Vec<Session>,
    places: HashMap<i64, u32>,
    gone: usize,
}

impl ReachIndex {
    /// Keeps the reaches of a session under `id`; nothing where that is kept already.
    pub fn insert(&mut self, id: i64, salt: u32, reaches: impl Iterator<Item = KeptReach>) {
        if self.places.contains_key(&id) {
            return;
        }
        let (Ok(place), Ok(first)) = (u32::try_from(self.sessions.len()), u32::try_from(self.entries.len())) else {
            return;
        };
        let entry =
            |reach: KeptReach| Entry { next: NONE, session: place, tag: 0, kind: reach.kind, shape: reach.shape };
        self.entries.extend(reaches.map(entry));
        if self.entries.len() >= NONE as usize {
            self.entries.truncate(first as usize);
            return;
        }
        self.places.insert(id, place);
        self.sessions.push(Session { id, salt, is_gone: false });
        if self.entries.len() > self.heads.len() * 2 {
            self.link_all();
        } else {
            (first..self.numbers().end).for_each(|entry| self.link(entry));
        }
    }

    /// Lets go of a session: it is not found any more.
    pub fn remove(&mut self, id: i64) {
        if let Some(session) = self.places.remove(&id).and_then(|place| self.sessions.get_mut(place as usize)) {
            session.is_gone = true;
            self.gone += 1;
            if self.gone > 1024 && self.gone * 4 > self.sessions.len() {
                self.compact();
            }
        }
    }

    /// Whether a session is kept.
    #[must_use]
    pub fn contains(&self, id: i64) -> bool {
        self.places.contains_key(&id)
    }

    /// Sessions kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of memory in use.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.heads.capacity() * size_of::<u32>()
            + self.entries.capacity() * size_of::<Entry>()
            + self.sessions.capacity() * size_of::<Session>()
            + self.places.capacity() * (size_of::<(i64, u32)>() + 1)
    }

    /// The stored sessions of the movement's deployment that are most likely to share reaches with it, the likeliest
    /// first, of those that `wanted` lets through. They are to be compared with it: a look-up judges single reaches
    /// roughly, and knows nothing of their order.
    #[must_use]
    pub fn look_up(&self, movement: &Movement, wanted: impl Fn(i64) -> bool) -> Vec<i64> {
        if self.heads.is_empty() {
            return Vec::new();
        }
        // A number each, in the order of session, reach and score: a session's repeats of one reach count once, the best.
        let mut hits: Vec<u64> = Vec::new();
        for (number, reach) in movement.reaches.iter().enumerate() {
            for hash in probes(reach.kind, &reach.shape, movement.salt) {
                let mut at = self.heads[self.head(hash)];
                while at != NONE {
                    let entry = &self.entries[at as usize];
                    at = entry.next;
                    if entry.tag != tag(hash) || entry.kind != reach.kind {
                        continue;
                    }
                    let score = reach.target.in_look_up(reach.target.distance(&entry.shape));
                    if score > 0.0 {
                        hits.push(hit(entry.session, number, score));
                    }
                }
            }
        }
        hits.sort_unstable();
        let mut best: Vec<Hit> = Vec::new();
        best.extend(hits.chunk_by(|a, b| a >> SCORE_BITS == b >> SCORE_BITS).filter_map(|of| of.last()).map(Hit::from));
        let of_sessions = best.chunk_by(|a, b| a.session == b.session);
        let mut scores: Vec<(f32, &[Hit])> = of_sessions.map(|of| (of.iter().map(|hit| hit.score).sum(), of)).collect();
        scores.retain(|(score, _)| *score >= MIN_SCORE);
        scores.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1[0].session.cmp(&b.1[0].session)));
        let wanted = scores.iter().map(|(_, hits)| *hits).filter(|hits| {
            let of = &self.sessions[hits[0].session as usize];
            !of.is_gone && of.salt == movement.salt && wanted(of.id)
        });
        let chosen = chosen(wanted.take(MAX_WEIGHED).collect());
        chosen.into_iter().map(|session| self.sessions[session as usize].id).collect()
    }

    fn head(&self, hash: u64) -> usize {
        (hash >> 16) as usize & (self.heads.len() - 1)
    }

    /// Puts an entry into the chain of its cell, unless that is full.
    fn link(&mut self, number: u32) {
        let entry = self.entries[number as usize];
        let hash = cell(entry.kind, &entry.shape, self.sessions[entry.session as usize].salt).hash(&[]);
        let (head, tag) = (self.head(hash), tag(hash));
        let (mut at, mut count) = (self.heads[head], 0);
        let chance = hash.wrapping_add(u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let loser = (chance >> 2) as usize % MAX_CELL;
        let mut replaced = NONE;
        while at != NONE {
            let other = &self.entries[at as usize];
            if other.tag == tag && other.kind == entry.kind {
                if count == loser {
                    replaced = at;
                }
                count += 1;
            }
            at = other.next;
        }
        self.entries[number as usize].tag = tag;
        if count >= MAX_CELL {
            if chance & 3 != 0 {
                return;
            }
            self.unlink(head, replaced);
        }
        self.entries[number as usize].next = self.heads[head];
        self.heads[head] = number;
    }

    fn unlink(&mut self, head: usize, number: u32) {
        let next = self.entries[number as usize].next;
        if self.heads[head] == number {
            self.heads[head] = next;
            return;
        }
        let mut at = self.heads[head];
        while at != NONE {
            let after = self.entries[at as usize].next;
            if after == number {
                self.entries[at as usize].next = next;
                return;
            }
            at = after;
        }
    }

    /// The numbers of all entries.
    fn numbers(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.entries.len()).unwrap_or(NONE)
    }

    /// Makes room for twice as many and links every entry anew, those of a chain beside each other in memory: to walk a
    /// chain that is spread over it costs a look-up most of its time.
    fn link_all(&mut self) {
        let heads = self.entries.len().next_power_of_two().max(1024);
        self.heads.clear();
        self.heads.resize(heads, NONE);
        let head = |entry: &Entry| {
            self.head(cell(entry.kind, &entry.shape, self.sessions[entry.session as usize].salt).hash(&[]))
        };
        let mut order: Vec<(u32, u32)> = Vec::with_capacity(self.entries.len());
        #[expect(clippy::cast_possible_truncation, reason = "fewer heads than twice the entries, whose numbers fit")]
        order.extend(self.numbers().zip(&self.entries).map(|(number, entry)| (head(entry) as u32, number)));
        order.sort_unstable();
        self.entries = order.iter().map(|(_, number)| Entry { next: NONE, ..self.entries[*number as usize] }).collect();
        // A removed session takes no place in a cell.
        let is_kept = |entry: &Entry| !self.sessions[entry.session as usize].is_gone;
        let kept: Vec<u32> = self.numbers().zip(&self.entries).filter(|(_, e)| is_kept(e)).map(|(n, _)| n).collect();
        for number in kept {
            self.link(number);
        }
    }

    /// Drops what is gone.
    fn compact(&mut self) {
        let old = std::mem::take(self);
        let mut moved = vec![NONE; old.sessions.len()];
        for (place, session) in moved.iter_mut().zip(old.sessions).filter(|(_, session)| !session.is_gone) {
            *place = u32::try_from(self.sessions.len()).unwrap_or(NONE);
            self.places.insert(session.id, *place);
            self.sessions.push(session);
        }
        let entries = old.entries.into_iter().map(|entry| Entry { session: moved[entry.session as usize], ..entry });
        self.entries = entries.filter(|entry| entry.session != NONE).collect();
        self.link_all();
    }
}

impl Sketch {
    /// Puts its reaches into an index under `id`; `false` where it is damaged, or of a layout that had none.
    pub fn insert_into(&self, index: &mut ReachIndex, id: i64) -> bool {
        let Some((salt, reaches)) = compact::reaches(self.bytes()) else { return false };
        index.insert(id, salt, reaches);
        true
    }
}

/// Bits of a hit that hold the reach, above those of the score: a movement has at most 32.
const REACH_BITS: u32 = 5;
/// Bits of a hit that hold the score: a positive number's own, in their order, without the last five.
const SCORE_BITS: u32 = 27;

/// A hit as one number: the session, the reach, the score.
fn hit(session: u32, reach: usize, score: f32) -> u64 {
    let reach = (reach as u64) & ((1 << REACH_BITS) - 1);
    u64::from(session) << (REACH_BITS + SCORE_BITS) | reach << SCORE_BITS | u64::from(score.to_bits() >> REACH_BITS)
}

/// A reach of the movement, and the most that a session's like it counts.
#[derive(Clone, Copy, Debug)]
struct Hit {
    session: u32,
    reach: usize,
    score: f32,
}

impl From<&u64> for Hit {
    fn from(hit: &u64) -> Self {
        let score = (hit & ((1 << SCORE_BITS) - 1)) << REACH_BITS;
        #[expect(clippy::cast_possible_truncation, reason = "32 bits each")]
        let (session, score) = ((hit >> (REACH_BITS + SCORE_BITS)) as u32, score as u32);
        let reach = (hit >> SCORE_BITS) as usize & ((1 << REACH_BITS) - 1);
        Self { session, reach, score: f32::from_bits(score) }
    }
}

/// The sessions that tell most about the movement together. A reach that is known of a session already counts less in the
/// next one: otherwise the many that share one part of a movement would leave no place to the source of another part.
fn chosen(mut sessions: Vec<&[Hit]>) -> Vec<u32> {
    let mut weights = [1.0f32; 1 << REACH_BITS];
    let mut chosen = Vec::with_capacity(MAX_NAMED);
    while chosen.len() < MAX_NAMED {
        let weighed = sessions.iter().map(|hits| hits.iter().map(|hit| hit.score * weights[hit.reach]).sum::<f32>());
        // The first of equals: the sessions are in the order of what they count alone.
        let most = weighed.enumerate().reduce(|most, next| if next.1 > most.1 { next } else { most });
        let Some((place, _)) = most else { break };
        let hits = sessions.remove(place);
        for hit in hits {
            weights[hit.reach] *= KNOWN_ALREADY;
        }
        chosen.push(hits[0].session);
    }
    chosen
}

fn tag(hash: u64) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "the low bits")]
    let tag = hash as u16;
    tag
}

/// A cell, and how near its walls a shape is.
struct Cell {
    seed: u64,
    at: [i32; CUT],
    /// The distance to the nearest wall in each number, and the way to it, the nearest first.
    walls: [(f32, usize, i32); CUT],
}

fn cell(kind: Kind, shape: &Packed, salt: u32) -> Cell {
    const TELLING: [[usize; CUT]; 3] = [[0, 6, 1, 7, 2, 8, 3, 9], [0, 6, 1, 2, 8, 7, 3, 9], [0, 6, 1, 2, 7, 8, 3, 10]];
    let (levels, noise) = (levels(kind), kind.noise());
    let mut cell = Cell {
        seed: 0x9e37_79b9_7f4a_7c15 ^ u64::from(salt) << 8 ^ kind.number() as u64,
        at: [0; CUT],
        walls: [(0.0, 0, 0); CUT],
    };
    for (n, d) in TELLING[kind.number()].into_iter().enumerate() {
        let value = levels[d][usize::from(shape[d].cast_unsigned())] / (WIDTH * noise[d]);
        let share = value - value.floor();
        #[expect(clippy::cast_possible_truncation, reason = "shapes lie within -1 to 1")]
        let at = value.floor() as i32;
        cell.at[n] = at;
        cell.walls[n] = if share < 0.5 { (share, n, -1) } else { (1.0 - share, n, 1) };
    }
    cell.walls.sort_by(|a, b| a.0.total_cmp(&b.0));
    cell
}

impl Cell {
    /// The hash of the cell beyond some walls.
    fn hash(&self, beyond: &[usize]) -> u64 {
        let mut at = self.at;
        for (_, n, by) in beyond.iter().map(|wall| self.walls[*wall]) {
            at[n] += by;
        }
        at.iter().fold(self.seed, |state, value| {
            let state = (state ^ u64::from(value.cast_unsigned())).wrapping_mul(0xff51_afd7_ed55_8ccd);
            state ^ state >> 32
        })
    }
}

/// A reach's own cell and the nearest others.
fn probes(kind: Kind, shape: &Packed, salt: u32) -> [u64; PROBES] {
    let cell = cell(kind, shape, salt);
    let beyond: [&[usize]; PROBES] = [&[], &[0], &[1], &[2], &[0, 1], &[3], &[0, 2], &[1, 2]];
    beyond.map(|walls| cell.hash(walls))
}
