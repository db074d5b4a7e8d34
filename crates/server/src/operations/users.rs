//! What is known of a user: how many sessions, what was decided of them, and what rules hold for them.

use std::collections::{BTreeMap, BTreeSet};

use super::Operations;
use crate::controls::Override;
use crate::domain::time::Timestamp;
use crate::domain::trend::Tally;
use crate::store::labels::Truth;
use crate::store::{MAX_SET, ResultQuery, StoreResult};

/// A user's decided sessions, summed up.
#[derive(Debug, Default)]
pub struct UserSummary {
    /// By the decision that stands.
    pub decisions: Tally,
    /// By claimed device.
    pub devices: BTreeMap<String, Tally>,
    /// By deployment.
    pub deployments: BTreeMap<String, Tally>,
    /// Those labelled human, and bot.
    pub labels: (u64, u64),
    /// When the oldest and the newest were scored.
    pub seen: Option<(Timestamp, Timestamp)>,
    /// Whether there are more than were looked at.
    pub is_more: bool,
    /// The overrides that name the user.
    pub overrides: Vec<(String, Override)>,
}

impl Operations {
    /// What is known of a user in one deployment, or in all; `None` where no session with a result is stored.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn user(&self, deployment: Option<String>, user: String) -> StoreResult<Option<UserSummary>> {
        let pseudonym = self.store.user_pseudonym(&user);
        let query =
            ResultQuery { user: Some(user), deployment: deployment.clone(), limit: MAX_SET, ..ResultQuery::default() };
        let page = self.lists.results(query).await?;
        let mut known = UserSummary { is_more: page.rows.len() >= MAX_SET as usize, ..UserSummary::default() };
        let mut times = BTreeSet::new();
        for row in &page.rows {
            let one = Tally::from(row.result.verdict.decision);
            known.decisions += one;
            *known.devices.entry(row.device_type.clone()).or_default() += one;
            *known.deployments.entry(row.key.deployment.clone()).or_default() += one;
            match row.label {
                Some(Truth::Human) => known.labels.0 += 1,
                Some(Truth::Bot) => known.labels.1 += 1,
                None => {}
            }
            times.insert(row.result.scored_at);
        }
        known.seen = times.first().copied().zip(times.last().copied());
        let named = |rule: &Override| {
            rule.user == pseudonym
                && deployment.as_ref().is_none_or(|d| rule.deployment_id.as_ref().is_none_or(|o| o == d))
        };
        let overrides = &self.controls.current().overrides;
        known.overrides =
            overrides.iter().filter(|(_, rule)| named(rule)).map(|(id, rule)| (id.clone(), rule.clone())).collect();
        Ok((!page.rows.is_empty() || !known.overrides.is_empty()).then_some(known))
    }
}
