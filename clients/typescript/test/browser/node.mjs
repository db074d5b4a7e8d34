// The real node, the binary named by PLAYPROOF_BINARY or target/debug/playproof-batch, behind a proxy that remembers what
// pages sent and can answer with a fault in the node's place. PLAYPROOF_SCRIPT=FILE is served as the node's client.js, so that
// work on the client needs no new binary.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request as ask } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { gunzipSync } from 'node:zlib';

const binary = process.env.PLAYPROOF_BINARY ?? new URL('../../../../target/debug/playproof-batch', import.meta.url).pathname;

export const SITEKEY = 'submit-key-0123456789';
export const SECRET = 'ingest-key-0123456789';
export const ANALYST = 'analyst-key-0123456789';

const body = async (stream) => {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
};

async function startBinary(settings) {
  const folder = mkdtempSync(join(tmpdir(), 'playproof-node-'));
  const program = spawn(binary, ['serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PLAYPROOF_LISTEN: '127.0.0.1:0', PLAYPROOF_STORE: `embedded:${folder}`, PLAYPROOF_INGEST_KEYS: SECRET, PLAYPROOF_SUBMIT_KEYS: SITEKEY, PLAYPROOF_ANALYST_KEYS: ANALYST, API_CORS_ORIGINS: '*', PLAYPROOF_MIN_FREE_DISK: '0B', PLAYPROOF_LOG: 'error', ...settings },
  });
  const line = await new Promise((resolve) => createInterface(program.stdout).once('line', resolve));
  const end = async () => {
    const ended = new Promise((resolve) => program.once('exit', resolve));
    program.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true });
  };
  return { url: line.replace('listening on ', ''), end };
}

/** A node, with `settings` of its own by variable, with the `sessions` that it took (by id: session, bytes, gzip, type), its `challenges` by token, the `requests` that
 * reached it, and `faults`: answers that are given in its place. */
export async function startNode(settings = {}) {
  const node = { sessions: new Map(), challenges: new Map(), faults: [], requests: [] };
  const real = await startBinary(settings);
  /** The node's answer to a request that a page sent. */
  const forward = ({ method, url, headers }, bytes) => new Promise((resolve, reject) => {
    const sent = ask(real.url + url, { method, headers, agent: false }, async (answer) => resolve({ status: answer.statusCode, headers: answer.headers, bytes: await body(answer) }));
    sent.on('error', reject);
    sent.end(bytes);
  });
  const remember = (pathname, { headers }, bytes, answer) => {
    if (answer.status !== 200) return;
    if (pathname === '/api/v1/challenges') {
      const challenge = JSON.parse(answer.bytes);
      node.challenges.set(challenge.token, { ...challenge, action: JSON.parse(bytes.toString() || '{}').action });
    }
    if (pathname === '/api/v1/score') {
      const gzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
      const { token, ...session } = JSON.parse(gzip ? gunzipSync(bytes) : bytes);
      node.sessions.set(session.sessionId, { session, bytes: bytes.length, gzip, type: headers['content-type'] });
    }
  };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://node');
    try {
      const bytes = await body(request);
      node.requests.push({ method: request.method, pathname, headers: request.headers });
      const fault = request.method !== 'OPTIONS' && node.faults.find((one) => pathname.endsWith(one.path) && one.times-- > 0);
      if (pathname === '/client.js' && process.env.PLAYPROOF_SCRIPT) {
        return response.writeHead(200, { 'content-type': 'text/javascript', 'access-control-allow-origin': '*' }).end(readFileSync(process.env.PLAYPROOF_SCRIPT));
      }
      if (fault?.destroy) return request.socket.destroy();
      if (fault) {
        return response.writeHead(fault.status, { 'content-type': 'application/json', 'access-control-allow-origin': '*', 'retry-after': '0', 'access-control-expose-headers': 'retry-after' }).end(JSON.stringify({ code: fault.code ?? 'busy', message: 'later' }));
      }
      const answer = await forward(request, bytes);
      remember(pathname, request, bytes, answer);
      return response.writeHead(answer.status, answer.headers).end(answer.bytes);
    } catch (error) {
      // A page that went away in the middle of its request.
      if (!request.complete) return undefined;
      console.log(`# ${request.method} ${pathname}: ${error}`);
      return request.socket.destroy();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  node.url = `http://127.0.0.1:${server.address().port}`;
  node.close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await real.end();
  };
  return node;
}
