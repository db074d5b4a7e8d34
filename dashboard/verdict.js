// The sentence of why a session stands where it stands: of the decision that holds, not of the score alone.

import { brief, count, fixed, plural } from './dom.js';

const STANDS = { pass: 'it passes', review: 'a person should look at it', fail: 'it fails' };
const upper = (text) => text[0].toUpperCase() + text.slice(1);

/** Reasons that decide whatever the score is, the strongest first. */
const DECIDING = [
  ['denied', 'Its user is denied by an override'],
  ['allowed', 'Its user is allowed by an override'],
  ['test_fail', 'It was sent with a test key that always fails'],
  ['test_review', 'It was sent with a test key that is always reviewed'],
  ['test_pass', 'It was sent with a test key that always passes'],
  ['no_pointer', 'It has no movement at all, as of somebody at a keyboard or with a screen reader'],
  ['too_little_movement', 'There is too little movement between its pauses to judge anybody by'],
];
/** Reasons that make a decision stricter, or milder, than the score alone. */
const SHIFTING = [
  ['campaign', 'Several earlier sessions have this movement'],
  ['replayed_movement', 'Its movement is that of an earlier session'],
  ['machine_motion', 'It has neither the jitter nor the uneven clock of a hand'],
  ['outside_people', 'It is further from people than anybody the model knows'],
  ['untrusted_events', 'A script of the page made most of its movements'],
  ['unfamiliar_recorder', 'It would fail, but nothing recorded like this was seen before'],
  ['calibration_too_small', 'It would fail, but too few people calibrate the score to be sure'],
];

const model = (result) => ({ heuristic: 'the rules', woodwide: 'the Woodwide model' }[result.source] ?? 'the embedded model');

/** What a score means, as the end of a sentence. */
export function scoreInWords(result) {
  if (result.anomalyScore === null) return `${model(result)} only flags sessions and gives no score`;
  if (result.scoreKind !== 'calibrated') return `${model(result)} gave it ${fixed(result.anomalyScore)} of 5`;
  const odds = 10 ** result.anomalyScore;
  const rare = odds < 2 ? 'more than half of all people score as high'
    : odds < 10 ? `about 1 person in ${brief(odds)} scores as high`
      : `only about 1 person in ${count(Number(odds.toPrecision(2)))} would score as high`;
  return `${model(result)} gave it ${fixed(result.anomalyScore)}: ${rare}`;
}

/** Why the decision is what it is. `past` is the session's history, `alone` what the model decides of the movement by itself. */
export function sentence(answer, past, alone) {
  const { result } = answer;
  if (!result) return answer.status === 'failed' ? unscored(answer) : `${answer.message ?? 'Not decided yet'}.`;
  const stands = STANDS[result.decision] ?? result.decision;
  const codes = new Set(result.reasons.map((reason) => reason.code));
  const beside = `${upper(scoreInWords(result))}.`;
  if (past?.label) return `${past.label.actorName ?? 'Somebody'} said that it is ${past.label.label === 'bot' ? 'a bot' : 'a human'}, so ${stands}. ${beside}`;
  const deciding = DECIDING.find(([code]) => codes.has(code));
  if (deciding) return `${deciding[1]}, so ${stands}, whatever its score is. ${beside}`;
  const shifting = result.decision === 'pass' ? null : SHIFTING.find(([code]) => codes.has(code));
  const changed = past?.revisions?.at(-1);
  const since = changed?.cause === 'thresholds' ? ' Thresholds that were applied later decide so.' : changed?.cause === 'model' ? ' A model that was put into service later decides so.' : '';
  if (shifting) {
    const by = alone && alone !== result.decision ? ` By its movement alone ${{ pass: 'it would pass', review: 'it would be reviewed', fail: 'it would fail' }[alone]}.` : '';
    return `${shifting[1]}, so ${stands}.${by} ${beside}`;
  }
  if (result.fallback) return `The detector was away, so the fallback decided: ${stands}. ${beside}`;
  const said = { pass: 'This session passes', review: 'This session should be looked at by a person', fail: 'This session fails' }[result.decision] ?? '';
  return `${said}: ${scoreInWords(result)}.${since}`;
}

/** Of a session that no batch could score. */
const unscored = ({ first, attempts }) =>
  `This session could not be scored in ${plural(attempts ?? 0, 'attempt')}. Its first verdict, ${first.decision}, is all that is known of it.`;
