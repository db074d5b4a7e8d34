// Random numbers that a seed repeats, so that two runs of a tool differ only in where the widget puts its bubbles and in how
// busy the machine is.

/** Numbers from 0 to 1 (mulberry32), with `between`, `normal` and `one` of a list. */
export function seeded(seed) {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  random.between = (low, high) => low + (high - low) * random();
  random.normal = (mean = 0, deviation = 1) => mean + deviation * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  random.one = (list) => list[Math.floor(random() * list.length)];
  return random;
}

/** A place in the middle share of a box, as tools choose one that do not always take the centre. */
export const placeIn = (box, random, share = 0.6) => ({
  x: box.x + box.width * (0.5 + share * (random() - 0.5)),
  y: box.y + box.height * (0.5 + share * (random() - 0.5)),
});

export const centre = (box) => ({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
