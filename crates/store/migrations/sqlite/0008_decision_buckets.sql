-- Decisions counted by time. What was decided before is counted here once.

CREATE TABLE decision_buckets (
    width INTEGER NOT NULL,            -- its length, ms: 5 minutes, an hour or a day
    slot INTEGER NOT NULL,             -- its begin
    deployment TEXT NOT NULL,
    facet INTEGER NOT NULL,            -- 0 all, 1 device, 2 model, 3 reason
    value INTEGER NOT NULL,            -- number of the device, the model or the reason; 0 for all
    passed INTEGER NOT NULL,
    reviewed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    PRIMARY KEY (width, slot, deployment, facet, value)
) WITHOUT ROWID;

CREATE TEMP TABLE counted AS
    SELECT r.scored_at - r.scored_at % 300000 AS slot, r.deployment, CASE s.device WHEN 'mouse' THEN 0
        WHEN 'trackpad' THEN 1 WHEN 'touch' THEN 2 WHEN 'stylus' THEN 3 WHEN 'keyboard' THEN 4 WHEN 'unknown' THEN 5
        ELSE 6 END AS device, r.model, r.reasons, r.decision, count(*) AS n
    FROM results r JOIN sessions s ON s.seq = r.session GROUP BY 1, 2, 3, 4, 5, 6;
INSERT INTO decision_buckets
    WITH RECURSIVE bits(bit) AS (SELECT 0 UNION ALL SELECT bit + 1 FROM bits WHERE bit < 34)
    SELECT 300000, slot, deployment, facet, value, coalesce(sum(n) FILTER (WHERE decision = 0), 0), coalesce(sum(n) FILTER (WHERE decision = 1), 0),
        coalesce(sum(n) FILTER (WHERE decision = 2), 0)
    FROM (SELECT slot, deployment, 0 AS facet, 0 AS value, decision, n FROM counted
        UNION ALL SELECT slot, deployment, 1, device, decision, n FROM counted
        UNION ALL SELECT slot, deployment, 2, model, decision, n FROM counted
        UNION ALL SELECT slot, deployment, 3, bit, decision, n FROM counted JOIN bits ON (reasons >> bit) & 1 = 1)
    GROUP BY slot, deployment, facet, value;
DROP TABLE counted;

-- What waits for a person, by deployment.
CREATE INDEX results_to_review ON results (deployment, scored_at) WHERE decision = 1;
