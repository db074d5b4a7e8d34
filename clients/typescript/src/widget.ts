import type { Challenge } from './client.js';
import { recordPointer, type Recorder } from './recorder.js';
import { STYLE } from './style.js';
import { SendError, atUnload, sendAtUnload, sendSession } from './transport.js';
import { words } from './words.js';

/** Of the events `verified`, `expired` and `error`. */
export interface CheckEvents {
  verified: CustomEvent<{ token: string; sessionId: string }>;
  expired: CustomEvent<null>;
  error: CustomEvent<{ code: string; message: string }>;
}

/** The form's field that holds the token, unless the attribute `name` says another. */
export const FIELD = 'playproof-response';
const MAX_TARGETS = 8;
const MIN_TARGETS = 6;
/** Least distance between two bubbles that follow each other, as a share of the area. */
const MIN_REACH = 0.4;
const MIN_LIFE_MS = 10_000;

let scriptBase = '';

/** Where the service is, for elements without the attribute `node`. */
export function setBaseUrl(url: string): void {
  scriptBase = url;
}

// Programs without a document may import this file.
const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

/**
 * `<playproof-check sitekey="..." action="login">`: a short game that records the pointer, sends the session, and leaves a
 * token in the form around it. Attributes: `sitekey` (a submit key), or `challenge` (a path of the site's own server that
 * answers with a challenge), or `token` and `session-id` (of a challenge made with the page); `action`, `node`, `name`,
 * `mode="invisible"`, `theme="light|dark"`, `targets` (6 to 8), `lang`.
 */
export class PlayProofCheck extends Base {
  /** The token that the site's server verifies; empty until the session was taken. */
  token = '';
  #root: ShadowRoot | undefined;
  #field: HTMLInputElement | undefined;
  #recorder: Recorder | undefined;
  #challenge: Promise<Challenge> | undefined;
  #arrived: Challenge | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stay: (() => void) | undefined;
  /** Whether the attribute's token has been taken. */
  #given = false;
  /** Grows with each attempt, so that what belongs to an earlier one is known. */
  #attempt = 0;

  get #invisible() { return this.getAttribute('mode') === 'invisible'; }
  get #words() { return words(this.closest('[lang]')?.getAttribute('lang'), navigator.language); }
  get #baseUrl() { return this.getAttribute('node') ?? scriptBase; }

  connectedCallback(): void {
    if (!this.#root) {
      this.#root = this.attachShadow({ mode: 'open' });
      const style = new CSSStyleSheet();
      style.replaceSync(STYLE);
      this.#root.adoptedStyleSheets = [style];
    }
    if (!this.#field) {
      this.#field = document.createElement('input');
      this.#field.type = 'hidden';
      this.append(this.#field);
    }
    this.#field.name = this.getAttribute('name') ?? FIELD;
    document.addEventListener('submit', this.#submit, true);
    addEventListener('pageshow', this.#shown);
    this.reset();
  }

  disconnectedCallback(): void {
    document.removeEventListener('submit', this.#submit, true);
    removeEventListener('pageshow', this.#shown);
    this.#end();
  }

  /** Begins anew, with a new challenge. */
  reset(): void {
    this.#end();
    if (this.#invisible) this.#record(document);
    else this.#offer('');
  }

  /** In the invisible mode: ends the recording, sends it, and gives the token. */
  async execute(): Promise<string> {
    if (this.token) return this.token;
    if (!this.#recorder) throw new Error('nothing was begun that could be sent');
    return this.#finish(this.#attempt);
  }

  #end(): void {
    this.#attempt += 1;
    this.#stay?.();
    this.#recorder?.stop();
    clearTimeout(this.#timer);
    this.#recorder = this.#challenge = this.#arrived = undefined;
    this.#give('');
  }

  #give(token: string): void {
    this.token = token;
    if (this.#field) this.#field.value = token;
  }

  #tell<T extends keyof CheckEvents>(type: T, detail: CheckEvents[T]['detail']): boolean {
    return this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  /** Back from the browser's cache of pages: what was sent when the page was left is over. */
  #shown = (event: PageTransitionEvent) => { if (event.persisted) this.reset(); };

  /** An invisible session is sent before its form. */
  #submit = (event: SubmitEvent) => {
    const form = event.target as HTMLFormElement;
    if (!this.#invisible || this.token || !form.contains(this)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    // Without a token the server decides: nobody is kept from sending the form because a service is away.
    const attempt = this.#attempt;
    this.execute().catch(() => undefined).then(() => {
      document.removeEventListener('submit', this.#submit, true);
      form.requestSubmit(event.submitter);
      if (this.isConnected && attempt === this.#attempt) document.addEventListener('submit', this.#submit, true);
    });
  };

  async #ask(): Promise<Challenge> {
    const [token, sessionId, path] = [this.getAttribute('token'), this.getAttribute('session-id'), this.getAttribute('challenge')];
    if (token && sessionId && !this.#given) {
      // A token is good for one session.
      this.#given = true;
      return { token, sessionId };
    }
    const key = this.getAttribute('sitekey');
    if (!path && !key) throw new SendError(0, 'no_sitekey', 'playproof-check needs one of sitekey, challenge, or token with session-id');
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (!path) headers['authorization'] = `Bearer ${key}`;
    const action = this.getAttribute('action');
    const response = await fetch(path ?? `${this.#baseUrl}/api/v1/challenges`, { method: 'POST', headers, body: JSON.stringify(action ? { action } : {}), credentials: path ? 'same-origin' : 'omit' });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    throw new SendError(response.status, answer.code ?? 'unknown', answer.message ?? `the challenge was answered with ${response.status}`);
  }

  /** Asks for a challenge, and for another when its time is over before it was needed: nobody is hurried. */
  #arm(): Promise<Challenge> {
    const asked = this.#challenge = this.#ask();
    asked.then((challenge) => {
      if (asked !== this.#challenge) return;
      this.#arrived = challenge;
      const left = challenge.expiresIn !== undefined ? challenge.expiresIn * 1000 : challenge.expiresAt ? Date.parse(challenge.expiresAt) - Date.now() : NaN;
      // A timer holds 31 bits; a visitor's clock that is wrong makes no storm of challenges.
      if (left < 2 ** 31) this.#timer = setTimeout(() => this.#expire(), Math.max(left, MIN_LIFE_MS));
    }, (error: SendError) => {
      if (asked !== this.#challenge) return;
      // What was recorded until now is kept, and the challenge asked for again when it is needed.
      if (this.#invisible) this.#challenge = undefined;
      else this.#fail(error);
    });
    return asked;
  }

  #record(element: HTMLElement | Document): void {
    this.#recorder = recordPointer(element, {
      gameType: this.#invisible ? 'invisible' : 'bubble-pop',
      ...(this.#invisible ? {} : { targetHit: (event) => (event.target as Element).className === 'bubble' }),
    });
    this.#arm().catch(() => undefined);
    this.#stay = atUnload(() => {
      const [recorder, challenge] = [this.#recorder, this.#arrived];
      if (recorder && challenge) sendAtUnload(recorder.stop(challenge.sessionId), this.#to(challenge));
      this.#recorder = undefined;
      // A page that was hidden only, and returns, has nothing left to go on with.
      document.addEventListener('visibilitychange', () => { if (!document.hidden && this.isConnected) this.reset(); }, { once: true });
    });
  }

  #to = (challenge: Challenge) => ({ baseUrl: this.#baseUrl, token: challenge.token });

  #expire(): void {
    if (!this.token) {
      this.#challenge = this.#arrived = undefined;
      if (!document.hidden) this.#arm().catch(() => undefined);
      return;
    }
    this.#end();
    if (this.#invisible) this.#record(document);
    else this.#offer(this.#words.expired);
    this.#tell('expired', null);
  }

  async #finish(attempt: number): Promise<string> {
    try {
      const recorder = this.#recorder!;
      const challenge = await (this.#challenge ?? this.#arm());
      const session = recorder.stop(challenge.sessionId);
      await sendSession(session, this.#to(challenge));
      if (attempt !== this.#attempt) throw new Error('the check was begun anew meanwhile');
      this.#stay?.();
      this.#recorder = undefined;
      this.#give(challenge.token);
      this.#tell('verified', { token: challenge.token, sessionId: challenge.sessionId });
      return challenge.token;
    } catch (error) {
      if (attempt === this.#attempt) this.#fail(error as SendError);
      throw error;
    }
  }

  #fail({ code = 'unreachable', message }: SendError): void {
    // A script of the page may begin an invisible session anew; by itself it would fail for ever.
    this.#end();
    if (!this.#invisible) this.#offer(this.#words.error);
    this.#tell('error', { code, message });
  }

  /** Shows `content` and the status, which is read aloud when it changes. */
  #show(status: string, ...content: HTMLElement[]): HTMLElement {
    const { language } = this.#words;
    let box = this.#root!.querySelector<HTMLElement>('.box');
    let line = this.#root!.querySelector<HTMLElement>('p');
    const focused = this.#root!.activeElement;
    if (!box || !line) {
      box = document.createElement('div');
      box.className = 'box';
      box.role = 'group';
      line = document.createElement('p');
      line.role = 'status';
      line.tabIndex = -1;
      box.append(line);
      this.#root!.append(box);
    }
    box.lang = language;
    box.dir = language === 'ar' ? 'rtl' : 'ltr';
    box.ariaLabel = 'PlayProof';
    for (const other of [...box.children]) if (other !== line) other.remove();
    for (const one of content) one.className === 'start' ? line.before(one) : line.after(one);
    line.textContent = status;
    // Whoever is at the keyboard is not sent back to the top of the page.
    if (focused) line.focus({ preventScroll: true });
    return box;
  }

  #offer(status: string): void {
    const start = document.createElement('button');
    start.type = 'button';
    start.className = 'start';
    start.textContent = this.#words.start;
    start.addEventListener('click', () => this.#play());
    this.#show(status, start);
  }

  #play(): void {
    // A game anew, unless it is the first.
    if (this.#recorder) this.#end();
    const said = this.#words;
    const wanted = Math.min(Math.max(Number(this.getAttribute('targets')) || 7, MIN_TARGETS), MAX_TARGETS);
    const area = document.createElement('div');
    area.className = 'area';
    this.#record(this.#show(said.hint, area));
    const attempt = this.#attempt;
    let [popped, x, y] = [0, 0.5, -1];
    const next = () => {
      const bubble = document.createElement('button');
      const [lastX, lastY] = [x, y];
      do { [x, y] = [Math.random(), Math.random()]; } while (Math.hypot(x - lastX, y - lastY) < MIN_REACH);
      bubble.type = 'button';
      bubble.className = 'bubble';
      bubble.textContent = String(popped + 1);
      bubble.ariaLabel = said.bubble.replace('#', String(popped + 1)).replace('%', String(wanted));
      bubble.style.left = `calc((100% - 3rem)*${x.toFixed(3)})`;
      bubble.style.top = `calc((100% - 3rem)*${y.toFixed(3)})`;
      bubble.addEventListener('click', () => {
        popped += 1;
        if (popped < wanted) {
          next();
          bubble.remove();
          return;
        }
        this.#show(said.sending);
        this.#finish(attempt).then(() => { if (attempt === this.#attempt) this.#show(said.done); }, () => undefined);
      }, { once: true });
      area.append(bubble);
      bubble.focus({ preventScroll: true });
    };
    next();
  }
}

export interface PlayProofCheck {
  addEventListener<K extends keyof CheckEvents>(type: K, listener: (this: PlayProofCheck, event: CheckEvents[K]) => unknown, options?: boolean | AddEventListenerOptions): void;
  addEventListener<K extends keyof HTMLElementEventMap>(type: K, listener: (this: HTMLElement, event: HTMLElementEventMap[K]) => unknown, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

/** Defines `<playproof-check>`; more than once does no harm. */
export function defineCheck(): void {
  if (globalThis.customElements && !customElements.get('playproof-check')) customElements.define('playproof-check', PlayProofCheck);
}

declare global {
  interface HTMLElementTagNameMap { 'playproof-check': PlayProofCheck }
}
