// STAND-IN, to be replaced by the real node: the routes that it does not serve yet: challenges, siteverify,
// sessions with a token as text (also gzip), and /client.js. Everything here is in memory and judges nobody.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { gunzipSync } from 'node:zlib';

const script = (name) => readFileSync(new URL(`../../script/${name}`, import.meta.url));

export const SITEKEY = 'submit-key-0123456789';
export const SECRET = 'ingest-key-0123456789';

const body = async (request) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces);
};

/** A node with `sessions` (by id: session, bytes, gzip, type) and `faults`, answers that are given before the real ones. */
export async function startNode({ expiresIn = 300 } = {}) {
  const node = { sessions: new Map(), challenges: new Map(), faults: [], requests: [], expiresIn };
  const server = createServer(async (request, response) => {
    const answer = (status, value, headers = {}) => response.writeHead(status, { 'content-type': 'application/json', 'access-control-allow-origin': '*', ...headers }).end(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value));
    const refuse = (status, code) => answer(status, { error: 'Refused', code, message: code });
    const { pathname } = new URL(request.url, 'http://node');
    try {
      const bytes = await body(request);
      node.requests.push({ method: request.method, pathname, headers: request.headers });
      if (request.method === 'OPTIONS') return answer(204, '', { 'access-control-allow-methods': 'GET, POST', 'access-control-allow-headers': 'authorization, content-type', 'access-control-max-age': '600' });
      const fault = node.faults.find((one) => pathname.endsWith(one.path) && one.times-- > 0);
      if (fault) return fault.destroy ? request.socket.destroy() : answer(fault.status, { code: fault.code ?? 'busy', message: 'later' }, { 'retry-after': '0', 'access-control-expose-headers': 'retry-after' });
      if (pathname === '/client.js') return answer(200, script('client.js'), { 'content-type': 'text/javascript' });
      if (pathname === '/client.js.map') return answer(200, script('client.js.map'));
      const key = request.headers.authorization?.replace('Bearer ', '');
      if (pathname === '/api/v1/challenges') {
        if (![SITEKEY, SECRET].includes(key)) return refuse(401, 'unauthorized');
        const challenge = { token: `pc_${randomUUID()}`, sessionId: `s-${randomUUID()}`, expiresAt: new Date(Date.now() + node.expiresIn * 1000).toISOString(), expiresIn: node.expiresIn };
        node.challenges.set(challenge.token, { ...challenge, action: JSON.parse(bytes.toString() || '{}').action });
        return answer(200, challenge);
      }
      if (pathname === '/api/v1/score') {
        const zipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
        const { token, ...session } = JSON.parse(zipped ? gunzipSync(bytes) : bytes);
        const challenge = node.challenges.get(token);
        if (token ? !challenge : key !== SITEKEY) return refuse(401, 'unknown_token');
        if (token && challenge.sessionId !== session.sessionId) return refuse(403, 'foreign_token');
        node.sessions.set(session.sessionId, { session, bytes: bytes.length, gzip: zipped, type: request.headers['content-type'] });
        return answer(200, { sessionId: session.sessionId, status: 'queued' });
      }
      if (pathname === '/api/v1/siteverify') {
        const fields = request.headers['content-type'].startsWith('application/json') ? JSON.parse(bytes) : Object.fromEntries(new URLSearchParams(bytes.toString()));
        if ((fields.secret ?? key) !== SECRET) return answer(200, { success: false, 'error-codes': ['invalid-input-secret'] });
        const token = fields.response ?? fields.token;
        const challenge = node.challenges.get(token);
        if (!token) return answer(200, { success: false, 'error-codes': ['missing-input-response'] });
        if (!challenge || !node.sessions.has(challenge.sessionId)) return answer(200, { success: false, 'error-codes': ['invalid-input-response'] });
        if (challenge.used) return answer(200, { success: false, 'error-codes': ['timeout-or-duplicate'] });
        challenge.used = true;
        return answer(200, { success: true, score: 0.3, action: challenge.action, challenge_ts: new Date().toISOString(), hostname: 'localhost', 'error-codes': [], sessionId: challenge.sessionId, decision: 'pass', status: 'queued', reasons: [] });
      }
      return refuse(404, 'not_found');
    } catch (error) {
      return refuse(400, String(error));
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  node.url = `http://127.0.0.1:${server.address().port}`;
  node.close = () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); });
  return node;
}
