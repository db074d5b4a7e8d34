//! The model file: `magic | version | length | payload | SHA-256 of all before`, numbers little-endian.
//!
//! The payload names its feature set and every column, so that a program whose columns differ refuses it. Parsing is
//! bounded: a count is believed only as far as the bytes that are left could hold so many items.

use sha2::{Digest as _, Sha256};

use super::boosting::{Boosted, Split};
use super::by_source::{Source, SourceCalibration};
use super::classifier::{Classifier, Column};
use super::familiarity::{Familiarity, Trait};
use super::judge::Judge;
use super::quantiles::{Profile, SHARES};
use super::support::{KNOTS, Scale, Support};
use playproof_domain::calibration::Calibration;
use playproof_domain::features::FeatureSet;

const MAGIC: &[u8; 8] = b"PPBMODEL";
const VERSION: u32 = 4;
const DIGEST: usize = 32;
/// Larger files are refused unread.
pub const MAX_BYTES: usize = 64 << 20;

/// Why bytes are not a usable model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Something else altogether.
    #[error("this is not a model file; name a file that `train` wrote")]
    NotAModel,
    /// From a newer or older program.
    #[error("the model file has format {0}, this program reads format {VERSION}; train it again with this program")]
    Format(u32),
    /// Too large to be one.
    #[error("the model file is larger than {} MiB; name a file that `train` wrote", MAX_BYTES >> 20)]
    TooLarge,
    /// Changed or cut short since it was written.
    #[error("the model file is damaged ({0}); get it again or train it again")]
    Damaged(&'static str),
    /// Trained on features that this program does not compute.
    #[error(
        "the model wants the feature set {0}, which this program does not compute as the model expects; train it again with this program"
    )]
    FeatureSet(String),
}

/// What a model file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// The features its rows hold.
    pub set: FeatureSet,
    /// What it was fitted and calibrated on, for people.
    pub provenance: String,
    /// Judges every session.
    pub judge: Judge,
}

impl Contents {
    /// The file's bytes; the same contents always give the same bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Writer(Vec::new());
        body.text(self.set.name());
        body.count(self.set.columns().len());
        self.set.columns().iter().for_each(|name| body.text(name));
        body.text(&self.provenance);
        body.judge(&self.judge);

        let mut file = Vec::with_capacity(body.0.len() + 64);
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&VERSION.to_le_bytes());
        file.extend_from_slice(&(body.0.len() as u64).to_le_bytes());
        file.extend_from_slice(&body.0);
        let digest = Sha256::digest(&file);
        file.extend_from_slice(&digest);
        file
    }

    /// Reads a file's bytes; also gives their digest.
    ///
    /// # Errors
    /// [`ModelError`]: one sentence with the mend.
    pub fn decode(file: &[u8]) -> Result<(Self, [u8; DIGEST]), ModelError> {
        if file.len() > MAX_BYTES {
            return Err(ModelError::TooLarge);
        }
        let rest = file.strip_prefix(MAGIC).ok_or(ModelError::NotAModel)?;
        let mut head = Reader(rest);
        let version = head.word()?;
        if version != VERSION {
            return Err(ModelError::Format(version));
        }
        let length = u64::from_le_bytes(head.array()?);
        let body_length = head.0.len().checked_sub(DIGEST).ok_or(CUT_SHORT)?;
        if length != body_length as u64 {
            return Err(CUT_SHORT);
        }
        let (body, digest) = head.0.split_at(body_length);
        let found: [u8; DIGEST] = Sha256::digest(&file[..file.len() - DIGEST]).into();
        if digest != found {
            return Err(ModelError::Damaged("its checksum does not match"));
        }
        let mut body = Reader(body);
        let contents = body.contents()?;
        if !body.0.is_empty() {
            return Err(ModelError::Damaged("something follows its end"));
        }
        Ok((contents, found))
    }
}

const CUT_SHORT: ModelError = ModelError::Damaged("its length is wrong");
const UNFIT: ModelError = ModelError::Damaged("its parts do not fit together");

struct Writer(Vec<u8>);

impl Writer {
    fn count(&mut self, n: usize) {
        // A model has at most some million numbers; more would not load again.
        self.0.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn double(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn singles(&mut self, values: &[f32]) {
        self.count(values.len());
        for value in values {
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn calibration(&mut self, set: &Calibration) {
        self.count(set.len());
        for value in set.values() {
            self.double(*value);
        }
    }

    fn judge(&mut self, judge: &Judge) {
        self.count(judge.classifier.columns().len());
        for column in judge.classifier.columns() {
            self.count(column.index);
            column.people.0.iter().for_each(|value| self.double(*value));
        }
        self.trees(judge.classifier.trees());
        self.count(judge.support.scales().len());
        for scale in judge.support.scales() {
            self.count(scale.index);
            self.singles(&scale.knots);
        }
        self.singles(judge.support.mean());
        self.singles(judge.support.precision());
        let familiarity = judge.calibration.familiarity();
        self.count(familiarity.traits().len());
        for known in familiarity.traits() {
            self.count(known.column);
            self.singles(&[known.mean, known.spread]);
        }
        self.singles(familiarity.fitted());
        self.singles(&familiarity.reach());
        for sources in [judge.calibration.home(), judge.calibration.foreign()] {
            self.count(sources.len());
            for source in sources {
                self.calibration(&source.raw);
                self.calibration(&source.distance);
            }
        }
    }

    fn trees(&mut self, trees: &Boosted) {
        self.0.extend_from_slice(&trees.depth().to_le_bytes());
        self.count(trees.splits().len());
        for split in trees.splits() {
            self.0.extend_from_slice(&split.column.to_le_bytes());
            self.0.extend_from_slice(&split.threshold.to_le_bytes());
        }
        self.singles(trees.leaves());
    }
}

type Read<T> = Result<T, ModelError>;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Read<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(CUT_SHORT)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| CUT_SHORT)
    }

    fn word(&mut self) -> Read<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn double(&mut self) -> Read<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    fn index(&mut self) -> Read<usize> {
        usize::try_from(self.word()?).map_err(|_| CUT_SHORT)
    }

    /// A number of items that take at least `least` bytes each.
    fn count(&mut self, least: usize) -> Read<usize> {
        let n = self.index()?;
        if n > self.0.len() / least { Err(CUT_SHORT) } else { Ok(n) }
    }

    fn text(&mut self) -> Read<String> {
        let n = self.count(1)?;
        let bytes = self.take(n)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| ModelError::Damaged("its text is not UTF-8"))
    }

    fn list<T>(&mut self, least: usize, mut item: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let n = self.count(least)?;
        (0..n).map(|_| item(self)).collect()
    }

    fn singles(&mut self) -> Read<Vec<f32>> {
        self.list(4, |r| Ok(f32::from_le_bytes(r.array()?)))
    }

    fn calibration(&mut self) -> Read<Calibration> {
        let values = self.list(8, Self::double)?;
        if values.iter().all(|v| v.is_finite()) { Ok(Calibration::new(values)) } else { Err(UNFIT) }
    }

    fn contents(&mut self) -> Read<Contents> {
        let name = self.text()?;
        let columns = self.list(4, Self::text)?;
        let set = FeatureSet::parse(&name).filter(|set| set.columns() == columns);
        let set = set.ok_or_else(|| ModelError::FeatureSet(printable(&name)))?;
        let provenance = self.text()?;
        let width = set.columns().len();
        let judge = self.judge(width)?;
        Ok(Contents { set, provenance, judge })
    }

    fn judge(&mut self, width: usize) -> Read<Judge> {
        let columns = self.list(4 + 8 * SHARES.len(), |r| {
            let index = r.index()?;
            let mut people = Profile([0.0; SHARES.len()]);
            for value in &mut people.0 {
                *value = r.double()?;
            }
            Ok(Column { index, people })
        })?;
        let trees = self.trees(columns.len())?;
        let classifier = Classifier::from_parts(columns, trees, width).ok_or(UNFIT)?;
        let scales = self.list(4 + 4 * KNOTS, |r| {
            let index = r.index()?;
            Ok(Scale { index, knots: r.exactly()? })
        })?;
        let (mean, precision) = (self.singles()?, self.singles()?);
        let support = Support::from_parts(scales, mean, precision, width).ok_or(UNFIT)?;
        let traits = self.list(12, |r| {
            let column = r.index()?;
            let [mean, spread] = r.exactly()?;
            Ok(Trait { column, mean, spread })
        })?;
        let (fitted, reach) = (self.singles()?, self.exactly()?);
        let familiarity = Familiarity::from_parts(traits, fitted, reach, width).ok_or(UNFIT)?;
        let (home, foreign) = (self.sources()?, self.sources()?);
        let calibration = SourceCalibration::new(familiarity, home, foreign).ok_or(UNFIT)?;
        Ok(Judge { classifier, support, calibration })
    }

    fn sources(&mut self) -> Read<Vec<Source>> {
        self.list(8, |r| Ok(Source { raw: r.calibration()?, distance: r.calibration()? }))
    }

    /// A list of just so many numbers.
    fn exactly<const N: usize>(&mut self) -> Read<[f32; N]> {
        self.singles()?.try_into().map_err(|_| UNFIT)
    }

    fn trees(&mut self, width: usize) -> Read<Boosted> {
        let depth = self.word()?;
        let splits = self.list(6, |r| {
            let column = u16::from_le_bytes(r.array()?);
            Ok(Split { column, threshold: f32::from_le_bytes(r.array()?) })
        })?;
        let leaves = self.singles()?;
        Boosted::from_parts(depth, splits, leaves, width).ok_or(UNFIT)
    }
}

/// A name from a file, fit to be shown in an error.
fn printable(name: &str) -> String {
    name.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
#[path = "file_tests.rs"]
pub(super) mod tests;
