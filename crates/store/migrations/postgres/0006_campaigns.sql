-- Sessions alike are one campaign. A node of version 5 leaves what it finds out of campaigns, and members that it erases
-- behind in them, where they name nobody.

CREATE SEQUENCE campaign_id;
CREATE TABLE campaigns (
    id bigint PRIMARY KEY,
    deployment bytea NOT NULL,
    members bigint NOT NULL,
    last bigint NOT NULL,              -- its latest member
    told bigint NOT NULL,              -- the largest step of growth that webhooks were told of
    merged_into bigint                 -- the campaign that its members are in now
) WITH (fillfactor = 50);
CREATE INDEX campaigns_by_last ON campaigns (last, id);
CREATE INDEX campaigns_merged ON campaigns (merged_into) WHERE merged_into IS NOT NULL;
CREATE TABLE campaign_members (
    seq bigint PRIMARY KEY,
    campaign bigint NOT NULL
);
CREATE INDEX campaign_members_by_campaign ON campaign_members (campaign, seq);
-- The campaign that the session was labelled with; null where it was labelled alone.
ALTER TABLE labels ADD COLUMN campaign bigint;
