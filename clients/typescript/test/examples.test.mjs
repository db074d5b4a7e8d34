// The servers in docs/challenges.md, as they stand there. One whose language is not installed is left out and named.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createClient } from 'playproof-batch-client';
import { SECRET, SITEKEY, startNode } from './browser/node.mjs';

const root = new URL('..', import.meta.url).pathname;
const guide = readFileSync(join(root, '../../docs/challenges.md'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'playproof-examples-'));
const python = process.env.PLAYPROOF_PYTHON ?? 'python3';
let node;

before(async () => {
  node = await startNode();
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
});
after(async () => { await node.close(); rmSync(folder, { recursive: true }); });

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => resolve(port)); });
});
const can = (...command) => { try { execFileSync(command[0], command.slice(1), { stdio: 'ignore' }); return true; } catch { return false; } };

/** What a page's visitor leaves: a token whose session has arrived. */
async function played(action = 'sign-up') {
  const post = (path, headers, body) => fetch(node.url + path, { method: 'POST', headers: { origin: 'http://localhost', ...headers }, body: JSON.stringify(body) }).then((answer) => answer.json());
  const { token, sessionId } = await post('/api/v1/challenges', { authorization: `Bearer ${SITEKEY}` }, { action });
  await post('/api/v1/score', {}, { token, sessionId, movements: [] });
  return token;
}

test('the client asks for a challenge and for the verdict of its token', async () => {
  const client = createClient({ baseUrl: node.url, apiKey: SECRET });
  const { token, sessionId } = await client.challenge({ action: 'sign-up', userId: 'u1' });
  await fetch(`${node.url}/api/v1/score`, { method: 'POST', body: JSON.stringify({ token, sessionId, movements: [] }) });
  const verdict = await client.siteverify(token);
  assert.deepEqual([verdict.success, verdict.sessionId, verdict.action], [true, sessionId, 'sign-up']);
  assert.deepEqual((await client.siteverify(token))['error-codes'], ['timeout-or-duplicate']);
});

const servers = [
  ['server.mjs', () => true, (file) => ['node', file]],
  ['server.py', () => can(python, '-c', 'import fastapi, httpx, uvicorn, python_multipart'), (file) => [python, file]],
  ['server.go', () => can('go', 'version'), (file) => { execFileSync('go', ['build', '-o', 'server', file], { cwd: folder, env: { ...process.env, GO111MODULE: 'off' } }); return ['./server']; }],
  ['server.php', () => can('php', '-r', 'exit(function_exists("curl_init") ? 0 : 1);'), (file, port) => ['php', '-S', `127.0.0.1:${port}`, file]],
];

for (const [file, available, command] of servers) {
  const code = [...guide.matchAll(/^```\w+\n([^]*?)^```$/gm)].map(([, block]) => block).find((block) => new RegExp(`^(<\\?php\n)?(//|#) ${file.replace('.', '\\.')}\n`).test(block));
  assert.ok(code, `docs/challenges.md has ${file}`);
  if (!available()) {
    console.log(`# left out: ${file}, whose language or libraries are not installed`);
    continue;
  }
  test(`docs/challenges.md: ${file}`, async (t) => {
    writeFileSync(join(folder, file), code);
    const port = await freePort();
    const [program, ...rest] = command(file, port);
    const server = spawn(program, rest, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, PLAYPROOF_NODE: node.url, PLAYPROOF_KEY: SECRET, PORT: String(port) } });
    let said = '';
    server.stderr.on('data', (piece) => { said += piece; });
    t.after(() => server.kill('SIGKILL'));
    const signUp = async (token) => {
      const answer = await fetch(`http://127.0.0.1:${port}/sign-up`, { method: 'POST', body: new URLSearchParams(token === undefined ? {} : { 'playproof-response': token }) });
      return [answer.status, (await answer.text()).trim()];
    };
    for (let tried = 0; ; tried += 1) {
      try { await signUp(); break; } catch (error) { if (tried > 200 || server.exitCode !== null) throw new Error(`${file}: ${error}\n${said}`); await new Promise((resolve) => setTimeout(resolve, 100)); }
    }
    // A visitor without a pointer.
    const token = await played();
    assert.deepEqual(await signUp(token), [200, 'confirm your e-mail'], said);
    for (const [why, refused] of [['used', token], ['forged', 'pc_forged'], ['missing', undefined], ['of another action', await played('log-in')]]) {
      assert.deepEqual(await signUp(refused), [403, 'refused'], why);
    }
  });
}
