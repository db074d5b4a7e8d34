// Sizes of what is sent, of a hand that moves for 20 s at the rates of real devices.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recordPointer } from 'playproof-batch-client';
import { encode, gzip, thinned } from '../dist/esm/transport.js';

/** Reaches with tremor and a device's own unsteady clock, whole pixels as mice have, tenths where the screen is scaled. */
function recording(hertz, seconds, unit = 1) {
  let seed = 7;
  const random = () => { seed = (seed * 1103515245 + 12345) % 2 ** 31; return seed / 2 ** 31; };
  const listeners = {};
  const element = { getBoundingClientRect: () => ({ left: 0, top: 0 }), addEventListener: (type, listener) => { listeners[type] = listener; }, removeEventListener() {} };
  const recorder = recordPointer(element);
  const origin = performance.now() + 5;
  let [from, to, begun, length] = [[300, 200], [500, 350], 0, 700];
  for (let i = 0; i < hertz * seconds; i += 1) {
    const time = i * 1000 / hertz + random() * 200 / hertz;
    if (time > begun + length) [from, to, begun, length] = [to, [100 + 800 * random(), 80 + 500 * random()], time, 500 + 600 * random()];
    const part = (time - begun) / length;
    const done = part ** 3 * (10 - 15 * part + 6 * part ** 2);
    const at = (axis) => Math.round((from[axis] + (to[axis] - from[axis]) * done + 3 * Math.sin(time / (90 + 20 * axis)) + random()) * unit) / unit;
    listeners.pointermove({ type: 'pointermove', pointerType: 'mouse', isPrimary: true, isTrusted: true, clientX: at(0), clientY: at(1), timeStamp: origin + time });
  }
  return recorder.stop('3f2c8f0e-9f7e-4a55-8f0b-5f3f5d2f3a11');
}

for (const [hertz, unit] of [[60, 1], [125, 1], [125, 100], [1000, 1]]) {
  test(`20 s at ${hertz} Hz in ${unit === 1 ? 'whole pixels' : 'hundredths'}`, async () => {
    const session = recording(hertz, 20, unit);
    const text = encode(session, 'pc_'.padEnd(200, 'x'));
    const zipped = (await gzip(text)).length;
    console.log(`# ${session.movements.length} movements, ${text.length} bytes, ${zipped} as gzip`);
    assert.ok(session.movements.length <= 10_000);
    // A body that outlives its page.
    if (hertz <= 125) assert.ok(zipped < 64 << 10, String(zipped));
    assert.ok(thinned(session, undefined, 60_000).length <= 60_000);
  });
}

test('what does not fit is thinned evenly and says so', () => {
  const session = recording(1000, 20);
  const fewer = JSON.parse(thinned(session, undefined, 60_000));
  const stride = fewer.context.thinned / session.context.thinned;
  assert.ok(stride > 1 && Number.isInteger(stride));
  assert.deepEqual(fewer.movements, session.movements.filter((_, i) => i % stride === 0));
  assert.ok(fewer.movements.at(-1).timestamp - fewer.movements[0].timestamp > 19_900);
});
