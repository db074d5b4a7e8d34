//! Which sessions a person should look at first.

use super::Operations;
use crate::domain::review::{self, Priority};
use crate::store::labels::ReviewRow;
use crate::store::{StoreError, StoreResult};

/// The sessions that a label would say most about.
#[derive(Debug)]
pub struct ReviewQueue {
    /// Sessions without a label that were looked through.
    pub rows: Vec<ReviewRow>,
    /// Their places in `rows`, the first to look at first.
    pub order: Vec<Priority>,
    /// Labels that the order learned from.
    pub labels: usize,
}

impl Operations {
    /// Puts the sessions of a deployment, or of all, into the order in which to look at them.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn review_queue(&self, deployment: Option<String>) -> StoreResult<ReviewQueue> {
        let (rows, labelled) = self.lists.to_review(deployment).await?;
        // Off the async workers: it takes a while.
        let ordered = tokio::task::spawn_blocking(move || {
            let candidates: Vec<_> = rows.iter().map(|row| row.candidate.clone()).collect();
            let order = review::queue(&candidates, &labelled);
            ReviewQueue { rows, order, labels: labelled.len() }
        });
        ordered.await.map_err(|error| StoreError::Corrupt(error.to_string()))
    }
}
