//! Labels of whole campaigns.

use futures_util::stream::{FuturesUnordered, TryStreamExt as _};

use super::{Operations, labels};
use crate::domain::id::Seq;
use crate::domain::time::Timestamp;
use crate::store::campaigns::{CampaignId, CampaignRow};
use crate::store::decisions::DecidedResult;
use crate::store::labels::Label;
use crate::store::{Lookup, Store, StoreResult};
use crate::thresholds::ThresholdTable;

/// Members read in one go.
const PAGE_SIZE: u32 = 500;
/// Members labelled at once: the store commits them together.
const MAX_CONCURRENT: usize = 64;

/// What became of a campaign's members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignLabelled {
    /// Members that have the label now, or lost it.
    pub labelled: u64,
    /// Members left alone: somebody labelled them by themselves.
    pub kept: u64,
}

/// Labels every member of a campaign that has a result, or takes the campaign's label back. Members that somebody labelled
/// by themselves keep their labels.
///
/// # Errors
/// When the store is away; members labelled until then stay so, and labelling again goes on.
pub async fn label(
    store: &dyn Store,
    id: CampaignId,
    label: Option<&Label>,
    thresholds: &ThresholdTable,
    at: Timestamp,
) -> StoreResult<CampaignLabelled> {
    let (mut after, mut done) = (Seq(0), CampaignLabelled::default());
    loop {
        let page = store.campaign_standings(id, after, PAGE_SIZE).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after = last.seq;
        for members in page.chunks(MAX_CONCURRENT) {
            let outcomes = FuturesUnordered::new();
            for member in members {
                outcomes.push(one(store, member, label, thresholds, at));
            }
            for outcome in outcomes.try_collect::<Vec<_>>().await? {
                match outcome {
                    Outcome::Labelled => done.labelled += 1,
                    Outcome::Kept => done.kept += 1,
                    Outcome::Untouched => {}
                }
            }
        }
    }
}

enum Outcome {
    Labelled,
    Kept,
    /// It was erased, or has no label to take back.
    Untouched,
}

async fn one(
    store: &dyn Store,
    member: &DecidedResult,
    label: Option<&Label>,
    thresholds: &ThresholdTable,
    at: Timestamp,
) -> StoreResult<Outcome> {
    let known = if member.labelled { store.label_of(member.seq).await? } else { None };
    match (&known, label) {
        (Some(known), _) if known.campaign.is_none() => return Ok(Outcome::Kept),
        (None, None) => return Ok(Outcome::Untouched),
        _ => {}
    }
    let Lookup::Found(session) = store.session(member.key.clone()).await? else { return Ok(Outcome::Untouched) };
    let thresholds = thresholds.of(&member.key.deployment);
    let decided = labels::label(store, &session, label.cloned(), &thresholds, at).await?;
    Ok(if decided.is_some() { Outcome::Labelled } else { Outcome::Untouched })
}

impl Operations {
    /// Labels every member of a campaign, or takes the campaign's label back; the campaign as it is now. `None` where the
    /// deployment has no such campaign.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn label_campaign(
        &self,
        actor: &str,
        id: CampaignId,
        deployment: Option<String>,
        said: Option<Label>,
    ) -> StoreResult<Option<(CampaignRow, CampaignLabelled)>> {
        let found = self.store.campaign(id, deployment.clone(), self.clock.now().wall).await?;
        let Some(id) = found.map(|campaign| campaign.id) else { return Ok(None) };
        let action = if said.is_some() { "campaign.label" } else { "campaign.unlabel" };
        let detail = serde_json::json!({"label": said.as_ref().map(|label| label.truth.name())});
        let said = said.map(|label| Label { campaign: Some(id), ..label });
        let at = self.clock.now().wall;
        let done = label(self.store.as_ref(), id, said.as_ref(), self.controls.thresholds(), at);
        let done = self.perform(actor, action, id.0.to_string(), detail, done).await?;
        let now = self.store.campaign(id, deployment, self.clock.now().wall).await?;
        Ok(now.map(|campaign| (campaign, done)))
    }
}
