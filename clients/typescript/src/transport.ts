import type { Telemetry } from './recorder.js';

export interface SendOptions {
  /** The service, such as `https://bots.example.com`. */
  baseUrl: string;
  /** A challenge's token. It vouches for the session and stands in its body, so that no preflight is needed. */
  token?: string | undefined;
  /** A key of the role submit, where there is no token. */
  apiKey?: string | undefined;
  /** How often a request is sent again that did not arrive or was put off; 3 when left out. */
  retries?: number;
  signal?: AbortSignal;
}

/** Why a session could not be sent. */
export class SendError extends Error {
  override readonly name = 'SendError';
  constructor(
    /** 0 when nothing was answered. */
    readonly status: number,
    /** As the service says; `unreachable` when nothing was answered. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Bodies that are to outlive their page share 64 KiB; some of it is left to others. */
export const MAX_KEEPALIVE_BYTES = 60_000;
/** Smaller bodies are not worth compressing. */
const MIN_GZIP_BYTES = 2_000;
const MAX_PAUSE_MS = 30_000;

type Body = string | Uint8Array<ArrayBuffer>;

/** The JSON that is sent; a token goes first, so that a service finds it early. */
export const encode = (session: Telemetry, token?: string): string => JSON.stringify({ ...(token ? { token } : {}), ...session, useBatch: true });

/** The same as gzip; `undefined` where the browser has none. Without a task of its own: a page that goes away has none left. */
export async function gzip(text: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (typeof CompressionStream === 'undefined') return undefined;
  const { readable, writable } = new CompressionStream('gzip');
  const [writer, reader] = [writable.getWriter(), readable.getReader()];
  // A failure is the reader's, too.
  writer.write(new TextEncoder().encode(text)).catch(() => undefined);
  writer.close().catch(() => undefined);
  const pieces: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
  }
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** Every n-th movement, with the smallest n that makes the JSON fit into `bytes`. */
export function thinned(session: Telemetry, token: string | undefined, bytes: number): string {
  for (let stride = 1; ; stride += 1) {
    const fewer = stride === 1 ? session : {
      ...session,
      movements: session.movements.filter((_, i) => i % stride === 0),
      ...(session.context ? { context: { ...session.context, thinned: (session.context.thinned ?? 1) * stride } } : {}),
    };
    const text = encode(fewer, token);
    if (text.length <= bytes || stride >= session.movements.length) return text;
  }
}

/** A request that needs no preflight where a token vouches: the body is text, compressed or not; gzip tells itself by its first bytes. */
function request(body: Body, { token, apiKey }: SendOptions): RequestInit {
  const headers: Record<string, string> = { 'content-type': token ? 'text/plain' : 'application/json' };
  if (!token && apiKey) headers['authorization'] = `Bearer ${apiKey}`;
  return { method: 'POST', headers, body, credentials: 'omit', keepalive: body.length <= MAX_KEEPALIVE_BYTES };
}

const target = (options: SendOptions) => `${options.baseUrl.replace(/\/+$/, '')}/api/v1/score`;

/** Sends a session and gives the service's answer. What does not arrive, or is put off, is sent again: a session counts once. */
export async function sendSession(session: Telemetry, options: SendOptions): Promise<{ sessionId: string; status: string }> {
  const text = encode(session, options.token);
  const body = options.token && text.length > MIN_GZIP_BYTES ? await gzip(text) ?? text : text;
  for (let tried = 0; ; tried += 1) {
    let failure: SendError;
    let pause = 250 * 2 ** tried * (0.5 + Math.random());
    try {
      const response = await fetch(target(options), { ...request(body, options), ...(options.signal ? { signal: options.signal } : {}) });
      const answer = await response.json().catch(() => ({}));
      if (response.ok) return answer;
      failure = new SendError(response.status, answer.code ?? 'unknown', answer.message ?? `the service answered ${response.status}`);
      if (![429, 503].includes(response.status)) throw failure;
      const asked = response.headers.get('retry-after');
      if (asked) pause = Number(asked) * 1000 || 0;
    } catch (error) {
      if (error instanceof SendError || options.signal?.aborted) throw error;
      // A browser does not tell a page whether a service is away or refuses the page's origin.
      failure = new SendError(0, 'unreachable', `${options.baseUrl} does not answer, or does not list this page's origin in API_CORS_ORIGINS`);
    }
    if (tried >= (options.retries ?? 3)) throw failure;
    await new Promise((resolve) => setTimeout(resolve, Math.min(pause, MAX_PAUSE_MS)));
  }
}

/** Hands a body to the browser, to be sent even when the page is gone. */
function handOver(body: Body, options: SendOptions): void {
  const beacon = () => navigator.sendBeacon?.(target(options), new Blob([body], { type: 'text/plain' }));
  if (!('keepalive' in Request.prototype)) beacon();
  // Refused where other bodies take the room: there is a second one for beacons.
  else fetch(target(options), request(body, options)).catch(() => { if (options.token) beacon(); });
}

/**
 * Sends a session while its page goes away. All of it where it fits, compressed where it must be; where that does not fit
 * either, or the browser does not get that far, with every n-th movement.
 */
export function sendAtUnload(session: Telemetry, options: SendOptions): void {
  const text = encode(session, options.token);
  if (text.length <= MAX_KEEPALIVE_BYTES) {
    handOver(text, options);
    return;
  }
  let left = true;
  const last = (body?: Body) => {
    if (!left) return;
    left = false;
    document.removeEventListener('visibilitychange', late);
    handOver(body && body.length <= MAX_KEEPALIVE_BYTES ? body : thinned(session, options.token, MAX_KEEPALIVE_BYTES), options);
  };
  // What a page hears after `pagehide`, when it is to be torn down.
  const late = () => last();
  if (!options.token) { last(); return; }
  document.addEventListener('visibilitychange', late);
  gzip(text).then(last, late);
}

/**
 * Calls `send` once, when the page goes away: it is left, closed or reloaded, or, on a device held in the hand, is hidden,
 * as nothing is heard of it afterwards. Returns what takes that back.
 */
export function atUnload(send: () => void, onHidden = typeof matchMedia === 'function' && matchMedia('(pointer: coarse)').matches): () => void {
  const off = () => {
    removeEventListener('pagehide', leave);
    document.removeEventListener('visibilitychange', hide);
  };
  const leave = () => { off(); send(); };
  const hide = () => { if (onHidden && document.hidden) leave(); };
  addEventListener('pagehide', leave);
  document.addEventListener('visibilitychange', hide);
  return off;
}
