import type { Session } from './api.js';

/** Counts that go with a session: what happened besides the movements. A count of zero is left out. */
export type SessionContext = {
  /** The recorder and its version. */
  client: string;
  /** Keys pressed, repeats not counted. Which keys is never looked at. */
  keys?: number;
  /** Pauses between keys: how many below 50, 100, 200, 400, 800, 1,600, 3,200 ms, and how many longer. */
  keyIntervals?: number[];
  /** Keys that a script pressed. */
  untrustedKeys?: number;
  /** Times that an element was given the focus. */
  focusChanges?: number;
  /** Clicks that no pointer made: by key, by assistive technology or by `element.click()`. */
  clicksWithoutPointer?: number;
  /** Those of them that a script made. */
  untrustedClicks?: number;
  /** Clicks beyond {@link MAX_CLICKS}. */
  clicksDropped?: number;
  /** Scroll events. */
  scrolls?: number;
  /** Time in which the page could not be seen, ms. */
  hiddenMs?: number;
  /** Times that the browser took a touch over, such as to scroll. */
  pointerCancels?: number;
  /** Movements of further pointers, which are not among `movements`. */
  otherMovements?: number;
  /** Movements while the pointer was locked. */
  lockedMovements?: number;
  /** One movement of so many was kept; left out when all were. */
  thinned?: number;
}

/** What is sent of a session; whether it waits for a batch is an option of the request. */
export type Telemetry = Omit<Session, 'useBatch' | 'context'> & { context?: SessionContext };

export interface RecorderOptions {
  /** Such as `bubble-pop`. */
  gameType?: string;
  deploymentId?: string;
  userId?: string;
  /** Whether a press hit a target. Without it no hit and no miss is claimed. */
  targetHit?: (event: PointerEvent) => boolean;
  /** When there are more movements, every second one is dropped; 10,000 when left out. */
  maxMovements?: number;
}

export interface Recorder {
  /** Movements of the leading pointer until now. */
  readonly movements: number;
  /** What there is to send now; the recording goes on. */
  snapshot(sessionId?: string): Telemetry;
  /** Ends the recording and gives what to send. A session without movements is a session, too. */
  stop(sessionId?: string): Telemetry;
}

/** Most clicks that are kept, as a service takes them by default. */
export const MAX_CLICKS = 2000;
const MAX_MOVEMENTS = 10_000;
const KEY_INTERVALS = [50, 100, 200, 400, 800, 1600, 3200];
const DEVICES: Record<string, string> = { mouse: 'mouse', touch: 'touch', pen: 'stylus' };
export const CLIENT = 'web 0.1.0';

/** A random version 4 UUID, also where a page is not secure and `crypto.randomUUID` is missing. */
export function randomId(): string {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = bytes[6]! & 15 | 64;
  bytes[8] = bytes[8]! & 63 | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

const hundredths = (value: number) => Math.round(value * 100) / 100;
const tenths = (value: number) => Math.round(value * 10) / 10;

/** The movements of one pointer, thinned to at most `max`. */
class Track {
  readonly points: Array<[x: number, y: number, time: number, trusted: boolean]> = [];
  stride = 1;
  /** Time of the last event that a browser made, ms. */
  time = -Infinity;
  seen = 0;
  private x = NaN;
  private y = NaN;
  constructor(readonly device: string, readonly max: number) {}

  push(x: number, y: number, time: number, trusted: boolean): void {
    // A press or a change of pressure is no movement.
    if (x === this.x && y === this.y) return;
    this.x = x;
    this.y = y;
    if (this.seen++ % this.stride) return;
    this.points.push([x, y, time, trusted]);
    if (this.points.length <= this.max) return;
    for (let i = 0; 2 * i < this.points.length; i += 1) this.points[i] = this.points[2 * i]!;
    this.points.length = Math.ceil(this.points.length / 2);
    this.stride *= 2;
  }
}

/**
 * Records what the pointers do over an element, or over the whole page when given `document`, until {@link Recorder.stop}.
 * Places are px from where the element's corner was at the start, so that scrolling moves nothing; times are those of the
 * events, ms from the start. Keys and the focus are counted, never read.
 */
export function recordPointer(element: HTMLElement | Document, options: RecorderOptions = {}): Recorder {
  const box = 'getBoundingClientRect' in element ? element.getBoundingClientRect() : { left: 0, top: 0 };
  const max = options.maxMovements ?? MAX_MOVEMENTS;
  const tracks = new Map<string, Track>();
  const clicks: Array<[x: number, y: number, time: number, hit: boolean | undefined]> = [];
  const counts = { keys: 0, untrustedKeys: 0, focusChanges: 0, clicksWithoutPointer: 0, untrustedClicks: 0, clicksDropped: 0, scrolls: 0, hiddenMs: 0, pointerCancels: 0, lockedMovements: 0 };
  const keyIntervals = KEY_INTERVALS.map(() => 0).concat(0);
  let begun = performance.now();
  let ended = 0;
  let lastKey = 0;
  let hiddenSince = 0;
  let locked: { x: number; y: number } | null = null;

  const track = (event: PointerEvent) => {
    // Fingers that follow each other are one hand's; those beside the first are pointers of their own.
    const name = event.pointerType + (event.isPrimary ? '' : event.pointerId);
    let found = tracks.get(name);
    if (!found) tracks.set(name, found = new Track(DEVICES[event.pointerType] ?? 'unknown', max));
    return found;
  };
  const leading = () => [...tracks.values()].reduce<Track | undefined>((most, one) => (most && most.seen >= one.seen ? most : one), undefined);
  const place = (event: PointerEvent): [number, number] => {
    if (locked) return [hundredths(locked.x - box.left), hundredths(locked.y - box.top)];
    return [hundredths(event.clientX - box.left), hundredths(event.clientY - box.top)];
  };
  const take = (event: PointerEvent, into: Track) => {
    // A recorder that is begun by an event begins at that event.
    if (event.timeStamp < begun && !into.seen) begun = event.timeStamp;
    // A locked pointer has no place, only steps.
    if (typeof document === 'object' && document.pointerLockElement) {
      locked ??= { x: event.clientX, y: event.clientY };
      locked.x += event.movementX;
      locked.y += event.movementY;
      counts.lockedMovements += 1;
    } else {
      locked = null;
    }
    if (event.isTrusted) into.time = event.timeStamp;
    into.push(...place(event), event.timeStamp, event.isTrusted);
  };
  const move = (event: PointerEvent) => {
    const into = track(event);
    const all = event.getCoalescedEvents?.() ?? [];
    // A browser that tells raw movements tells all of them again once a frame, some before and some after.
    const { time } = into;
    for (const one of all.length ? all : [event]) {
      if (one.isTrusted && one.timeStamp <= time) continue;
      take(one, into);
    }
  };
  const press = (event: PointerEvent) => {
    const into = track(event);
    // Moves that do not say that the button is held, as drivers send them, overtake a press where a page is busy.
    // The press is then told of late and takes the pointer nowhere.
    if (!event.isTrusted || event.timeStamp > into.time) take(event, into);
    if (clicks.length === MAX_CLICKS) counts.clicksDropped += 1;
    else clicks.push([...place(event), event.timeStamp, options.targetHit?.(event)]);
  };
  const click = (event: MouseEvent) => {
    if (event.detail) return;
    counts.clicksWithoutPointer += 1;
    if (!event.isTrusted) counts.untrustedClicks += 1;
  };
  const key = (event: KeyboardEvent) => {
    if (event.repeat) return;
    if (!event.isTrusted) counts.untrustedKeys += 1;
    if (counts.keys++) {
      const slot = KEY_INTERVALS.findIndex((bound) => event.timeStamp - lastKey < bound);
      keyIntervals[slot < 0 ? KEY_INTERVALS.length : slot]! += 1;
    }
    lastKey = event.timeStamp;
  };
  const seen = () => {
    const now = performance.now();
    if (document.hidden) hiddenSince = now;
    else if (hiddenSince) { counts.hiddenMs += Math.round(now - hiddenSince); hiddenSince = 0; }
  };

  // Capturing listeners: a game that stops the propagation of its events does not blind them.
  const stops: Array<() => void> = [];
  const listen = (target: EventTarget, type: string, listener: (event: never) => void) => {
    const how = { capture: true, passive: true };
    target.addEventListener(type, listener as EventListener, how);
    stops.push(() => target.removeEventListener(type, listener as EventListener, how));
  };
  listen(element, 'pointerrawupdate', move);
  listen(element, 'pointermove', move);
  listen(element, 'pointerdown', press);
  listen(element, 'pointercancel', () => { counts.pointerCancels += 1; });
  listen(element, 'click', click);
  listen(element, 'keydown', key);
  listen(element, 'focusin', () => { counts.focusChanges += 1; });
  if (typeof document === 'object') {
    listen(document, 'scroll', () => { counts.scrolls += 1; });
    listen(document, 'visibilitychange', seen);
    if (document.hidden) hiddenSince = begun;
  }

  const snapshot = (sessionId = randomId()): Telemetry => {
    const now = ended || performance.now();
    const first = leading();
    const rest = [...tracks.values()].reduce((sum, one) => (one === first ? sum : sum + one.seen), 0);
    const context: SessionContext = { client: CLIENT };
    for (const [name, count] of Object.entries(counts)) if (count) context[name as keyof typeof counts] = count;
    if (hiddenSince) context.hiddenMs = counts.hiddenMs + Math.round(now - hiddenSince);
    if (counts.keys > 1) context.keyIntervals = keyIntervals;
    if (rest) context.otherMovements = rest;
    if (first && first.stride > 1) context.thinned = first.stride;
    const { gameType, deploymentId, userId, targetHit } = options;
    const hits = clicks.filter((one) => one[3]).length;
    return {
      sessionId,
      deviceType: first?.device ?? 'unknown',
      durationMs: tenths(now - begun),
      movements: (first?.points ?? []).map(([x, y, time, trusted]) => ({ x, y, timestamp: tenths(time - begun), ...(trusted ? {} : { isTrusted: false }) })),
      clicks: clicks.map(([x, y, time, hit]) => ({ x, y, timestamp: tenths(time - begun), ...(hit === undefined ? {} : { targetHit: hit }) })),
      ...(targetHit ? { hits, misses: clicks.length - hits } : {}),
      ...(gameType === undefined ? {} : { gameType }), ...(deploymentId === undefined ? {} : { deploymentId }), ...(userId === undefined ? {} : { userId }),
      context,
    };
  };
  return {
    get movements() { return leading()?.points.length ?? 0; },
    snapshot,
    stop(sessionId) {
      ended ||= performance.now();
      for (const stop of stops.splice(0)) stop();
      return snapshot(sessionId);
    },
  };
}
