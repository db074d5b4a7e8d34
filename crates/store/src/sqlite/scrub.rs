//! The part of erasure that `secure_delete` leaves undone: when rows move within a page or to another, SQLite leaves
//! their old bytes in the page's unused middle, where erasing the row does not reach them.

use std::ops::Range;

use rusqlite::{OptionalExtension as _, params};

use super::fault::Fault;
use super::state::WriterState;

/// Pages looked at in one transaction.
const STEP: i64 = 512;
/// From this many pages on (128 GiB) the first byte no longer tells a page with rows from one that continues a long value.
const MAX_PAGES: i64 = 1 << 25;

impl WriterState {
    /// Overwrites the unused middle of some pages from `first` on; the page to go on from, `None` at the end.
    pub(super) fn scrub_step(&mut self, first: i64) -> Result<Option<i64>, Fault> {
        let pages: i64 = self.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        if first > pages.min(MAX_PAGES - 1) {
            return Ok(None);
        }
        for number in first..(first + STEP).min(pages + 1) {
            let mut read = self.connection.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?")?;
            let Some(mut page) = read.query_row([number], |row| row.get::<_, Vec<u8>>(0)).optional()? else { continue };
            // The first page begins with the file's own header.
            let unused = unused_middle(&page, if number == 1 { 100 } else { 0 });
            if page[unused.clone()].iter().any(|byte| *byte != 0) {
                page[unused].fill(0);
                self.connection
                    .prepare_cached("UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?")?
                    .execute(params![page, number])?;
            }
        }
        Ok(Some(first + STEP))
    }
}

/// What lies between the list of a page's rows and the rows themselves; empty for a page of another kind.
fn unused_middle(page: &[u8], header: usize) -> Range<usize> {
    let number = |place: usize| Some(usize::from(u16::from_be_bytes([*page.get(place)?, *page.get(place + 1)?])));
    let length = match page.get(header) {
        Some(2 | 5) => 12,
        Some(10 | 13) => 8,
        _ => return 0..0,
    };
    let (Some(rows), Some(content)) = (number(header + 3), number(header + 5)) else { return 0..0 };
    let list_end = header + length + 2 * rows;
    if list_end <= content && content <= page.len() { list_end..content } else { 0..0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_middle_of_a_page_with_rows_is_unused() {
        let mut page = vec![0; 4096];
        page[..8].copy_from_slice(&[13, 0, 0, 0, 3, 0x0f, 0x00, 0]);
        assert_eq!(unused_middle(&page, 0), 14..0x0f00);
        page[0] = 5;
        assert_eq!(unused_middle(&page, 0), 18..0x0f00);
        for other in [0, 1, 3, 255] {
            page[0] = other;
            assert!(unused_middle(&page, 0).is_empty());
        }
        assert!(unused_middle(&[13, 0, 0], 0).is_empty());
        assert!(unused_middle(&[13, 0, 0, 255, 255, 0, 1, 0], 0).is_empty(), "an impossible page is left alone");
    }
}
