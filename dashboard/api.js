// Requests to the service, with the cookie of the login and, where something is changed, its token.

/** Where the service's routes start: this file is one folder below. */
const base = new URL('..', import.meta.url).pathname.replace(/\/$/, '');

let token = null;

/** An answer that is an error, with the service's own words. */
export class Refused extends Error {
  constructor(status, body) {
    super(body?.message ?? `the service answered ${status}`);
    this.status = status;
    this.code = body?.code ?? 'unknown';
  }
}

async function ask(method, path, { body, type = 'application/json', accept = 'application/json', signal } = {}) {
  const headers = { accept };
  if (method !== 'GET' && token) headers['x-csrf-token'] = token;
  if (body !== undefined) headers['content-type'] = type;
  let response;
  try {
    response = await fetch(base + path, { method, headers, signal, body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body) });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The service does not answer. It may be restarting; try again in a moment.');
  }
  if (response.ok) return response;
  const refused = new Refused(response.status, await response.json().catch(() => null));
  if (response.status === 401 && path !== '/api/v1/session') dispatchEvent(new Event('loggedout'));
  throw refused;
}

export const get = async (path, options) => (await ask('GET', path, options)).json();
export const post = async (path, body) => (await ask('POST', path, { body })).json();
/** Sends a text as it is, such as a table. */
export const postText = async (path, body, type) => (await ask('POST', path, { body, type })).json();
export const remove = async (path) => (await ask('DELETE', path)).json();
/** The answer as it comes, for those who need its headers. */
export const raw = (path, options) => ask('GET', path, options);

/** A path with the parameters that have a value. */
export function path(route, params) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== '' && value !== null && value !== undefined));
  return query.size ? `${route}?${query}` : route;
}

/** Who asks; keeps the token. */
export async function who() {
  const told = await get('/api/v1/session');
  token = told.csrfToken;
  return told;
}

export async function logIn(key) {
  const told = await post('/api/v1/session', { key });
  token = told.csrfToken;
  return told;
}

export async function logOut() {
  await ask('DELETE', '/api/v1/session');
  token = null;
}

/** Listens to what happens: `moment(data)`, `trouble(text)`, `state(connected)`; returns how to stop. */
export function listen({ moment, trouble, state }) {
  let source;
  let again;
  const open = () => {
    source = new EventSource(`${base}/api/v1/events`);
    source.addEventListener('moment', (event) => { state(true); moment(JSON.parse(event.data)); });
    source.addEventListener('trouble', (event) => trouble(JSON.parse(event.data).message));
    source.addEventListener('error', () => {
      state(false);
      // The browser tries again by itself where nobody answers, but not after an answer that is an error.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 3000);
    });
  };
  open();
  return () => { clearTimeout(again); source.close(); };
}
