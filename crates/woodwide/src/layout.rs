//! What goes into one call: the batch, canaries at random places, and known rows that fill it up; and back again.
//!
//! Everything that was added has a known answer. An answer that gets it wrong is an answer about other rows, and
//! nothing of it is believed.

use rand::Rng;
use rand::seq::SliceRandom as _;

use super::answer::Scores;
use super::reference::Reference;
use super::table::{Cells, Table};
use playproof_detector::Row;

/// Who stands at one place of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The batch's row with this place.
    Session(usize),
    /// The known human row with this place.
    Known(usize),
    /// The row that no human comes near.
    Outlier,
}

/// The places of one call.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) slots: Vec<Slot>,
}

impl Layout {
    /// Exactly these rows in this order.
    pub(super) fn fixed(slots: Vec<Slot>) -> Self {
        Self { slots }
    }

    /// The batch's rows in order among `added` at random places; what is added together stays together.
    pub(super) fn mixed(sessions: usize, added: Vec<Vec<Slot>>, rng: &mut impl Rng) -> Self {
        let mut takes: Vec<bool> = std::iter::repeat_n(true, sessions).chain(added.iter().map(|_| false)).collect();
        takes.shuffle(rng);
        let (mut next, mut added) = (0, added.into_iter());
        let slots = takes.into_iter().filter_map(|session| {
            if session {
                next += 1;
                Some(vec![Slot::Session(next - 1)])
            } else {
                added.next()
            }
        });
        Self { slots: slots.flatten().collect() }
    }

    /// The file to send.
    pub(super) fn table(&self, name: String, rows: &[Row], reference: &Reference) -> Table {
        Table::new(name, self.cells(rows, reference))
    }

    /// What stands at each place.
    pub(super) fn cells<'c>(&'c self, rows: &'c [Row], reference: &'c Reference) -> impl Iterator<Item = Cells<'c>> {
        self.slots.iter().filter_map(move |slot| match slot {
            Slot::Session(place) => rows.get(*place).map(|row| Cells {
                game_type: &row.game_type,
                device_type: &row.device_type,
                features: &row.features,
            }),
            Slot::Known(place) => Some(reference.row(*place)),
            Slot::Outlier => Some(reference.outlier()),
        })
    }

    /// Scores and flags of the added rows.
    pub(super) fn added<'s>(&'s self, answered: &'s Scores) -> impl Iterator<Item = (Slot, Option<f64>, bool)> + 's {
        let score = |i: usize| answered.scores.as_ref().and_then(|scores| scores.get(i)).copied();
        let places = self.slots.iter().copied().enumerate();
        places
            .filter(|(_, slot)| !matches!(slot, Slot::Session(_)))
            .map(move |(i, slot)| (slot, score(i), answered.flags.get(i).copied().unwrap_or(false)))
    }

    /// Scores and flags of the batch's rows, in their order.
    pub(super) fn sessions<'s>(
        &'s self,
        answered: &'s Scores,
    ) -> impl Iterator<Item = (usize, Option<f64>, bool)> + 's {
        let score = |i: usize| answered.scores.as_ref().and_then(|scores| scores.get(i)).copied();
        self.slots.iter().enumerate().filter_map(move |(i, slot)| match slot {
            Slot::Session(place) => Some((*place, score(i), answered.flags.get(i).copied().unwrap_or(false))),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn every_row_stands_somewhere_once_and_comes_back_in_order() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let added = || vec![vec![Slot::Known(7)], vec![Slot::Known(9), Slot::Outlier]];
        let layout = Layout::mixed(50, added(), &mut rng);
        assert_eq!(layout.slots.len(), 53);
        assert!(layout.slots.windows(2).any(|pair| pair == [Slot::Known(9), Slot::Outlier]), "these stay together");
        let answered = Scores { flags: vec![false; 53], scores: Some((0..53).map(f64::from).collect()) };
        let sessions: Vec<usize> = layout.sessions(&answered).map(|(place, ..)| place).collect();
        assert_eq!(sessions, (0..50).collect::<Vec<_>>());
        for (place, score, _) in layout.sessions(&answered) {
            assert_eq!(layout.slots[score.unwrap() as usize], Slot::Session(place));
        }
        assert_eq!(layout.added(&answered).count(), 3);
        let other = Layout::mixed(50, added(), &mut rng);
        assert_ne!(layout.slots, other.slots, "places are drawn anew");
    }
}
