//! The movements of a session, in columns.

/// Pointer samples in arrival order, one column per quantity; all columns have the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Movements {
    /// Horizontal position, px.
    pub x: Vec<f64>,
    /// Vertical position, px.
    pub y: Vec<f64>,
    /// Client time, ms from any origin, in any order.
    pub t: Vec<f64>,
    /// What the client said of `isTrusted` per sample; empty when it never said anything.
    pub trusted: Vec<Option<bool>>,
}

impl Movements {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.x.len()
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.x.is_empty()
    }

    /// Keeps every second sample, the first among them.
    pub(crate) fn halve(&mut self) {
        for column in [&mut self.x, &mut self.y, &mut self.t] {
            keep_every_second(column);
        }
        keep_every_second(&mut self.trusted);
    }

    pub(crate) fn clear(&mut self) {
        self.x.clear();
        self.y.clear();
        self.t.clear();
        self.trusted.clear();
    }
}

fn keep_every_second<T: Copy>(column: &mut Vec<T>) {
    let kept = column.len().div_ceil(2);
    for place in 1..kept {
        column[place] = column[2 * place];
    }
    column.truncate(kept);
}
