-- Sessions alike are one campaign.

CREATE TABLE campaigns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    deployment TEXT NOT NULL,
    members INTEGER NOT NULL,
    last INTEGER NOT NULL,             -- its latest member
    told INTEGER NOT NULL,             -- the largest step of growth that webhooks were told of
    merged_into INTEGER                -- the campaign that its members are in now
);
CREATE INDEX campaigns_by_last ON campaigns (last, id);
CREATE INDEX campaigns_merged ON campaigns (merged_into) WHERE merged_into IS NOT NULL;
CREATE TABLE campaign_members (
    session INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL
);
CREATE INDEX campaign_members_by_campaign ON campaign_members (campaign, session);
-- The campaign that the session was labelled with; null where it was labelled alone.
ALTER TABLE labels ADD COLUMN campaign INTEGER;
