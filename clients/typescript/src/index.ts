/** Client of PlayProof Batch. @packageDocumentation */
export type * from './api.js';
export { Client, PlayProofError, configure, createClient, getSessionResult, scoreSession } from './client.js';
export type { Challenge, ChallengeOptions, ClientOptions, Decision, ResultOptions, ScoreOptions, SiteVerdict } from './client.js';
export type { FollowOptions, Verdict } from './verdicts.js';
export { verifyWebhook } from './webhook.js';
export type { WebhookEvent } from './webhook.js';
export { recordPointer } from './recorder.js';
export type { Recorder, RecorderOptions, SessionContext, Telemetry } from './recorder.js';
export { SendError, atUnload, sendAtUnload, sendSession } from './transport.js';
export type { SendOptions } from './transport.js';
