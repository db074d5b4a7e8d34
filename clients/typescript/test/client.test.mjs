// The client against the real service: the binary named by PLAYPROOF_BINARY, or target/debug/playproof-batch.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';

import { Client, PlayProofError, configure, createClient, getSessionResult, recordPointer, scoreSession, verifyWebhook } from 'playproof-batch-client';

const binary = process.env.PLAYPROOF_BINARY ?? new URL('../../../target/debug/playproof-batch', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'playproof-'));
let node;
let baseUrl;

function telemetry(sessionId, n = 0) {
  const movements = Array.from({ length: 80 }, (_, i) => ({ x: 10 + 5 * i + (i * n) % 3, y: 40 + 30 * Math.sin(i * 0.2 + n), timestamp: i * 16 + (i % 3) }));
  return { sessionId, gameType: 'bubble-pop', deviceType: 'mouse', durationMs: 1300, movements, clicks: [{ x: 1, y: 2, timestamp: 20, targetHit: true }], hits: 1, misses: 0 };
}

before(async () => {
  node = spawn(binary, ['serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PLAYPROOF_LISTEN: '127.0.0.1:0', PLAYPROOF_STORE: `embedded:${folder}`, PLAYPROOF_ADMIN_KEYS: 'admin-key-0123456789', PLAYPROOF_SUBMIT_KEYS: 'submit-key-0123456789', PLAYPROOF_MIN_FREE_DISK: '0B', PLAYPROOF_LOG: 'error', PLAYPROOF_WEBHOOK_PRIVATE: 'true', PLAYPROOF_SCHEDULER_INTERVAL: '200ms', PLAYPROOF_SCHEDULER_MIN_BATCH: '1' },
  });
  const line = await new Promise((resolve) => createInterface(node.stdout).once('line', resolve));
  baseUrl = line.replace('listening on ', '');
  configure({ baseUrl, apiKey: 'admin-key-0123456789' });
});

after(async () => {
  const ended = new Promise((resolve) => node.once('exit', resolve));
  node.kill('SIGTERM');
  assert.equal(await ended, 0);
  rmSync(folder, { recursive: true });
});

const admin = () => createClient({ baseUrl, apiKey: 'admin-key-0123456789' });

test('a session is scored at once or waits for its batch', async () => {
  const first = await scoreSession(telemetry('waits'), { useBatch: true });
  assert.equal(first.status, 'queued');
  assert.ok(['pass', 'review', 'fail'].includes(first.decision));
  const result = await getSessionResult('waits', { wait: '30s' });
  assert.equal(result.status, 'processed');
  assert.equal(result.result.source, 'embedded');
  assert.deepEqual(await scoreSession(telemetry('waits'), { useBatch: true }), { ...first, status: 'processed' });
  const now = await scoreSession(telemetry('now', 1));
  assert.equal(now.status, 'processed');
  assert.equal((await getSessionResult('now')).result.decision, now.decision);
});

test('errors carry status, code and field', async () => {
  const refused = (status, code, path) => (error) => {
    assert.ok(error instanceof PlayProofError, String(error));
    assert.deepEqual([error.status, error.code], [status, code]);
    if (path) assert.equal(error.path, path);
    return true;
  };
  await assert.rejects(scoreSession({ sessionId: 'bad', movements: [{ x: 1, y: 'no', timestamp: 0 }] }), refused(400, 'malformed', 'movements[0].y'));
  await assert.rejects(getSessionResult('nobody'), (error) => error.status === 404);
  await assert.rejects(new Client({ baseUrl, apiKey: 'wrong-key' }).getSessionResult('x'), refused(401, 'unauthorized'));
  await assert.rejects(new Client({ baseUrl, apiKey: 'submit-key-0123456789' }).getSessionResult('x'), refused(403, 'forbidden'));
  await assert.rejects(new Client({ baseUrl: 'http://127.0.0.1:1', retries: 1 }).getSessionResult('x'), refused(0, 'unreachable'));
  const stopped = AbortSignal.abort(new Error('enough'));
  await assert.rejects(getSessionResult('waits', { signal: stopped }), /enough/);
});

test('what is put off is tried again when the server says', async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    asked += 1;
    if (asked < 3) response.writeHead(503, { 'retry-after': '0', 'content-type': 'application/json' }).end('{"error":"Busy","message":"later","code":"busy"}');
    else response.writeHead(200, { 'content-type': 'application/json' }).end('{"sessionId":"a","status":"processed"}');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new Client({ baseUrl: `http://127.0.0.1:${server.address().port}/` });
  assert.equal((await client.getSessionResult('a')).status, 'processed');
  assert.equal(asked, 3);
  asked = 0;
  await assert.rejects(new Client({ baseUrl: client.baseUrl, retries: 0 }).getSessionResult('a'), (error) => error.status === 503 && error.retryAfter === 0);
  server.close();
});

test('results are listed and verdicts followed from where one left off', async () => {
  for (let n = 0; n < 5; n += 1) await scoreSession(telemetry(`listed-${n}`, n));
  const listed = [];
  for await (const row of admin().results({ limit: 2 })) listed.push(row.sessionId);
  for (let n = 0; n < 5; n += 1) assert.ok(listed.includes(`listed-${n}`));
  const stop = new AbortController();
  const seen = [];
  for await (const verdict of admin().followVerdicts({ after: '0', signal: stop.signal })) {
    assert.equal(verdict.type, 'verdict.final');
    seen.push(verdict);
    if (seen.some((one) => one.sessionId === 'listed-4')) break;
  }
  stop.abort();
  const from = seen.at(-2);
  for await (const verdict of admin().followVerdicts({ after: from.id })) {
    assert.equal(verdict.id, seen.at(-1).id);
    break;
  }
});

test('a webhook is told and its signature holds', async () => {
  let told;
  const got = new Promise((resolve) => { told = resolve; });
  const receiver = createServer((request, response) => {
    let body = '';
    request.on('data', (piece) => { body += piece; });
    request.on('end', () => { response.writeHead(204).end(); told({ headers: request.headers, body }); });
  });
  await new Promise((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const made = await admin().json('POST', '/api/v1/webhooks', { body: { url: `http://127.0.0.1:${receiver.address().port}/hook` } });
  await scoreSession(telemetry('told', 7));
  const { headers, body } = await got;
  const signature = headers['playproof-signature'];
  const event = await verifyWebhook(made.secret, signature, body);
  assert.deepEqual([event.type, event.id, event.data.sessionId], ['verdict.final', headers['playproof-event-id'], 'told']);
  await assert.rejects(verifyWebhook('whsec_other', signature, body), /signature/);
  await assert.rejects(verifyWebhook(made.secret, signature, `${body} `), /signature/);
  await assert.rejects(verifyWebhook(made.secret, signature, body, { now: Date.now() + 600_000 }), /too long ago/);
  await assert.rejects(verifyWebhook(made.secret, undefined, body), /missing/);
  receiver.close();
});

test('a pointer is recorded as a session that the service takes', async (t) => {
  // A hand's time, not the program's: the service refuses steps that can't be milliseconds.
  let clock = 1000;
  const now = t.mock.method(performance, 'now', () => clock);
  const element = new EventTarget();
  element.getBoundingClientRect = () => ({ left: 100, top: 50 });
  const recorder = recordPointer(element, { gameType: 'bubble-pop', targetHit: (event) => event.clientX > 150 });
  const send = (type, x, y) => {
    clock += 16;
    const event = Object.assign(new Event(type), { clientX: x, clientY: y, pointerType: 'mouse' });
    element.dispatchEvent(Object.defineProperty(event, 'timeStamp', { value: clock }));
  };
  for (let i = 0; i < 60; i += 1) send('pointermove', 110 + 3 * i, 60 + (i * i) % 40);
  send('pointerdown', 290, 80);
  send('pointerdown', 120, 80);
  const session = recorder.stop('recorded');
  now.mock.restore();
  assert.deepEqual([session.movements.length, session.hits, session.misses, session.deviceType], [62, 1, 1, 'mouse']);
  assert.deepEqual([session.movements[0].x, session.movements[0].y], [10, 10]);
  send('pointermove', 1, 1);
  assert.equal(session.movements.length, 62);
  assert.equal((await scoreSession(session)).sessionId, 'recorded');
  assert.deepEqual(recordPointer(element).stop().movements, [], 'a visitor without a pointer is no error');
});
