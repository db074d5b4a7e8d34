// Made of openapi.json by scripts/types.mjs; do not change it by hand.

/** Which model scores now. */
export type ActiveAnswer = {
  modelVersion: string;
};

/** How far two detectors agree on the sessions of a batch. */
export type AgreementBody = {
  /** Sessions that they decided differently. */
  flips: number;
  /** Rank correlation of the raw scores, -1 to 1; `null` when a source only flags. */
  rankCorrelation?: number | null;
  /** Sessions that both scored. */
  sessions: number;
};

/** The score of a verdict. */
export type AnomalyBody = {
  /** Larger is odder; `null` when the source only flags. What it means: `scoreKind`. */
  anomalyScore?: number | null;
  /** Whether the score lies beyond what the calibration set resolves. */
  extrapolated: boolean;
  /** Whether the decision is fail. */
  isAnomaly: boolean;
  /** The model that scored. */
  modelId: string;
  /** Its version. */
  modelVersion: string;
  /** `calibrated`: -log10 p, 0 to 6. `heuristic`: the rules' scale, 0 to 5 and 0.3 per reason. `flag`: no number. */
  scoreKind: string;
};

/** The audit log, the newest entry first. */
export type AuditAnswer = {
  entries: Array<EntryBody>;
  /** Send it as `cursor` for the next page; `null` at the end. */
  nextCursor?: string | null;
};

/** Sessions that wait for a person. */
export type BacklogBody = {
  /** Whether there may be more. */
  isMore: boolean;
  /** When the oldest was scored. */
  oldest?: string | null;
  /** Sessions that stand at review; 100,000 are counted at most. */
  waiting: number;
};

/** What a model would change. */
export type BacktestAnswer = {
  /** Of the active model. */
  active: ErrorsBody;
  /** Of them those decided in another way. */
  flips: number;
  /** Those scored within the last day. */
  lastDay: TestedTallies;
  modelVersion: string;
  moves: Array<TestedMove>;
  /** Stored sessions judged by both. */
  sessions: number;
  /** All of them by decision. */
  stored: TestedTallies;
  /** Of the one tested. */
  tested: ErrorsBody;
};

/** One batch with its members. */
export type BatchAnswer = BatchBody & {
  sessions: Array<BatchMemberBody>;
};

/** One batch. */
export type BatchBody = {
  agreement?: AgreementBody | null;
  /** Calls made to the detector; 0 while it runs. */
  attempts: number;
  batchId: number;
  /** ISO 8601, UTC. */
  claimedAt: string;
  /** Time spent in the detector; `null` while it runs. */
  detectorMs?: number | null;
  /** From claimed to finished; `null` while it runs. */
  durationMs?: number | null;
  /** The last error. */
  error?: string | null;
  falseDiscovery?: FalseDiscoveryBody | null;
  /** ISO 8601, UTC; `null` while it runs. */
  finishedAt?: string | null;
  /** scored, partial, retried, failed or abandoned; `null` while it runs. */
  outcome?: string | null;
  /** The node that ran it. */
  owner: string;
  /** Sessions claimed. */
  size: number;
  /** The source asked. */
  source: string;
  /** full, `min_batch`, `max_wait`, retry or manual. */
  trigger: string;
};

/** A session that was in a batch. */
export type BatchMemberBody = {
  /** `null` without a result, and where the source only flags. */
  anomalyScore?: number | null;
  /** The decision that stands: pass, review or fail; `null` without a result. */
  decision?: string | null;
  /** Empty when none. */
  deploymentId: string;
  sessionId: string;
};

/** A page of batches, newest first. */
export type BatchesAnswer = {
  batches: Array<BatchBody>;
  /** Send it as `cursor` for the next page; `null` at the end. */
  nextCursor?: string | null;
};

/** A campaign and a page of its sessions, the latest first. */
export type CampaignAnswer = CampaignBody & {
  /** Send it as `cursor` for the next page of sessions; `null` at the end. */
  nextCursor?: string | null;
  sessions: Array<MemberBody>;
};

/** Sessions alike as one. */
export type CampaignBody = {
  /** The session that most others are most like; `null` where it is gone. */
  bestSource?: string | null;
  campaignId: number;
  decisions: DecisionMix;
  /** The deployment that all its sessions belong to; empty when none. */
  deploymentId: string;
  /** ISO 8601, UTC: when its first session was accepted. */
  firstSeen: string;
  growth: Growth;
  labels: LabelMix;
  /** ISO 8601, UTC: when its last one was. */
  lastSeen: string;
  /** Sessions in it that are still there. */
  members: number;
  /** Different users that they name. */
  users: number;
};

/** What labelling a campaign did. */
export type CampaignLabelAnswer = CampaignBody & {
  /** Sessions left alone: somebody labelled them by themselves. */
  kept: number;
  /** Sessions that have the label now, or lost it. */
  labelled: number;
};

/** Campaigns, those that grew last first. */
export type CampaignsAnswer = {
  campaigns: Array<CampaignBody>;
  /** Send it as `cursor` for the next page; `null` at the end. */
  nextCursor?: string | null;
};

/** A challenge. */
export type ChallengeAnswer = {
  /** ISO 8601, UTC. */
  expiresAt: string;
  /** Seconds until then. */
  expiresIn: number;
  /** The id that the session must have. */
  sessionId: string;
  /** The page sends its session with it, and the form to its server. */
  token: string;
};

/** A challenge to be made; every field may be left out. */
export type ChallengeRequest = {
  /** What the visitor does, such as `login`; siteverify tells it. */
  action?: string | null;
  /** The deployment of its session; a key bound to a deployment sets it. */
  deploymentId?: string | null;
  /** How long it holds: `90s`, `10m`, or seconds; from a second to an hour, five minutes when left out. */
  ttl?: string | null;
  /** Whose session it will be. Not with a submit key, which vouches for nobody. The page can read it in the token. */
  userId?: string | null;
};

/** A share that differs from the period before by more than chance. */
export type ChangeBody = {
  /** In the period before, 0 to 1. */
  before: number;
  /** `share` of all sessions, or `passing`: the share of its sessions that passed. */
  measure: string;
  /** Which one: a decision, or the name of a part. */
  name: string;
  /** decision, deployment, device, model or reason. */
  of: string;
  /** Now, 0 to 1. */
  share: number;
  /** In a sentence. */
  words: string;
};

/** ok, or what is wrong. */
export type Checks = {
  /** closed, or open while a detector is left alone after an outage. */
  circuit: string;
  /** ok, away (sessions are taken and wait) or unavailable. */
  detector: string;
  /** ok or full. */
  queue: string;
  /** ok, or away, behind or foreign while lists are read from the store itself; none without a replica. */
  replica: string;
  /** ok, full, damaged or unavailable. */
  store: string;
};

/** A session of a selection. */
export type ChosenSession = {
  /** Its deployment, else none. */
  deploymentId?: string | null;
  sessionId: string;
};

/** The word that clearing asks for when keys are set. */
export type ClearRequest = {
  /** `clear` */
  confirm: string;
};

/** A button press or tap. */
export type Click = {
  /** Whether a target was hit; left out, no hit is claimed. */
  targetHit?: boolean | null;
  /** Milliseconds from the movements' origin. */
  timestamp: number;
  /** Pixels. */
  x: number;
  /** Pixels. */
  y: number;
};

/** A button press or tap. */
export type ClickBody = {
  /** Whether a target was hit. */
  targetHit: boolean;
  /** The client's time, ms. */
  timestamp: number;
  /** Pixels. */
  x: number;
  /** Pixels, downwards. */
  y: number;
};

/** A page of failed sessions, newest first. With a deployment a page may hold fewer than `limit` and still have a next. */
export type DeadAnswer = {
  /** Send it as `cursor` for the next page; `null` at the end. */
  nextCursor?: string | null;
  sessions: Array<DeadBody>;
};

/** A session that failed. */
export type DeadBody = {
  /** ISO 8601, UTC. */
  acceptedAt: string;
  /** Detector answers without a score. */
  attempts: number;
  /** Empty when none. */
  deploymentId: string;
  /** Why it failed. */
  lastError?: string | null;
  /** Leases that ended without an answer. */
  lostLeases: number;
  sessionId: string;
};

/** How many sessions have each decision. */
export type DecisionCounts = {
  fail: number;
  pass: number;
  review: number;
};

/** How many members have which decision. */
export type DecisionMix = {
  fail: number;
  pass: number;
  review: number;
};

/** A webhook's log, the newest first. */
export type DeliveriesAnswer = {
  deliveries: Array<DeliveryBody>;
  /** Send it as `cursor` for the next page; `null` at the end. */
  nextCursor?: string | null;
};

/** Something that a webhook was, or is to be, told. */
export type DeliveryBody = {
  attempts: number;
  /** ISO 8601, UTC. */
  createdAt: string;
  /** What went wrong last. */
  error?: string | null;
  /** verdict.final, verdict.changed, campaign.opened, campaign.grown or webhook.test. */
  event: string;
  /** As sent in `playproof-event-id`. */
  eventId: string;
  /** When it was delivered or given up. */
  finishedAt?: string | null;
  /** For `redeliver`, and as `cursor`. */
  id: number;
  /** When it is tried again; `null` unless it waits. */
  nextAttemptAt?: string | null;
  /** waiting, delivered, `given_up` or erased. */
  state: string;
  /** What the receiver answered last. */
  status?: number | null;
  /** Keyed hash of the session's key, the same for all its events; empty for a test. */
  target: string;
};

/** The thresholds of one deployment. */
export type DeploymentThresholds = ThresholdsBody & {
  deploymentId: string;
};

/** Where the fault lies. */
export type Details = {
  /** The bound that was passed. */
  limit?: number | null;
  /** The field's path, such as `movements[17].x`; `body` for the document as a whole. */
  path?: string | null;
};

/** The measures that the score is made from: the larger of `classifierScore` and `supportScore` is `anomalyScore` as far as the calibration people resolve it. */
export type DetectionBody = {
  /** How much the movement resembles bots: -log10 of the raw score's p-value against its part of the error. */
  classifierScore: number;
  /** Squared distance from the mean person; people have about as much as there are features. */
  distance: number;
  /** The features that put it there, the largest first; with `rest` they make `distance`. */
  features: Array<DistanceBody>;
  /** 1 where people were recorded like this, 0 where nobody was: then people of unknown recorders are compared with. */
  knownRecorder: number;
  /** Whether it is further than every person the model knows. */
  outside: boolean;
  /** What all other features add to the distance. */
  rest: number;
  /** How far it is from people: -log10 of the distance's p-value against its part of the error. */
  supportScore: number;
};

/** What one feature did for the distance from people. */
export type DistanceBody = {
  /** What it adds to the distance; below 0 where it fits the others. */
  added: number;
  /** The reason code of the trait that it describes. */
  code: string;
  /** Its column in the feature set. */
  feature: string;
  /** Its value in this session. */
  value: number;
};

/** Done, in words. */
export type Done = {
  /** For people. */
  message: string;
  /** Always true. */
  success: boolean;
};

/** Whether the sessions that this node scored of late are like the people the embedded model was made from. */
export type DriftState = {
  /** The features that moved most. */
  features: Array<MovedFeature>;
  /** A distance that one window in a hundred exceeds by chance. */
  limit: number;
  /** By how much more sessions look odd than calibration promises: the largest excess of the share of p-values at or below some p over p. */
  pValues: number;
  /** The last 500 to 1000 sessions, bots among them. */
  sessions: number;
};

/** Something that was managed. */
export type EntryBody = {
  action: string;
  /** Digest of the key; `local` where the service has no keys. */
  actor: string;
  /** What the key is called, where it was made through the API with a name and is not revoked. */
  actorName?: string | null;
  /** ISO 8601, UTC. */
  at: string;
  detail: unknown;
  /** SHA-256 over the entry before and this one. */
  hash: string;
  /** Entries are numbered without a gap. */
  id: number;
  /** A keyed hash where it is a session or a user. */
  target: string;
};

/** Sessions that are to be erased. */
export type EraseRequest = {
  sessions: Array<ChosenSession>;
};

/** How many sessions were erased. */
export type ErasedAnswer = {
  /** Sessions erased by this call. */
  erased: number;
  /** For people. */
  message: string;
  /** Always true. */
  success: boolean;
};

/** How many of a selection were erased. */
export type ErasedManyAnswer = {
  /** Sessions erased by this call; the others are unknown, or were erased before. */
  erased: number;
};

/** The body of every error. */
export type ErrorBody = {
  /** Stable; branch on this. */
  code: string;
  details?: Details | null;
  /** What went wrong in a few words. */
  error: string;
  /** A sentence that names the cause and the mend. */
  message: string;
};

/** Wrong decisions on labelled sessions that no model has learned from. */
export type ErrorsBody = {
  bots: number;
  botsPassed: number;
  botsReviewed: number;
  people: number;
  peopleFailed: number;
  peopleReviewed: number;
};

/** How the service does by what people said of sessions. */
export type EvaluationAnswer = {
  all: JudgedBody;
  /** By whose people a result was calibrated on. */
  classes: Array<JudgedBody>;
  devices: Array<JudgedBody>;
  drift?: DriftState | null;
  histogram: HistogramBody;
  /** Days of the last thirty on which something was labelled. */
  labels: Array<LabelDay>;
  /** About how many labelled people a training needs. */
  peopleForTraining: number;
};

/** What evidence of this service is checked with. */
export type EvidenceKeyAnswer = {
  /** Always Ed25519. */
  algorithm: string;
  /** The first half line of its SHA-256, for people who compare keys. */
  fingerprint: string;
  /** 64 hexadecimal digits, as `verify --public-key` takes them. */
  publicKey: string;
};

/** Why a session has its score: `base`, what each feature added and `rest` make `rawScore`. */
export type ExplanationAnswer = {
  /** Calibrated, -log10 p. */
  anomalyScore: number;
  /** The raw score of the median person. */
  base: number;
  /** What the model decides by itself. */
  decision: string;
  detection?: DetectionBody | null;
  /** Those that moved the score most, either way, the largest first; empty when there is too little motion to judge. */
  features: Array<FeatureBody>;
  modelId: string;
  modelVersion: string;
  /** Whether this model gave the session's result; else the result came from another detector or version, and this is what the active model says of the same telemetry. */
  ofResult: boolean;
  /** Log-odds. */
  rawScore: number;
  /** What all other features added. */
  rest: number;
  sessionId: string;
  /** The stretches of the path without which the raw score would be lower, those that matter most first; at most three. */
  stretches: Array<StretchBody>;
};

/** How sure a batch's failed sessions are taken together. */
export type FalseDiscoveryBody = {
  /** The largest p-value among them, adjusted by Benjamini and Hochberg for all that were scored together, 0 to 1. */
  adjustedP: number;
  /** Sessions that were scored together. */
  sessions: number;
};

/** What one feature did for the score. */
export type FeatureBody = {
  /** What it adds to the raw score: log-odds, above 0 towards a bot. */
  added: number;
  /** The reason code of the trait that it describes. */
  code: string;
  /** Its column in the feature set. */
  feature: string;
  /** ...and at most this. */
  humanHigh: number;
  /** Nine people in ten have at least this... */
  humanLow: number;
  /** What the reason says, for people. */
  message: string;
  /** Its value in this session. */
  value: number;
};

/** The features that a site may show or log. */
export type FeatureSummary = {
  avgSpeed: number;
  clickAccuracy: number;
  controlSmoothnessScore: number;
  numDirectionChanges: number;
  overshootEvents: number;
  pathEfficiency: number;
  pauseTimeRatio: number;
  smallJitterRatio: number;
  speedStd: number;
};

/** The verdict that was answered at once. */
export type First = {
  anomaly: AnomalyBody;
  /** 0.5 to 1. */
  confidence: number;
  /** pass, review or fail. */
  decision: string;
  /** How long the verdict took. */
  latencyMs: number;
  reasons: Array<ReasonBody>;
  /** ISO 8601, UTC. */
  scoredAt: string;
  /** heuristic, embedded or woodwide. */
  source: string;
};

/** A session whose decision changes. */
export type FlipExample = {
  /** As answered; `null` where the source only flags. */
  anomalyScore?: number | null;
  deploymentId: string;
  sessionId: string;
};

/** How many members came lately. */
export type Growth = {
  lastDay: number;
  lastHour: number;
};

/** The process lives. */
export type HealthAnswer = {
  /** ok */
  status: string;
  version: string;
};

/** What the fixed rules alone say, whoever gave the verdict; for sites that come from them. */
export type HeuristicBody = {
  /** pass, review or fail, by the thresholds in force. */
  decision: string;
  /** The rules that hold. */
  reasons: Array<ReasonBody>;
  /** 0 to 5 and 0.3 for each rule that holds. */
  score: number;
};

/** Sessions by score: the first bin begins at 0. */
export type HistogramBody = {
  /** Labelled bots. */
  bots: Array<number>;
  /** The newest 10,000 results. */
  live: Array<number>;
  /** Results of the last 24 hours; `null` where nothing was decided in the day before them. */
  liveADay?: number | null;
  /** Labelled people. */
  people: Array<number>;
  /** Width of a bin. */
  step: number;
};

/** The history of a session. */
export type HistoryAnswer = {
  /** Empty when none. */
  deploymentId: string;
  first: First;
  label?: SaidBody | null;
  result?: ResultBody | null;
  /** The changes since, the first one first. */
  revisions: Array<RevisionBody>;
  /** What it was when it was scored: pass, review or fail; `null` before that. */
  scoredAs?: string | null;
  sessionId: string;
  /** As the session names the user; `null` where it names none. */
  userId?: string | null;
};

/** Arrivals and verdicts of the last half hour. */
export type HistoryBody = {
  /** Sessions accepted in each step, the oldest first. */
  arrivals: Array<number>;
  /** Length of a step. */
  stepSeconds: number;
  /** When the newest step ended; ISO 8601, UTC. */
  until?: string | null;
  /** Sessions that were settled in each step. */
  verdicts: Array<number>;
};

/** What was decided of labelled sessions, before their labels. */
export type JudgedBody = {
  bots: TallyBody;
  botsPassed: ShareBody;
  /** A device, or whose people the result was calibrated on; empty for all. */
  name: string;
  people: TallyBody;
  peoplePassed: ShareBody;
};

/** A key, without the key. */
export type KeyBody = {
  /** ISO 8601, UTC. */
  createdAt: string;
  /** `null` for all. */
  deploymentId?: string | null;
  id: string;
  name: string;
  role: string;
  /** `null` for a key that is no test key. */
  testVerdict?: string | null;
};

/** A key that was made. */
export type KeyMade = KeyBody & {
  /** The key itself; shown now and never again. */
  key: string;
};

/** A key to be made. */
export type KeyRequest = {
  /** The only deployment that it may see; left out, all. */
  deploymentId?: string | null;
  /** What people call it; at most 100 bytes. */
  name?: string;
  /** submit, ingest, analyst, admin or metrics. */
  role: string;
  /** pass, review or fail: makes it a test key, of which every session gets this verdict. For submit and ingest. */
  testVerdict?: string | null;
};

/** The keys that were made here; those of the settings are not among them. */
export type KeysAnswer = {
  keys: Array<KeyBody>;
  /** Whether the settings hold keys; without, everybody on this machine may do everything, with or without a key. */
  keysRequired: boolean;
};

/** A label, and the decision that follows. */
export type LabelAnswer = LabelBody & {
  /** The decision as it stands now: pass, review or fail. */
  decision: string;
};

/** A label as kept. */
export type LabelBody = {
  /** ISO 8601, UTC; `null` where there is none. */
  at?: string | null;
  /** Empty when none. */
  deploymentId: string;
  /** human or bot; `null` where there is none any more. */
  label?: string | null;
  note: string;
  sessionId: string;
};

/** Labels of a day. */
export type LabelDay = {
  /** Its begin. */
  at: string;
  bot: number;
  human: number;
};

/** How many members have which label. */
export type LabelMix = {
  bot: number;
  human: number;
};

/** What somebody says of a session. */
export type LabelRequest = {
  /** human or bot. */
  label: string;
  /** Why; at most 2,000 bytes. */
  note?: string;
};

/** What became of the labels. */
export type LabelledAnswer = {
  /** Labels of sessions that were erased. */
  erased: number;
  /** Sessions that were changed. */
  labelled: number;
  /** The first hundred labels that changed nothing. */
  problems: Array<SaidProblem>;
  /** Labels of sessions without a result. */
  undecided: number;
  /** Labels of sessions or users that are unknown here. */
  unknown: number;
};

/** Labels in the order in which their sessions were accepted. */
export type LabelsAnswer = {
  labels: Array<LabelBody>;
  /** Send it as `cursor` for the next page; `null` at the end. */
  nextCursor?: string | null;
};

/** Labels for many sessions. */
export type LabelsRequest = {
  labels: Array<SaidRequest>;
};

/** What a model learned from. */
export type LearnedBody = {
  /** The version it was adapted from. */
  base: string;
  /** Labelled bots. */
  bots: number;
  /** ISO 8601, UTC. */
  createdAt: string;
  /** The only deployment whose labels it learned from, and where it may score; `null` for all. */
  deploymentId?: string | null;
  /** Labelled people. */
  people: number;
};

/** The answer to one line. */
export type LineAnswer = ErrorBody | null & {
  /** Counted from 1, blank lines included. */
  line: number;
  /** What was done so that the session could be taken; absent where nothing was. */
  notes?: Array<NoteBody>;
  /** accepted, duplicate or refused. */
  outcome: string;
  sessionId?: SessionText | null;
  /** queued, processed or failed; absent when refused. */
  status?: string | null;
};

/** Who asks. */
export type LoginAnswer = {
  /** To be sent as `X-CSRF-Token` with what changes something; `null` without a login. */
  csrfToken?: string | null;
  /** The only deployment that the caller may see; `null` for all. */
  deploymentId?: string | null;
  /** When the login ends; ISO 8601, UTC; `null` without a login. */
  expiresAt?: string | null;
  /** Whether the service has keys; without, everybody on this machine may do everything. */
  keysRequired: boolean;
  /** The caller's role; `null` without a valid key or login. */
  role?: string | null;
  /** The service's version. */
  version: string;
};

/** A key. */
export type LoginRequest = {
  /** One with the role admin or analyst. */
  key: string;
};

/** A session that the other one is like. */
export type MatchBody = {
  /** Parts in common, in order of time. */
  parts: Array<PartBody>;
  sessionId: string;
  /** Whether its telemetry is gone, so that nothing can be laid over. */
  telemetryGone: boolean;
};

/** The sessions that a session is like, the closest first. */
export type MatchesAnswer = {
  matches: Array<MatchBody>;
  sessionId: string;
};

/** A session of a campaign. */
export type MemberBody = {
  /** ISO 8601, UTC. */
  acceptedAt: string;
  /** pass, review or fail; `null` while its verdict is on the way. */
  decision?: string | null;
  /** human or bot; `null` where nobody said. */
  label?: string | null;
  sessionId: string;
  /** The user that it names. */
  userId?: string | null;
};

/** A version of a model. */
export type ModelBody = {
  /** Whether it scores now: in the deployment asked about, or in all that have none of their own. */
  active: boolean;
  learned?: LearnedBody | null;
  modelId: string;
  modelVersion: string;
  /** Deployments whose own model it is. */
  ownOf: Array<string>;
  shadow?: ShadowBody | null;
  /** embedded */
  source: string;
  /** active, shadow or kept. */
  stage: string;
};

/** A training on this node. */
export type ModelTraining = {
  /** Why it made none. */
  message?: string | null;
  /** The version it made. */
  modelVersion?: string | null;
  /** none, running, done or failed. */
  state: string;
};

/** The versions of the embedded model. */
export type ModelsAnswer = {
  /** Whether there is a model to roll back to. */
  canRollBack: boolean;
  models: Array<ModelBody>;
  training: ModelTraining;
};

/** The service at one moment. */
export type Moment = {
  /** ISO 8601, UTC. */
  at: string;
  /** Batches of this node in flight. */
  batchesInFlight: number;
  /** Whether this node leaves the detector alone after an outage. */
  circuitOpen: boolean;
  drift?: DriftState | null;
  /** What went wrong lately, the newest first. */
  errors: Array<TroubleBody>;
  history: HistoryBody;
  nodes: Array<NodeBody>;
  /** Age of the oldest ready session; `null` when none is ready. */
  oldestReadySeconds?: number | null;
  queue: QueueCounts;
  scheduler: SchedulerState;
  /** The newest verdicts. */
  verdicts: Array<ResultItem>;
};

/** Sessions that go from one decision to another. */
export type MoveBody = {
  count: number;
  /** The latest of them, at most ten. */
  examples: Array<FlipExample>;
  from: string;
  to: string;
};

/** How far a feature is from the people the model was made from. */
export type MovedFeature = {
  /** Largest difference of shares, 0 to 1 (Kolmogorov-Smirnov). */
  distance: number;
  feature: string;
};

/** A pointer sample. */
export type Movement = {
  /** As the browser's event said. */
  isTrusted?: boolean | null;
  /** Milliseconds from any origin. */
  timestamp: number;
  /** Pixels. */
  x: number;
  /** Pixels. */
  y: number;
};

/** A node. */
export type NodeBody = {
  /** Where it listens. */
  address: string;
  /** False after twenty seconds without a sign of life. Its batches come back when their leases end. */
  alive: boolean;
  /** Whether it is shutting down. */
  draining: boolean;
  /** Its name, as `owner` of the batches it runs. */
  id: string;
  /** Since its last sign of life; one comes every five seconds. */
  secondsSinceSeen: number;
  /** ISO 8601. */
  startedAt: string;
  version: string;
};

/** Every node that works on the store, those that fell silent today too. */
export type NodesAnswer = {
  nodes: Array<NodeBody>;
};

/** Nothing is known of the session. */
export type NotFoundAnswer = ErrorBody & {
  sessionId: string;
  /** `not_found` */
  status: string;
};

/** What the service did to a session so that it could be taken. */
export type NoteBody = {
  /** Stable; branch on this. `movements_thinned` is the only one. */
  code: string;
  /** For people. */
  message: string;
};

/** Campaigns that grew within a day. */
export type OpenCampaignsBody = {
  open: number;
  /** All sessions that they have. */
  sessions: number;
};

/** The outage under way at this node. */
export type OutageAnswer = {
  outage?: OutageBody | null;
};

/** The detector is away. */
export type OutageBody = {
  /** Why. */
  cause: string;
  /** Who is away. */
  detector: string;
  /** How long a session waits before the embedded detector scores it; `null` where there is no fallback. */
  fallbackAfterSeconds?: number | null;
  /** When that is so for the oldest session that is ready; ISO 8601, UTC. `null` when none is. */
  fallbackAt?: string | null;
  /** What to do about it. */
  help: string;
  /** When this node asks it next; ISO 8601, UTC. `null` while the scheduler is stopped. */
  nextProbeAt?: string | null;
  /** Sessions that this node's fallback has scored since then; `null` for a key bound to a deployment. */
  scoredByFallback?: number | null;
  /** When this node noticed; ISO 8601, UTC. */
  since: string;
  /** Sessions that wait; `null` for a key bound to a deployment. */
  waiting?: number | null;
};

/** An override. */
export type OverrideBody = {
  /** allow or deny. */
  action: string;
  /** ISO 8601, UTC. */
  createdAt: string;
  /** `null` for all. */
  deploymentId?: string | null;
  id: string;
  note: string;
  /** Keyed hash of the user; the identifier itself is not kept. */
  user: string;
};

/** An override to be made. */
export type OverrideRequest = {
  /** allow or deny. */
  action: string;
  /** Only this deployment; left out, all. */
  deploymentId?: string | null;
  /** Why; at most 500 bytes. */
  note?: string;
  /** As sessions send it. */
  userId: string;
};

/** Every override. */
export type OverridesAnswer = {
  overrides: Array<OverrideBody>;
};

/** A period beside the one of the same length before it. */
export type OverviewAnswer = {
  before: TallyBody;
  /** Of those labelled bot in the period. */
  bots: RateBody;
  campaigns: OpenCampaignsBody;
  /** The largest first, at most eight. */
  changes: Array<ChangeBody>;
  decisions: TallyBody;
  /** The fifty largest. */
  deployments: Array<OverviewPart>;
  devices: Array<OverviewPart>;
  models: Array<OverviewPart>;
  /** Of those labelled human in the period. */
  people: RateBody;
  range: string;
  /** The largest first; a session may have several. */
  reasons: Array<OverviewPart>;
  review: BacklogBody;
  since: string;
  stepSeconds: number;
  /** Steps in which something was decided, in the order of time. */
  steps: Array<OverviewStep>;
  until: string;
};

/** Sessions that have something in common. */
export type OverviewPart = {
  /** In the period before. */
  before: TallyBody;
  /** In words, of a reason. */
  message?: string | null;
  /** A deployment, a device class, a model or a reason code. */
  name: string;
  /** In the period. */
  now: TallyBody;
};

/** What was decided in a step. */
export type OverviewStep = TallyBody & {
  /** Its begin. */
  at: string;
};

/** A part of the session that is a part of another. */
export type PartBody = {
  /** Root mean square distance of the two once laid over each other, px. */
  apart: number;
  /** Where it begins, ms of the session's own times. */
  from: number;
  /** `[a, b, c, d, e, f]`: a point `(x, y)` of the other lies at `(ax + by + e, cx + dy + f)` here. */
  map: Array<number>;
  /** Whether the one is the other's mirror image. */
  mirrored: boolean;
  /** Where it begins in the other session, ms of its own times. */
  otherFrom: number;
  /** Where it ends in the other session, ms of its own times. */
  otherTo: number;
  /** How long it takes beside the other's; above 1 it is slower. */
  pace: number;
  /** Where it ends, ms of the session's own times. */
  to: number;
  /** The other's part laid over this one: x, px. */
  x: Array<number>;
  /** The other's part laid over this one: y, px. */
  y: Array<number>;
};

/** The path, one list per quantity; all lists have the same length. */
export type PathBody = {
  /** The client's time, ms from any origin, in the order of arrival. */
  timestamp: Array<number>;
  /** Pixels. */
  x: Array<number>;
  /** Pixels, downwards. */
  y: Array<number>;
};

/** What a manual run did. */
export type ProcessAnswer = {
  /** Its batches. */
  batchIds: Array<number>;
  /** Of these, not scored. */
  failed: number;
  /** For people. */
  message: string;
  /** Sessions in its finished batches. */
  processed: number;
  /** Sessions that were ready at the call and have no result yet. */
  remaining: number;
  /** Of these, scored. */
  success: number;
};

/** How much is stored. */
export type QueueCounts = {
  /** Waiting for a retry. */
  delayed: number;
  /** Given up. */
  failed: number;
  /** In a batch. */
  leased: number;
  /** Of these, with a result. */
  processed: number;
  /** Waiting in line. */
  ready: number;
  /** Sessions stored. */
  total: number;
  /** Of these, without a final state. */
  unprocessed: number;
};

/** What is sent. */
export type QueuedAnswer = {
  /** Deliveries put into the line. */
  queued: number;
};

/** A session without a result. */
export type QueuedBody = {
  /** ISO 8601, UTC. */
  acceptedAt: string;
  /** Detector answers without a score. */
  attempts: number;
  /** Empty when none. */
  deploymentId: string;
  deviceType: string;
  /** What went wrong last. */
  lastError?: string | null;
  /** When it is tried again, where it waits for that. */
  retryAt?: string | null;
  sessionId: string;
  /** ready, delayed or failed. */
  state: string;
  /** As the session names the user; `null` where it names none. */
  userId?: string | null;
};

/** How many of the labelled sessions passed before they were labelled. */
export type RateBody = {
  /** 95 % interval of the share, 0 to 1; absent of nothing. */
  interval?: Array<number> | null;
  labelled: number;
  passed: number;
};

/** What can be used. */
export type ReadyAnswer = {
  checks: Checks;
  outage?: ReadyOutage | null;
  /** What is wrong, each with its mend; empty when nothing is. */
  problems: Array<string>;
  /** Whether results and the dashboard can be read, also where sessions are not taken. */
  reads: boolean;
  /** ready, `not_ready` or draining. */
  status: string;
};

/** The detector is away. */
export type ReadyOutage = {
  /** Who is away. */
  detector: string;
  /** When this node noticed; ISO 8601, UTC. */
  since: string;
};

/** One reason of a verdict. */
export type ReasonBody = {
  /** Stable; branch on this. */
  code: string;
  /** For people. */
  message: string;
};

/** What to send again. */
export type RedeliverRequest = {
  /** One delivery; left out, all that were given up. */
  deliveryId?: number | null;
};

/** How many went back. */
export type RequeueAnswer = {
  /** For people. */
  message: string;
  /** Sessions that wait again. */
  requeued: number;
  /** Always true. */
  success: boolean;
};

/** Which failed sessions go back. */
export type RequeueRequest = {
  /** Their deployment; that of the key when it is bound, else none. */
  deploymentId?: string | null;
  /** These; all failed sessions when absent. */
  sessionIds?: Array<string> | null;
};

/** How a session stands. */
export type ResultAnswer = {
  /** Detector answers without a score so far; absent when processed. */
  attempts?: number | null;
  /** The verdict that was answered at once. */
  first: First;
  /** What went wrong last; absent when nothing did, or when processed. */
  lastError?: string | null;
  /** For people; absent when processed. */
  message?: string | null;
  result?: ResultBody | null;
  sessionId: string;
  /** queued, processed or failed. */
  status: string;
};

/** The result of a session. */
export type ResultBody = {
  /** Larger is odder; `null` when the source only flags. */
  anomalyScore?: number | null;
  /** Attempts made, the one that scored included. */
  attempts: number;
  /** The batch; `null` for a session that was scored at once. */
  batchId?: number | null;
  /** The calibration class used; absent for uncalibrated verdicts. */
  calibrationClass?: string;
  /** The campaign that the session is in; absent where it is in none, and where a verdict is told of. */
  campaignId?: number | null;
  /** 0.5 to 1. */
  confidence: number;
  /** pass, review or fail. */
  decision: string;
  /** Whether the score lies beyond what the calibration set resolves. */
  extrapolated: boolean;
  /** Whether the configured detector was replaced because it was away too long. */
  fallback: boolean;
  /** Whether the decision is fail. */
  isAnomaly: boolean;
  /** Sessions of the same deployment with the same movement, the closest first, at most five; absent without any. In lists it is left out. */
  matches?: Array<string>;
  /** The model that scored. */
  modelId: string;
  /** Its version. */
  modelVersion: string;
  /** Uncalibrated, comparable across device classes; absent when the source gives none. */
  rawScore?: number | null;
  reasons: Array<ReasonBody>;
  /** calibrated, heuristic or flag. */
  scoreKind: string;
  /** ISO 8601, UTC. */
  scoredAt: string;
  /** heuristic, embedded or woodwide. */
  source: string;
};

/** A result with its session. */
export type ResultItem = ResultBody & {
  /** Empty when none. */
  deploymentId: string;
  /** What the client claims: mouse, touch or another. */
  deviceType: string;
  /** human or bot, where somebody said so. */
  label?: string | null;
  sessionId: string;
  /** As the session names the user; `null` where it names none. */
  userId?: string | null;
};

/** A page of results, newest first. */
export type ResultsAnswer = {
  /** Send it as `cursor` for the next page; `null` at the end. */
  nextCursor?: string | null;
  results: Array<ResultItem>;
};

/** Every deployment with a rule of its own. */
export type RetentionAnswer = {
  deployments: Array<RetentionBody>;
  /** Where nothing is pruned because the clock is far ahead of its last look: when that was; ISO 8601, UTC. */
  pausedSince?: string | null;
};

/** How long a deployment's sessions are kept. */
export type RetentionBody = {
  deploymentId: string;
  /** `null`: as long as the settings say. */
  resultsHours?: number | null;
  /** `null`: as long as the settings say. */
  telemetryHours?: number | null;
};

/** How long a deployment's sessions are to be kept; at least one of the two spans. */
export type RetentionRequest = {
  /** Whose sessions; a bound key's own when left out. */
  deploymentId?: string | null;
  /** Hours for which results, and everything else of a session, are kept. */
  resultsHours?: number | null;
  /** Hours for which telemetry is kept, whatever the decision; not more than `resultsHours`. */
  telemetryHours?: number | null;
};

/** That pruning goes on. */
export type RetentionResumed = {
  /** The clock that is taken for right; ISO 8601, UTC. */
  clock: string;
  /** Whether it was paused. */
  resumed: boolean;
};

/** The first of the queue. */
export type ReviewAnswer = {
  /** Sessions without a label that were looked through. */
  considered: number;
  /** Labels that the order learned from. */
  labels: number;
  sessions: Array<ReviewBody>;
};

/** A session to be looked at. */
export type ReviewBody = {
  /** `null` where there is no calibrated score. */
  anomalyScore?: number | null;
  /** pass, review or fail. */
  decision: string;
  /** Empty when none. */
  deploymentId: string;
  deviceType: string;
  gameType: string;
  /** The guess that it is a bot's, by its score and by what was said of sessions like it; 0 to 1. */
  likelihood: number;
  /** 0 to 1; 1 where nothing like it was labelled. */
  novelty: number;
  /** What orders likely bots, and likely people, 0 to 1. */
  priority: number;
  reasons: Array<ReasonBody>;
  /** ISO 8601, UTC. */
  scoredAt: string;
  sessionId: string;
  /** 0 to 1; 1 where nobody can tell. */
  uncertainty: number;
};

/** A decision that was changed. */
export type RevisionBody = {
  /** ISO 8601, UTC. */
  at: string;
  /** thresholds, model, label, override or replay. */
  cause: string;
  /** More about the cause. */
  detail: unknown;
  /** The decision before: pass, review or fail. */
  from: string;
  /** The decision after. */
  to: string;
};

/** What somebody said of a session. */
export type SaidBody = {
  /** Digest of the key that said it; `local` where the service has no keys. */
  actor: string;
  /** What the key is called, where it was made through the API with a name and is not revoked. */
  actorName?: string | null;
  /** ISO 8601, UTC. */
  at: string;
  /** human or bot. */
  label: string;
  note: string;
};

/** A label that changed nothing. */
export type SaidProblem = {
  /** Its place in the list, or its line of the table, from 1. */
  line: number;
  /** unknown, undecided or erased. */
  outcome: string;
};

/** A label for a session, or for all sessions of a user. */
export type SaidRequest = {
  /** When that was found out: ISO 8601, or milliseconds since 1970. Sessions of a user that were scored later are left alone. */
  at?: string | null;
  /** Of a session its deployment, else none; of a user the only deployment, else all. */
  deploymentId?: string | null;
  /** human or bot; none takes the label back. */
  label: string;
  /** Why; at most 2,000 bytes. */
  note?: string;
  /** The session; either this or `userId`. */
  sessionId?: string | null;
  /** The user, all of whose sessions get it. */
  userId?: string | null;
};

/** The scheduler after it was started. */
export type SchedulerStarted = {
  /** For people. */
  message: string;
  status: StatusAnswer;
  /** Always true. */
  success: boolean;
};

/** How the scheduler stands. */
export type SchedulerState = {
  /** Whether this node has a batch in flight. */
  isProcessing: boolean;
  /** When the last batch was claimed by any node; ISO 8601, UTC. */
  lastProcessed?: string | null;
  /** Whether batches run by themselves. */
  running: boolean;
};

/** The first verdict on a session; a repeated submission gets it again with the current status. */
export type ScoreAnswer = {
  anomaly: AnomalyBody;
  /** 0.5 to 1. */
  confidence: number;
  /** pass, review or fail. */
  decision: string;
  featureSummary: FeatureSummary;
  heuristic: HeuristicBody;
  /** How long the verdict took. */
  latencyMs: number;
  /** What was done so that the session could be taken; absent where nothing was. */
  notes?: Array<NoteBody>;
  reasons: Array<ReasonBody>;
  /** ISO 8601, UTC. */
  scoredAt: string;
  sessionId: string;
  /** heuristic, embedded or woodwide. */
  source: string;
  /** queued, processed or failed. */
  status: string;
};

/** A session. Unknown fields are ignored, a repeated known one is refused, `null` stands for an absent optional one. */
export type Session = {
  /** Button presses and taps. */
  clicks?: Array<Click> | null;
  /** What happened besides the movements: up to 64 counts, lists of counts and short texts, such as the recorder's name. Checked and not kept. */
  context?: Record<string, unknown> | null;
  /** Ids are unique per deployment; a key bound to a deployment sets it. */
  deploymentId?: string | null;
  /** mouse, touch, trackpad, stylus; `unknown` by default. */
  deviceType?: string | null;
  /** The client's own measure. */
  durationMs?: number | null;
  /** `unknown` by default. */
  gameType?: string | null;
  /** Targets hit; left out, none is claimed. */
  hits?: number | null;
  /** Targets missed; left out, none is claimed. */
  misses?: number | null;
  /** Pointer samples in arrival order. None at all is a session, too: of somebody who used a keyboard or a screen reader. Of more than 20,000 an even selection is kept, and a note says so. */
  movements: Array<Movement>;
  /** Unique per deployment; at most 256 bytes in UTF-8. With a challenge's token it is the challenge's; with a submit key it is unique among those of pages alone. */
  sessionId: string;
  /** The token of a challenge, in the place of a key. The body may then be sent as text/plain, which needs no preflight. */
  token?: string | null;
  /** True: queue for a batch verdict, answer at once. False, the default: score now. What a page sends always waits for its batch. */
  useBatch?: boolean | null;
  /** For erasure; never a feature. With a challenge's token it is what the token says. A submit key vouches for nobody: no override applies. */
  userId?: string | null;
};

/** A session's identifier as a string. */
export type SessionText = string;

/** Sessions without a result. */
export type SessionsAnswer = {
  /** Send it as `cursor` for the next page; `null` at the end. */
  nextCursor?: string | null;
  sessions: Array<QueuedBody>;
};

/** What a shadow would have decided, on this node, since it became one. */
export type ShadowBody = {
  /** It alone would have been milder. */
  milder: number;
  /** Sessions scored by both. */
  sessions: number;
  /** It alone would have been stricter. */
  stricter: number;
};

/** A share with its interval. */
export type ShareBody = {
  /** 95 % interval, 0 to 1; `null` of nothing. */
  interval?: Array<number> | null;
  part: number;
  whole: number;
};

/** Who signed, and the signature. */
export type Signature = {
  /** Always Ed25519. */
  algorithm: string;
  /** 64 hexadecimal digits. */
  publicKey: string;
  /** Over the bytes of `payload`, 128 hexadecimal digits. */
  value: string;
};

/** A statement with its signature, as it is given away. */
export type SignedEvidence = {
  /** Always playproof-evidence. */
  format: string;
  /** Of the payload, too. */
  formatVersion: number;
  /** The statement as JSON text: its bytes are signed as they are. */
  payload: string;
  /** Who stands for it. */
  signature: Signature;
};

/** What thresholds change, or changed. */
export type SimulationAnswer = {
  after: DecisionCounts;
  before: DecisionCounts;
  /** Sessions whose decision changes. */
  flips: number;
  /** Sessions that keep their decision because somebody said what they are. */
  labelled: number;
  moves: Array<MoveBody>;
  pass: number;
  review: number;
  /** Stored results looked at. */
  sessions: number;
  tookMs: number;
  /** Results of earlier versions, which say too little to be decided anew. */
  undecidable: number;
};

/** What is known of a token's session. */
export type SiteverifyAnswer = {
  /** What the challenge was asked for. */
  action?: string | null;
  anomaly: AnomalyBody;
  /** When the challenge was made; ISO 8601, UTC. */
  challenge_ts: string;
  /** pass, review or fail: that of the batch when the status is processed, else the first one. */
  decision: string;
  /** Empty. */
  "error-codes": Array<string>;
  /** The host of the page that sent the session, in the browser's words; `null` where it did not say. */
  hostname?: string | null;
  reasons: Array<ReasonBody>;
  /** 0 to 1: from 0.7 for a pass, 0.25 to 0.45 for a review, below that for a fail. */
  score: number;
  /** For `GET /api/v1/batch/result/{sessionId}`, where the batch's verdict will stand. */
  sessionId: string;
  /** queued, processed or failed. */
  status: string;
  /** Whether the token holds and this is the first question about it. What the session is, `decision` says. */
  success: boolean;
};

/** Why a question got no answer. */
export type SiteverifyRefusal = {
  /** The same more closely, such as `expired_token` or `used_token`. */
  code: string;
  /** One of missing-input-secret, invalid-input-secret, missing-input-response, invalid-input-response, bad-request, timeout-or-duplicate and internal-error. */
  "error-codes": Array<string>;
  /** A sentence that names the cause and the mend. */
  message: string;
  /** Always false. */
  success: boolean;
};

/** A question about a token, as JSON or as a form. Other fields, such as `remoteip`, are ignored. */
export type SiteverifyRequest = {
  /** The token, as other services call it. */
  response?: string | null;
  /** A key with the role ingest; it may stand in the header `Authorization` instead. */
  secret?: string | null;
  /** The token. */
  token?: string | null;
};

/** A training that was started. */
export type StartAnswer = {
  /** What it learns from. */
  inputColumns: Array<string>;
  /** For people. */
  message: string;
  /** For `ANOMALY_MODEL_ID`. */
  modelId: string;
  modelName: string;
  /** PENDING, TRAINING or COMPLETE. */
  status: string;
  /** Always true. */
  success: boolean;
};

/** What to train. */
export type StartBody = {
  /** Name of an uploaded table. */
  datasetName: string;
  /** All feature columns when left out; identifiers are never among them. */
  inputColumns?: Array<string> | null;
  modelName: string;
  /** anomaly */
  modelType?: string | null;
  /** Train again although an equal model is there. */
  overwrite?: boolean;
};

/** Queue and scheduler at one moment. */
export type StatsAnswer = {
  drift?: DriftState | null;
  queue: QueueCounts;
  scheduler: SchedulerState;
};

/** How the scheduler stands and what waits. */
export type StatusAnswer = SchedulerState & {
  stats: QueueCounts;
};

/** A stretch of the path that speaks for a bot. */
export type StretchBody = {
  /** How much higher the raw score is with it. */
  added: number;
  /** Place of its first movement. */
  from: number;
  /** Place of the first movement after it. */
  to: number;
};

/** What a page learns, by a submit key or a challenge's token: no score to learn from. */
export type SubmitAnswer = {
  /** What was done so that the session could be taken; absent where nothing was. */
  notes?: Array<NoteBody>;
  sessionId: string;
  /** queued, processed or failed. */
  status: string;
};

/** How many lines had which outcome. */
export type Summary = {
  accepted: number;
  duplicate: number;
  refused: number;
};

/** The last line. */
export type SummaryLine = {
  summary: Summary;
};

/** Sessions by the decision that stands. */
export type TallyBody = {
  fail: number;
  pass: number;
  review: number;
};

/** What was recorded of a session. */
export type TelemetryAnswer = {
  clicks: Array<ClickBody>;
  /** Empty when none. */
  deploymentId: string;
  /** What the client claims. */
  deviceType: string;
  /** The client's own measure, ms. */
  durationMs: number;
  /** What the client claims. */
  gameType: string;
  /** Targets hit. */
  hits: number;
  /** Targets missed. */
  misses: number;
  movements: PathBody;
  sessionId: string;
};

/** A session that would be decided in another way. */
export type TestedExample = {
  /** Empty when none. */
  deploymentId: string;
  /** By the one tested. */
  scoreAfter?: number | null;
  /** By the active model. */
  scoreBefore?: number | null;
  sessionId: string;
};

/** Stored sessions by both models' decisions. */
export type TestedMove = {
  count: number;
  /** The latest of them, at most five. */
  examples: Array<TestedExample>;
  /** The active model's decision: pass, review or fail. */
  from: string;
  /** The other's. */
  to: string;
};

/** Sessions by decision, of both models. */
export type TestedTallies = {
  /** By the one tested. */
  after: TallyBody;
  /** By the active model. */
  before: TallyBody;
};

/** Which thresholds hold. */
export type ThresholdsAnswer = ThresholdsBody & {
  /** Deployments with their own. */
  deployments: Array<DeploymentThresholds>;
};

/** Thresholds that hold. */
export type ThresholdsBody = {
  /** ISO 8601; `null` for the settings'. */
  appliedAt?: string | null;
  /** review or pass: what becomes of a session without movement. */
  noPointer: string;
  /** `setting`, or `applied` where an operator put others in place of the settings'. */
  origin: string;
  pass: number;
  review: number;
};

/** Thresholds to try or to apply. */
export type ThresholdsRequest = {
  /** Only this deployment; left out, every one without thresholds of its own. A bound key has its own. */
  deploymentId?: string | null;
  /** review or pass: what becomes of a session without movement, of somebody with a keyboard or a screen reader. Left out, it stays as it is. */
  noPointer?: string | null;
  /** Up to here a score passes; 0 to 6. */
  pass: number;
  /** Up to here it is reviewed, above it fails; larger than `pass`, at most 6. */
  review: number;
};

/** How a training stands. */
export type TrainingBody = {
  completedAt?: string | null;
  /** ISO 8601; `null` when the service does not say. */
  createdAt?: string | null;
  /** Why it failed. */
  error?: string | null;
  modelId: string;
  modelName: string;
  /** 0 to 100, where the service says. */
  progress?: number | null;
  /** PENDING, TRAINING, COMPLETE or FAILED. */
  status: string;
};

/** Something that went wrong lately. */
export type TroubleBody = {
  /** ISO 8601, UTC. */
  at: string;
  /** The batch, where it was one. */
  batchId?: number | null;
  /** Its deployment; empty when none. */
  deploymentId?: string | null;
  /** In words. */
  message: string;
  /** What became of it: the batch's outcome, or failed. */
  outcome: string;
  /** The session that failed for it, where it was one. */
  sessionId?: string | null;
};

/** A table that is at Woodwide. */
export type UploadAnswer = {
  /** The columns it has there. */
  columns: Array<string>;
  datasetId: string;
  datasetName: string;
  /** Columns that were left out because they name a session or a person. */
  droppedColumns: Array<string>;
  rowCount: number;
  /** Always true. */
  success: boolean;
};

/** A table to train on. */
export type UploadBody = {
  /** CSV as `playproof-batch features` writes it. */
  data: string;
  name: string;
  /** Whether a table of that name with other content is replaced. */
  overwrite?: boolean;
};

/** What is known of a user. */
export type UserAnswer = {
  decisions: TallyBody;
  deployments: Array<UserPart>;
  devices: Array<UserPart>;
  /** When the first of them was scored. */
  firstSeen?: string | null;
  /** Whether there are more; the newest 2,000 are looked at. */
  isMore: boolean;
  labels: UserLabels;
  /** When the last of them was scored. */
  lastSeen?: string | null;
  overrides: Array<UserOverride>;
  /** Sessions with a result. */
  sessions: number;
  userId: string;
};

/** How many of a user's sessions were labelled. */
export type UserLabels = {
  bot: number;
  human: number;
};

/** A rule that lets the user pass, or fails them. */
export type UserOverride = {
  /** allow or deny. */
  action: string;
  /** `null` for all. */
  deploymentId?: string | null;
  id: string;
  note: string;
};

/** Sessions of a user that have something in common. */
export type UserPart = {
  decisions: TallyBody;
  /** A device, or a deployment; empty when none. */
  name: string;
};

/** A verdict, or the change of one. */
export type VerdictEvent = {
  anomalyScore?: number | null;
  /** ISO 8601, UTC. */
  at: string;
  /** thresholds, model, label, override or replay; `null` for a first one. */
  cause?: string | null;
  /** pass, review or fail. */
  decision: string;
  /** Empty when none. */
  deploymentId: string;
  isAnomaly: boolean;
  /** The decision before; `null` for a first one. */
  previousDecision?: string | null;
  reasons: Array<ReasonBody>;
  sessionId: string;
};

/** A webhook. */
export type WebhookBody = {
  /** ISO 8601, UTC. */
  createdAt: string;
  /** `null` for all. */
  deploymentId?: string | null;
  /** When its receiver answered 410 Gone; `null` while it is sent events. A test that it takes resumes it. */
  endedAt?: string | null;
  /** None once it ended. */
  events: Array<string>;
  id: string;
  url: string;
};

/** A webhook that was made. */
export type WebhookMade = WebhookBody & {
  /** What signs its deliveries; shown now and never again. */
  secret: string;
};

/** A webhook to be made. */
export type WebhookRequest = {
  /** Only this deployment; left out, all. */
  deploymentId?: string | null;
  /** `verdict.final`, `verdict.changed`, `campaign.opened` and `campaign.grown` (both, or none); left out, those of verdicts. */
  events?: Array<string> | null;
  /** Where to; `https` or `http`, and no private address unless `PLAYPROOF_WEBHOOK_PRIVATE` allows it. */
  url: string;
};

/** Every webhook. */
export type WebhooksAnswer = {
  webhooks: Array<WebhookBody>;
};

