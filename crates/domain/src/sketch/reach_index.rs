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
const WIDTH: f32 = 7.0;
/// Cells that a reach is looked for in.
const PROBES: usize = 8;
/// Most sessions that are compared reach by reach in one look-up.
const MAX_CANDIDATES: usize = 16;
/// Kept sessions whose reaches say at least so much are looked at further,
const MIN_EVIDENCE: f32 = 1.5;
/// and so are those of which so many reaches lie in the cells.
const MIN_VOTES: u16 = 2;
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
    first: u32,
    count: u16,
    is_gone: bool,
}

/// What the reaches of a kept session say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReachMatch {
    /// The session.
    pub id: i64,
    /// The sum of what its reaches exceed chance by, decimal logarithm.
    pub evidence: f32,
    /// Reaches of the movement that have a copy in it.
    pub reaches: u16,
    /// How often a reach of it lay in a cell that was looked into.
    pub votes: u16,
}

impl ReachMatch {
    /// Whether it says enough to lay the one movement over the other.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.evidence >= MIN_EVIDENCE || self.votes >= MIN_VOTES
    }
}

/// What a look-up found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Kept sessions, the one that most speaks for first.
    pub sessions: Vec<ReachMatch>,
    /// The sum over the movement's reaches of the most that any kept session exceeds chance by: what a movement that was
    /// put together from many shows.
    pub together: f32,
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
        let mut count = 0u16;
        for reach in reaches {
            self.entries.push(Entry { next: NONE, session: place, tag: 0, kind: reach.kind, shape: reach.shape });
            count += 1;
        }
        if self.entries.len() >= NONE as usize {
            self.entries.truncate(first as usize);
            return;
        }
        self.places.insert(id, place);
        self.sessions.push(Session { id, salt, first, count, is_gone: false });
        if self.entries.len() > self.heads.len() * 2 {
            self.link_all();
        } else {
            (first..first + u32::from(count)).for_each(|entry| self.link(entry));
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

    /// The kept sessions of the movement's deployment whose reaches are copies of its own, those of which `wanted` says
    /// so.
    #[must_use]
    pub fn look_up(&self, movement: &Movement, wanted: impl Fn(i64) -> bool) -> Found {
        if self.heads.is_empty() {
            return Found::default();
        }
        let mut hits: Vec<(u32, f32)> = Vec::new();
        let mut together = 0.0f32;
        for reach in &movement.reaches {
            let mut most = 0.0f32;
            for hash in probes(reach.kind, &reach.shape, movement.salt) {
                let mut at = self.heads[self.head(hash)];
                while at != NONE {
                    let entry = &self.entries[at as usize];
                    at = entry.next;
                    if entry.tag != tag(hash) || entry.kind != reach.kind {
                        continue;
                    }
                    if self.is_wanted(entry.session, movement.salt, &wanted) {
                        let excess = reach.target.excess(&entry.shape);
                        hits.push((entry.session, excess));
                        most = most.max(excess);
                    }
                }
            }
            together += most;
        }
        hits.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        // What a session's reaches exceed by, and how many of them lie in the cells, which noise leaves them in.
        let mut candidates: Vec<(u32, f32, u16)> = Vec::new();
        for (session, excess) in hits {
            match candidates.last_mut() {
                Some((last, sum, votes)) if *last == session => {
                    *sum += excess;
                    *votes += 1;
                }
                _ => candidates.push((session, excess, 1)),
            }
        }
        candidates.retain(|(_, sum, votes)| *sum > 0.0 || *votes >= MIN_VOTES);
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.2.cmp(&a.2)).then(a.0.cmp(&b.0)));
        candidates.truncate(MAX_CANDIDATES);
        let mut sessions: Vec<ReachMatch> =
            candidates.iter().map(|(place, _, votes)| self.compare(movement, *place, *votes)).collect();
        let order = |a: &ReachMatch, b: &ReachMatch| b.evidence.total_cmp(&a.evidence).then(b.votes.cmp(&a.votes));
        sessions.sort_by(|a, b| order(a, b).then(a.id.cmp(&b.id)));
        Found { sessions, together }
    }

    fn is_wanted(&self, place: u32, salt: u32, wanted: &impl Fn(i64) -> bool) -> bool {
        let session = &self.sessions[place as usize];
        !session.is_gone && session.salt == salt && wanted(session.id)
    }

    /// All reaches of the movement with all of a session.
    fn compare(&self, movement: &Movement, place: u32, votes: u16) -> ReachMatch {
        let session = &self.sessions[place as usize];
        let first = session.first as usize;
        let kept = &self.entries[first..first + usize::from(session.count)];
        let (mut evidence, mut reaches) = (0.0, 0);
        for reach in &movement.reaches {
            let same = kept.iter().filter(|entry| entry.kind == reach.kind);
            let best = same.map(|entry| reach.target.excess(&entry.shape)).fold(0.0, f32::max);
            evidence += best;
            reaches += u16::from(best > 0.0);
        }
        ReachMatch { id: session.id, evidence, reaches, votes }
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

    /// Makes room for twice as many and links every entry anew.
    fn link_all(&mut self) {
        let heads = self.entries.len().next_power_of_two().max(1024);
        self.heads.clear();
        self.heads.resize(heads, NONE);
        for number in 0..self.entries.len() {
            self.entries[number].next = NONE;
            if let (false, Ok(number)) =
                (self.sessions[self.entries[number].session as usize].is_gone, u32::try_from(number))
            {
                self.link(number);
            }
        }
    }

    /// Drops what is gone.
    fn compact(&mut self) {
        let old = std::mem::take(self);
        for session in old.sessions.iter().filter(|session| !session.is_gone) {
            let first = session.first as usize;
            let reaches = &old.entries[first..first + usize::from(session.count)];
            let reaches = reaches.iter().map(|entry| KeptReach {
                kind: entry.kind,
                mirrored: false,
                begin: 0,
                length: 0,
                shape: entry.shape,
            });
            self.insert(session.id, session.salt, reaches);
        }
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
