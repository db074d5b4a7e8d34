//! A verification session parsed from untrusted JSON straight into columns, with every bound checked.
//!
//! Parsing and checking are one pass: nothing is allocated for a value before its bound is known to hold. Unknown
//! fields are ignored, repeated known ones are refused, `null` stands for an absent optional field, and a byte order mark
//! is passed over. A session without movements is one of somebody without a pointer.

use super::challenge::MAX_TOKEN;
use super::context;
use super::id::{SESSION_ID_RULE, SessionId};
use super::json::{Kind, Scanner, SyntaxError};
pub use super::movements::Movements;
use super::refusal::{FieldPath, Refusal};
use super::shape::Point;
use super::timestamps;

/// The largest coordinate, in pixels either side of zero.
pub const MAX_COORDINATE: f64 = 1e7;
/// The largest timestamp and duration, in milliseconds either side of zero.
pub const MAX_TIME_MS: f64 = 1e15;
/// The largest `hits` or `misses`.
pub const MAX_HITS: f64 = 1e6;
/// The longest string other than the identifier, in bytes.
pub const MAX_STRING: usize = 256;

/// Bytes of a movement as browsers write it, `{"x":1,"y":2,"timestamp":3},` and some digits more.
const TYPICAL_MOVEMENT: usize = 36;

/// Bounds that an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most movements kept of a session. Of more every second, fourth and so on is kept.
    pub movements: usize,
    /// Most clicks in a session.
    pub clicks: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { movements: 20_000, clicks: 2_000 }
    }
}

/// One button press or tap.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Click {
    /// Horizontal position, px.
    pub x: f64,
    /// Vertical position, px.
    pub y: f64,
    /// Client time, ms.
    pub t: f64,
    /// Whether a target was hit; not claimed where the client says nothing.
    pub target_hit: bool,
}

/// A session whose every value is within bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    /// Chosen by the client.
    pub id: SessionId,
    /// Carried along, never a feature.
    pub user_id: Option<String>,
    /// Carried along, never a feature; `""` when the client named none.
    pub deployment_id: String,
    /// Which game was played; `unknown` by default.
    pub game_type: String,
    /// mouse, touch, trackpad, stylus or anything else the client claims; `unknown` by default.
    pub device_type: String,
    /// The client's own measure, ms; may be negative.
    pub duration_ms: f64,
    /// Empty for somebody who used no pointer.
    pub movements: Movements,
    /// Movements that came and are not among them, because there were more than [`Bounds::movements`].
    pub thinned: usize,
    /// May be empty.
    pub clicks: Vec<Click>,
    /// Targets hit; 0 where the client says nothing, which claims none.
    pub hits: u32,
    /// Targets missed.
    pub misses: u32,
    /// Whether a batch verdict is wanted.
    pub use_batch: bool,
    /// The token of a challenge, which stands for a key; never kept.
    pub token: Option<String>,
}

impl Session {
    /// Parses one session from the bytes of a JSON document.
    ///
    /// # Errors
    /// A [`Refusal`] naming the field's path and the mend.
    pub fn parse(body: &[u8], bounds: &Bounds) -> Result<Self, Refusal> {
        let mut session = Self::default();
        session.parse_into(body, bounds)?;
        Ok(session)
    }

    /// As [`Session::parse`], reusing this session's buffers. After an error the contents are unspecified.
    ///
    /// # Errors
    /// A [`Refusal`] naming the field's path and the mend.
    pub fn parse_into(&mut self, body: &[u8], bounds: &Bounds) -> Result<(), Refusal> {
        self.read(body, bounds, true)
    }

    fn read(&mut self, body: &[u8], bounds: &Bounds, by_shape: bool) -> Result<(), Refusal> {
        let text = std::str::from_utf8(body).map_err(|e| {
            Refusal::malformed(FieldPath::Body, format!("is not valid UTF-8 at byte {}", e.valid_up_to()))
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        self.reset();
        Reader { scan: Scanner::new(text), by_shape, bounds, seen: 0 }.session(self)?;
        timestamps::check(&self.movements.t, self.clicks.len(), self.duration_ms)
    }

    fn reset(&mut self) {
        self.id = SessionId::default();
        self.user_id = None;
        self.deployment_id.clear();
        "unknown".clone_into(&mut self.game_type);
        "unknown".clone_into(&mut self.device_type);
        self.duration_ms = 0.0;
        self.movements.clear();
        self.thinned = 0;
        self.clicks.clear();
        self.hits = 0;
        self.misses = 0;
        self.use_batch = false;
        self.token = None;
    }
}

const FIELDS: [&str; 13] = [
    "sessionId",
    "userId",
    "deploymentId",
    "gameType",
    "deviceType",
    "durationMs",
    "movements",
    "clicks",
    "hits",
    "misses",
    "useBatch",
    "token",
    "context",
];
const REQUIRED_SESSION_ID: u32 = 1;
const REQUIRED_MOVEMENTS: u32 = 1 << 6;

pub(crate) struct Reader<'a> {
    pub(crate) scan: Scanner<'a>,
    /// Whether points may be read by the shape of those before them; it is faster and gives the same.
    pub(crate) by_shape: bool,
    bounds: &'a Bounds,
    seen: u32,
}

pub(crate) type Read<T> = Result<T, Refusal>;

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
pub(crate) fn syntax(error: SyntaxError) -> Refusal {
    Refusal::malformed(FieldPath::Body, error.to_string())
}

pub(crate) fn wrong_type(path: FieldPath, wanted: &str, found: Kind) -> Refusal {
    Refusal::malformed(path, format!("must be {wanted}, not {}", found.in_words()))
}

/// Notes that a field was seen; a second sight is a refusal.
#[inline]
pub(crate) fn once(seen: &mut u32, bit: usize, path: FieldPath) -> Read<()> {
    if *seen & (1 << bit) != 0 {
        return Err(Refusal::malformed(path, "is given twice; send it once"));
    }
    *seen |= 1 << bit;
    Ok(())
}

impl Reader<'_> {
    fn session(&mut self, out: &mut Session) -> Read<()> {
        let kind = self.scan.peek_kind().map_err(syntax)?;
        if kind != Kind::Object {
            return Err(wrong_type(FieldPath::Body, "a session object", kind));
        }
        self.scan.expect(b'{').map_err(syntax)?;
        let mut more = !self.scan.eat(b'}');
        while more {
            let name = self.scan.string().map_err(syntax)?;
            self.scan.expect(b':').map_err(syntax)?;
            match FIELDS.iter().position(|f| *f == name) {
                Some(field) => {
                    once(&mut self.seen, field, FieldPath::Field(FIELDS[field]))?;
                    self.field(field, out)?;
                }
                None => self.scan.skip_value().map_err(syntax)?,
            }
            more = self.scan.more(b'}').map_err(syntax)?;
        }
        self.scan.end().map_err(syntax)?;
        if self.seen & REQUIRED_SESSION_ID == 0 {
            return Err(Refusal::malformed(FieldPath::Field("sessionId"), "is missing; send a string"));
        }
        if self.seen & REQUIRED_MOVEMENTS == 0 {
            return Err(Refusal::malformed(
                FieldPath::Field("movements"),
                "is missing; send a list of {x, y, timestamp}",
            ));
        }
        Ok(())
    }

    fn field(&mut self, field: usize, out: &mut Session) -> Read<()> {
        let path = FieldPath::Field(FIELDS[field]);
        let kind = self.scan.peek_kind().map_err(syntax)?;
        if kind == Kind::Null {
            self.scan.null().map_err(syntax)?;
            // `null` is an absent value; the required fields then report themselves missing.
            if matches!(FIELDS[field], "sessionId" | "movements") {
                self.seen &= !(1 << field);
            }
            return Ok(());
        }
        match FIELDS[field] {
            "sessionId" => out.id = self.session_id(path, kind)?,
            "userId" => {
                let mut text = String::new();
                self.short_string(path, kind, &mut text)?;
                out.user_id = Some(text);
            }
            "deploymentId" => self.short_string(path, kind, &mut out.deployment_id)?,
            "gameType" => self.short_string(path, kind, &mut out.game_type)?,
            "deviceType" => self.short_string(path, kind, &mut out.device_type)?,
            "durationMs" => out.duration_ms = self.bounded(path, kind, MAX_TIME_MS)?,
            "movements" => out.thinned = self.movements(kind, &mut out.movements)?,
            "clicks" => self.clicks(kind, &mut out.clicks)?,
            "hits" => out.hits = self.count(path, kind)?,
            "misses" => out.misses = self.count(path, kind)?,
            "token" => out.token = Some(self.token(path, kind)?),
            "context" => context::check(&mut self.scan)?,
            _ => out.use_batch = self.boolean(path, kind)?,
        }
        Ok(())
    }

    fn token(&mut self, path: FieldPath, kind: Kind) -> Read<String> {
        if kind != Kind::String {
            return Err(wrong_type(path, "a string", kind));
        }
        let text = self.scan.string().map_err(syntax)?;
        if text.len() > MAX_TOKEN {
            return Err(Refusal::out_of_bounds(path, format!("must be at most {MAX_TOKEN} bytes long")));
        }
        Ok(text.into_owned())
    }

    fn session_id(&mut self, path: FieldPath, kind: Kind) -> Read<SessionId> {
        if kind != Kind::String {
            return Err(wrong_type(path, "a string", kind));
        }
        let text = self.scan.string().map_err(syntax)?;
        if text.is_empty() {
            return Err(Refusal::malformed(path, format!("is empty; it {SESSION_ID_RULE}")));
        }
        SessionId::parse(&text).ok_or_else(|| Refusal::out_of_bounds(path, SESSION_ID_RULE))
    }

    fn short_string(&mut self, path: FieldPath, kind: Kind, out: &mut String) -> Read<()> {
        if kind != Kind::String {
            return Err(wrong_type(path, "a string", kind));
        }
        let text = self.scan.string().map_err(syntax)?;
        if text.len() > MAX_STRING {
            let message = format!("must be at most {MAX_STRING} bytes long; it has {}", text.len());
            return Err(Refusal::out_of_bounds(path, message));
        }
        out.clear();
        out.push_str(&text);
        Ok(())
    }

    /// A finite number of at most `limit` in size; minus zero becomes zero.
    #[inline]
    pub(crate) fn bounded(&mut self, path: FieldPath, kind: Kind, limit: f64) -> Read<f64> {
        if kind != Kind::Number {
            return Err(wrong_type(path, "a number", kind));
        }
        let value = self.scan.number().map_err(syntax)?;
        if value.abs() <= limit {
            return Ok(value + 0.0);
        }
        Err(Refusal::out_of_bounds(path, format!("must be finite and at most {limit:e} in size")))
    }

    fn count(&mut self, path: FieldPath, kind: Kind) -> Read<u32> {
        let value = self.bounded(path, kind, MAX_HITS).map_err(|mut refusal| {
            if refusal.kind == super::refusal::RefusalKind::OutOfBounds {
                refusal.message = format!("must be a whole number from 0 to {MAX_HITS:e}");
            }
            refusal
        })?;
        if value < 0.0 || value.fract() != 0.0 {
            return Err(Refusal::out_of_bounds(path, format!("must be a whole number from 0 to {MAX_HITS:e}")));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within 0..=1e6")]
        Ok(value as u32)
    }

    pub(crate) fn boolean(&mut self, path: FieldPath, kind: Kind) -> Read<bool> {
        if kind != Kind::Bool {
            return Err(wrong_type(path, "true or false", kind));
        }
        self.scan.boolean().map_err(syntax)
    }

    /// Reads all of them and keeps an even selection within the bound; how many are left out.
    fn movements(&mut self, kind: Kind, out: &mut Movements) -> Read<usize> {
        // One allocation a column: a movement takes at least so many bytes of text, as real clients write it.
        let expected = (self.scan.left() / TYPICAL_MOVEMENT).min(self.bounds.movements);
        for column in [&mut out.x, &mut out.y, &mut out.t] {
            column.reserve(expected);
        }
        let most = self.bounds.movements;
        let mut every = 1; // a power of two
        let sent = self.points("movements", kind, usize::MAX, |index, point| {
            if index & (every - 1) == 0 && out.len() == most {
                out.halve();
                every *= 2;
            }
            if index & (every - 1) != 0 {
                return;
            }
            if point.trusted.is_some() && out.trusted.is_empty() {
                out.trusted.resize(out.len(), None);
            }
            if point.trusted.is_some() || !out.trusted.is_empty() {
                out.trusted.push(point.trusted);
            }
            out.x.push(point.x);
            out.y.push(point.y);
            out.t.push(point.t);
        })?;
        if out.trusted.iter().all(Option::is_none) {
            // Whatever said something was left out.
            out.trusted.clear();
        }
        Ok(sent - out.len())
    }

    fn clicks(&mut self, kind: Kind, out: &mut Vec<Click>) -> Read<()> {
        let take = |_, point: Point| {
            out.push(Click { x: point.x, y: point.y, t: point.t, target_hit: point.target_hit });
        };
        self.points("clicks", kind, self.bounds.clicks, take).map(drop)
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "shape_tests.rs"]
mod shape_tests;
