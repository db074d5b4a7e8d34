//! Pairing a detector's answers to the rows it was asked about: by id, counted, checked. No score is ever invented.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

/// An answer that does not belong to the question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// Rows without an answer.
    #[error("{0} of the rows got no answer")]
    Missing(usize),
    /// An answer about a row that was not asked about.
    #[error("an answer names the row {0}, which was not sent")]
    Extra(String),
    /// Two answers about one row.
    #[error("two answers name the row {0}")]
    Repeated(String),
    /// An answer whose score is not a number, or out of its range.
    #[error("a score is not a number or out of range")]
    NotANumber,
}

/// The answers in the order of `asked`.
///
/// # Errors
/// [`PairingError`] unless there is exactly one answer for each row asked about and none besides.
pub fn pair<Id, T>(asked: &[Id], answers: Vec<(Id, T)>) -> Result<Vec<T>, PairingError>
where
    Id: Copy + Eq + Hash + Debug,
{
    let place: HashMap<Id, usize> = asked.iter().enumerate().map(|(i, id)| (*id, i)).collect();
    let mut slots: Vec<Option<T>> = asked.iter().map(|_| None).collect();
    for (id, answer) in answers {
        let Some(slot) = place.get(&id).and_then(|i| slots.get_mut(*i)) else {
            return Err(PairingError::Extra(format!("{id:?}")));
        };
        if slot.replace(answer).is_some() {
            return Err(PairingError::Repeated(format!("{id:?}")));
        }
    }
    let missing = slots.iter().filter(|slot| slot.is_none()).count();
    if missing > 0 {
        return Err(PairingError::Missing(missing));
    }
    Ok(slots.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_any_order_find_their_rows() {
        assert_eq!(pair(&[7, 8, 9], vec![(9, "c"), (7, "a"), (8, "b")]), Ok(vec!["a", "b", "c"]));
        assert_eq!(pair::<u8, ()>(&[], vec![]), Ok(vec![]));
    }

    #[test]
    fn answers_that_do_not_match_are_an_error_not_a_guess() {
        assert_eq!(pair(&[1, 2], vec![(1, 0.5)]), Err(PairingError::Missing(1)));
        assert!(matches!(pair(&[1, 2], vec![(1, 0.5), (2, 0.5), (3, 0.5)]), Err(PairingError::Extra(_))));
        assert!(matches!(pair(&[1, 2], vec![(1, 0.5), (1, 0.7)]), Err(PairingError::Repeated(_))));
        assert_eq!(pair(&[1, 2], vec![]) as Result<Vec<f64>, _>, Err(PairingError::Missing(2)));
    }
}
