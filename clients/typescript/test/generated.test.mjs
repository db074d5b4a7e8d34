// The OpenAPI document: clean for redocly, and of use to those who generate a client of it.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SECRET, startNode } from './browser/node.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name) => join(root, 'node_modules', '.bin', name);
const openapi = fileURLToPath(new URL('../../../openapi.json', import.meta.url));

test('redocly finds nothing to say of the document', () => {
  const told = spawnSync(bin('redocly'), ['lint', '--extends', 'recommended', '--format', 'json', openapi], { encoding: 'utf8', env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' } });
  assert.equal(told.status, 0, told.stderr);
  const { totals, problems } = JSON.parse(told.stdout);
  assert.deepEqual([totals.errors, totals.warnings], [0, 0], JSON.stringify(problems.map(({ message, location }) => [message, location[0]?.pointer])));
});

test('a generated client compiles, submits a session and reads its verdict', async (t) => {
  const folder = mkdtempSync(join(root, 'test', '.generated-'));
  t.after(() => rmSync(folder, { recursive: true }));
  execFileSync(bin('openapi-typescript'), [openapi, '-o', join(folder, 'schema.d.ts')], { stdio: 'pipe' });
  writeFileSync(join(folder, 'use.mts'), `
import createClient from 'openapi-fetch';
import type { components, paths } from './schema.js';

declare const process: { argv: string[] };
const [baseUrl, key] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl, headers: { authorization: \`Bearer \${key}\` } });
const movements = Array.from({ length: 80 }, (_, i) => ({ x: 10 + 5 * i, y: 40 + 30 * Math.sin(0.2 * i), timestamp: 16 * i }));
const session: components['schemas']['Session'] = { sessionId: 'generated', movements, useBatch: true };
const first = await client.POST('/api/v1/score', { body: session });
const status: string | undefined = first.data?.status;
const final = await client.GET('/api/v1/batch/result/{sessionId}', { params: { path: { sessionId: 'generated' }, query: { wait: '20s' } } });
const unknown = await client.GET('/api/v1/batch/result/{sessionId}', { params: { path: { sessionId: 'nobody' } } });
console.log(JSON.stringify([status, final.data?.status, final.data?.result?.decision, unknown.error?.code]));
`);
  const compiled = spawnSync(bin('tsc'), ['--strict', '--target', 'es2022', '--module', 'nodenext', '--skipLibCheck', '--lib', 'es2022,dom', join(folder, 'use.mts')], { cwd: root, encoding: 'utf8' });
  assert.equal(compiled.status, 0, compiled.stdout);
  const node = await startNode({ PLAYPROOF_SCHEDULER_INTERVAL: '200ms', PLAYPROOF_SCHEDULER_MAX_WAIT: '200ms' });
  t.after(() => node.close());
  // Not waiting in place: the node's proxy is in this process.
  const { stdout: told } = await promisify(execFile)(process.execPath, [join(folder, 'use.mjs'), node.url, SECRET]);
  const [queued, processed, decision, code] = JSON.parse(told);
  assert.deepEqual([queued, processed, code], ['queued', 'processed', 'unknown_session']);
  assert.ok(['pass', 'review', 'fail'].includes(decision));
});
