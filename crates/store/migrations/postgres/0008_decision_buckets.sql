-- Decisions counted by time. What was decided before is counted here once; what a node of the version before decides
-- from now on is not. The counts of a row are the sum over its shards: connections of different shards don't wait for each
-- other.

CREATE TABLE decision_buckets (
    width bigint NOT NULL,             -- its length, ms: 5 minutes, an hour or a day
    slot bigint NOT NULL,              -- its begin
    passed bigint NOT NULL,
    reviewed bigint NOT NULL,
    failed bigint NOT NULL,
    facet smallint NOT NULL,           -- 0 all, 1 device, 2 model, 3 reason
    shard smallint NOT NULL,
    value int NOT NULL,                -- number of the device, the model or the reason; 0 for all
    deployment bytea NOT NULL,
    PRIMARY KEY (width, slot, deployment, facet, value, shard)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0.02);

INSERT INTO decision_buckets (width, slot, passed, reviewed, failed, facet, shard, value, deployment)
    WITH counted AS (SELECT r.scored_at - r.scored_at % 300000 AS slot, r.deployment,
        coalesce(array_position(ARRAY['mouse', 'trackpad', 'touch', 'stylus', 'keyboard', 'unknown']::bytea[], s.device), 7)
        - 1 AS device, r.model, r.reasons, r.decision, count(*) AS n
        FROM results r JOIN sessions s ON s.seq = r.seq GROUP BY 1, 2, 3, 4, 5, 6)
    SELECT 300000, slot, coalesce(sum(n) FILTER (WHERE decision = 0), 0), coalesce(sum(n) FILTER (WHERE decision = 1), 0),
        coalesce(sum(n) FILTER (WHERE decision = 2), 0), facet, 0, value, deployment
    FROM (SELECT slot, deployment, 0 AS facet, 0 AS value, decision, n FROM counted
        UNION ALL SELECT slot, deployment, 1, device, decision, n FROM counted
        UNION ALL SELECT slot, deployment, 2, model, decision, n FROM counted
        UNION ALL SELECT slot, deployment, 3, bit, decision, n FROM counted
            JOIN generate_series(0, 34) AS bit ON (reasons >> bit) & 1 = 1) c
    GROUP BY slot, deployment, facet, value;

-- What waits for a person, by deployment.
CREATE INDEX results_to_review ON results (deployment, scored_at) WHERE decision = 1;
