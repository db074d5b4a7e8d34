import type { Telemetry } from './client.js';

export interface RecorderOptions {
  /** Such as `bubble-pop`. */
  gameType?: string;
  deploymentId?: string;
  userId?: string;
  /** What a click hit; without it, clicks count as hits. */
  targetHit?: (event: PointerEvent) => boolean;
  /** Movements after which no more are kept; 10,000 when left out. */
  maxMovements?: number;
}

export interface Recorder {
  /** Ends the recording and gives what to send. Throws when the pointer never moved. */
  stop(sessionId?: string): Telemetry;
}

/** Records what the pointer does over an element, every position that the browser knows of, until {@link Recorder.stop}. */
export function recordPointer(element: HTMLElement, options: RecorderOptions = {}): Recorder {
  const movements: Telemetry['movements'] = [];
  const clicks: NonNullable<Telemetry['clicks']> = [];
  const begun = performance.now();
  const most = options.maxMovements ?? 10_000;
  let deviceType = 'unknown';
  const device = (kind: string) => ({ mouse: 'mouse', touch: 'touch', pen: 'stylus' })[kind] ?? 'unknown';
  const place = (event: PointerEvent) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top, timestamp: event.timeStamp - begun };
  };
  const move = (event: PointerEvent) => {
    if (deviceType === 'unknown') deviceType = device(event.pointerType);
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) {
      if (movements.length < most) movements.push({ ...place(one), isTrusted: event.isTrusted });
    }
  };
  const press = (event: PointerEvent) => {
    move(event);
    clicks.push({ ...place(event), targetHit: options.targetHit?.(event) ?? true });
  };
  element.addEventListener('pointermove', move);
  element.addEventListener('pointerdown', press);
  return {
    stop(sessionId = crypto.randomUUID()) {
      element.removeEventListener('pointermove', move);
      element.removeEventListener('pointerdown', press);
      if (movements.length === 0) throw new Error('the pointer did not move');
      const hits = clicks.filter((click) => click.targetHit).length;
      const { gameType, deploymentId, userId } = options;
      return {
        sessionId, deviceType, durationMs: performance.now() - begun, movements, clicks, hits, misses: clicks.length - hits,
        ...(gameType === undefined ? {} : { gameType }), ...(deploymentId === undefined ? {} : { deploymentId }), ...(userId === undefined ? {} : { userId }),
      };
    },
  };
}
