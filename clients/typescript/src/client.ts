import type { ErrorBody, ResultAnswer, ResultsAnswer, ScoreAnswer } from './api.js';
import type { Telemetry } from './recorder.js';
import { follow, type FollowOptions, type Verdict } from './verdicts.js';

export type Decision = 'pass' | 'review' | 'fail';

export interface ClientOptions {
  /** Such as `https://bots.example.com`; `http://127.0.0.1:3000` when left out. */
  baseUrl?: string;
  /** Sent as `Authorization: Bearer KEY`. */
  apiKey?: string;
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
  /** How long a request may take, waiting for a result not counted, in milliseconds; 10,000 when left out. */
  timeoutMs?: number;
  /** How often a request is tried again that was put off with 429 or 503 or did not arrive; 3 when left out. */
  retries?: number;
}

export interface ScoreOptions {
  /** Whether the session waits for a batch; else it is scored at once. `false` when left out. */
  useBatch?: boolean;
  signal?: AbortSignal;
}

export interface ChallengeOptions {
  /** Whom the session is of; the page cannot claim another. */
  userId?: string;
  /** What the visitor does, such as `login`; {@link SiteVerdict} tells it. */
  action?: string;
  deploymentId?: string;
  /** Such as `10m`. */
  ttl?: string;
}

/** A single-use token for one session of a page. */
export interface Challenge {
  token: string;
  /** The id that the session must have. */
  sessionId: string;
  /** ISO 8601. */
  expiresAt?: string;
  /** Seconds, by which a visitor's clock that is wrong does no harm. */
  expiresIn?: number;
}

/** What a service says of a token: in the form of others, and in ours. */
export interface SiteVerdict {
  success: boolean;
  'error-codes': string[];
  score?: number | null;
  action?: string | null;
  /** ISO 8601. */
  challenge_ts?: string;
  hostname?: string | null;
  sessionId?: string;
  decision?: Decision;
  status?: string;
  reasons?: Array<{ code: string; message: string }>;
}

export interface ResultOptions {
  /** How long to wait for a result: seconds, or a span such as `30s`. Without it the answer is how things stand. */
  wait?: number | string;
  deploymentId?: string;
  signal?: AbortSignal;
}

/** An answer that is an error, in the service's words; or, with the code `unreachable`, none. */
export class PlayProofError extends Error {
  override readonly name = 'PlayProofError';
  constructor(
    /** 0 when nothing was answered. */
    readonly status: number,
    /** Stable; see the service's list. */
    readonly code: string,
    message: string,
    /** The field at fault, where it is one. */
    readonly path: string | null = null,
    /** When to come back, in seconds. */
    readonly retryAfter: number | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Longest pause that a server may ask for before a request is tried again, in milliseconds. */
const LONGEST_PAUSE = 30_000;
/** What one request waits at most; longer waits are several. */
const LONGEST_WAIT = 50;

const pause = (ms: number, signal?: AbortSignal) => new Promise<void>((resolve, reject) => {
  const timer = setTimeout(() => { signal?.removeEventListener('abort', stop); resolve(); }, ms);
  const stop = () => { clearTimeout(timer); reject(signal?.reason); };
  signal?.addEventListener('abort', stop, { once: true });
});

function seconds(wait: number | string): number {
  if (typeof wait === 'number') return wait;
  const [, number, unit] = /^(\d+)(ms|s|m)?$/.exec(wait) ?? [];
  if (number === undefined) throw new TypeError(`wait must be seconds or a span such as 30s, not ${wait}`);
  return Number(number) * (unit === 'ms' ? 0.001 : unit === 'm' ? 60 : 1);
}

export class Client {
  readonly baseUrl: string;
  readonly #options: ClientOptions;

  constructor(options: ClientOptions = {}) {
    this.baseUrl = (options.baseUrl ?? 'http://127.0.0.1:3000').replace(/\/+$/, '');
    this.#options = options;
  }

  /** Submits a session and returns its first verdict, which only keys of the role ingest or above are told. Sending the same session again gives the same answer. */
  async scoreSession(telemetry: Telemetry, { useBatch = false, signal }: ScoreOptions = {}): Promise<ScoreAnswer> {
    return this.json('POST', '/api/v1/score', { body: { ...telemetry, useBatch }, ...(signal ? { signal } : {}) });
  }

  /** A single-use token for a page, which sends its session with it and no key. */
  async challenge({ signal, ...fields }: ChallengeOptions & { signal?: AbortSignal } = {}): Promise<Challenge> {
    return this.json('POST', '/api/v1/challenges', { body: fields, ...(signal ? { signal } : {}) });
  }

  /** The verdict of the session that came with a token; a second time it is refused, in `error-codes`. */
  async siteverify(token: string, signal?: AbortSignal): Promise<SiteVerdict> {
    return this.json('POST', '/api/v1/siteverify', { body: { token }, ...(signal ? { signal } : {}) });
  }

  /** How a session stands; with `wait`, once it has a result or the time is over. */
  async getSessionResult(sessionId: string, { wait, deploymentId, signal }: ResultOptions = {}): Promise<ResultAnswer> {
    let left = wait === undefined ? 0 : seconds(wait);
    for (;;) {
      const now = Math.min(left, LONGEST_WAIT);
      const query = new URLSearchParams();
      if (now > 0) query.set('wait', `${Math.ceil(now * 1000)}ms`);
      if (deploymentId) query.set('deploymentId', deploymentId);
      const begun = Date.now();
      const answer = await this.json<ResultAnswer>('GET', `/api/v1/batch/result/${encodeURIComponent(sessionId)}?${query}`, { extraMs: now * 1000, ...(signal ? { signal } : {}) });
      left -= Math.max((Date.now() - begun) / 1000, 0.05);
      if (answer.status !== 'queued' || left <= 0) return answer;
    }
  }

  /** Results, the newest first, page after page; `query` as `GET /api/v1/batch/results` takes it. */
  async *results(query: Record<string, string | number> = {}, signal?: AbortSignal): AsyncGenerator<ResultsAnswer['results'][number], void> {
    let cursor: string | null = null;
    do {
      const params = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
      if (cursor) params.set('cursor', cursor);
      const page: ResultsAnswer = await this.json('GET', `/api/v1/batch/results?${params}`, signal ? { signal } : {});
      yield* page.results;
      cursor = page.nextCursor ?? null;
    } while (cursor !== null);
  }

  /** Verdicts as they come, for ever; connects again by itself and goes on where it was. */
  followVerdicts(options: FollowOptions = {}): AsyncGenerator<Verdict, void> {
    return follow((path, headers, signal) => this.request('GET', path, { headers, signal, endless: true }), options);
  }

  /** A request of your own, with the client's key, retries and errors. */
  async json<T>(method: string, path: string, options: { body?: unknown; signal?: AbortSignal; extraMs?: number } = {}): Promise<T> {
    return (await this.request(method, path, options)).json() as Promise<T>;
  }

  private async request(method: string, path: string, options: { body?: unknown; headers?: Record<string, string>; signal?: AbortSignal | undefined; extraMs?: number; endless?: boolean }): Promise<Response> {
    const most = this.#options.retries ?? 3;
    for (let tried = 0; ; tried += 1) {
      try {
        return await this.once(method, path, options);
      } catch (error) {
        // Submissions may be repeated: a session counts once.
        const passing = error instanceof PlayProofError && [0, 429, 503].includes(error.status);
        if (!passing || tried >= most || options.signal?.aborted) throw error;
        const asked = error.retryAfter === null ? 250 * 2 ** tried * (0.5 + Math.random()) : error.retryAfter * 1000;
        await pause(Math.min(asked, LONGEST_PAUSE), options.signal);
      }
    }
  }

  private async once(method: string, path: string, { body, headers = {}, signal, extraMs = 0, endless = false }: { body?: unknown; headers?: Record<string, string>; signal?: AbortSignal | undefined; extraMs?: number; endless?: boolean }): Promise<Response> {
    const { apiKey, fetch: ask = fetch, timeoutMs = 10_000 } = this.#options;
    const all: Record<string, string> = { accept: 'application/json', ...headers };
    if (apiKey) all['authorization'] = `Bearer ${apiKey}`;
    if (body !== undefined) all['content-type'] = 'application/json';
    const limits = [...(signal ? [signal] : []), ...(endless ? [] : [AbortSignal.timeout(timeoutMs + extraMs)])];
    let response: Response;
    try {
      response = await ask(this.baseUrl + path, { method, headers: all, ...(body === undefined ? {} : { body: JSON.stringify(body) }), ...(limits.length ? { signal: AbortSignal.any(limits) } : {}) });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new PlayProofError(0, 'unreachable', `${this.baseUrl} does not answer${'document' in globalThis ? ', or does not list this page\'s origin in API_CORS_ORIGINS' : ''}: ${error instanceof Error ? error.message : String(error)}`, null, null, { cause: error });
    }
    if (response.ok) return response;
    const told = await response.json().catch(() => null) as ErrorBody | null;
    const after = Number(response.headers.get('retry-after') ?? 'NaN');
    throw new PlayProofError(response.status, told?.code ?? 'unknown', told?.message ?? `the service answered ${response.status}`, told?.details?.path ?? null, Number.isFinite(after) ? after : null);
  }
}

/** A client of its own. */
export const createClient = (options: ClientOptions = {}): Client => new Client(options);

let shared = new Client();

/** Sets up the client that {@link scoreSession} and {@link getSessionResult} use. */
export function configure(options: ClientOptions): void {
  shared = new Client(options);
}

/** {@link Client.scoreSession} of the configured client. */
export const scoreSession = (telemetry: Telemetry, options?: ScoreOptions): Promise<ScoreAnswer> => shared.scoreSession(telemetry, options);

/** {@link Client.getSessionResult} of the configured client. */
export const getSessionResult = (sessionId: string, options?: ResultOptions): Promise<ResultAnswer> => shared.getSessionResult(sessionId, options);
