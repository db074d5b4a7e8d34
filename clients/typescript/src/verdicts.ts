import type { VerdictEvent } from './api.js';

/** A verdict, or the change of one. */
export interface Verdict extends VerdictEvent {
  type: 'verdict.final' | 'verdict.changed';
  /** Pass it as `after` to go on from here. */
  id: string;
}

export interface FollowOptions {
  /** The id of the last verdict seen, or `0` for everything that is stored; from now on when left out. */
  after?: string;
  deploymentId?: string;
  signal?: AbortSignal;
}

type Ask = (path: string, headers: Record<string, string>, signal: AbortSignal | undefined) => Promise<Response>;

/** The events of a stream of them, as `{id, event, data}`. */
async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<Record<string, string>, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      let end: number;
      while ((end = text.indexOf('\n\n')) >= 0) {
        const fields: Record<string, string> = {};
        for (const line of text.slice(0, end).split('\n')) {
          const at = line.indexOf(': ');
          if (at > 0) fields[line.slice(0, at)] = line.slice(at + 2);
        }
        text = text.slice(end + 2);
        yield fields;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

export async function* follow(ask: Ask, { after, deploymentId, signal }: FollowOptions): AsyncGenerator<Verdict, void> {
  let last = after;
  while (!signal?.aborted) {
    const query = deploymentId ? `?${new URLSearchParams({ deploymentId })}` : '';
    const headers: Record<string, string> = { accept: 'text/event-stream', ...(last === undefined ? {} : { 'last-event-id': last }) };
    const response = await ask(`/api/v1/verdicts${query}`, headers, signal);
    try {
      if (!response.body) return;
      for await (const { id, event, data } of events(response.body)) {
        if (id === undefined || data === undefined) continue;
        last = id;
        yield { ...(JSON.parse(data) as VerdictEvent), type: event === 'verdict.changed' ? event : 'verdict.final', id };
      }
    } catch (error) {
      // A connection that broke is made again; who asked to end is not asked twice.
      if (signal?.aborted) return;
      if (error instanceof SyntaxError) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
