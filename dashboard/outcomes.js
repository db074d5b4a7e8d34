// What two cuts do, counted from the histograms of `GET /api/v1/evaluation`: by score alone, to the nearest bin.

import { rate } from './intervals.js';

const sum = (bins, from, to) => bins.slice(from, to).reduce((all, n) => all + n, 0);

/** The first bin above a cut. A cut at the largest score has none. */
const above = (cut, step, bins) => {
  const at = Math.round(cut / step);
  return at >= bins - 1 ? bins : Math.max(at, 0);
};

/** `[passed, reviewed, failed]` of bins. */
const split = (bins, first, second) => [sum(bins, 0, first), sum(bins, first, second), sum(bins, second)];

/** Whether a cut lies on the border of two bins, where counting is exact. */
export const isExact = (cut, step) => Math.abs(cut / step - Math.round(cut / step)) < 1e-6;

/** The share of the calibration's people in each bin: their scores are -log10 of numbers spread evenly over 0 to 1. */
export const promised = (bins, step) => Array.from({ length: bins }, (_, i) =>
  10 ** -(i * step) - (i === bins - 1 ? 0 : 10 ** -((i + 1) * step)));

/** What the cuts do to labelled people, labelled bots and what came of late. */
export function outcomes({ step, people, bots, live, liveADay }, pass, review) {
  const [first, second] = [above(pass, step, people.length), above(review, step, people.length)];
  const [peoplePassed, peopleReviewed, peopleFailed] = split(people, first, second);
  const [botsPassed, botsReviewed, botsFailed] = split(bots, first, second);
  const [livePassed, liveReviewed, liveFailed] = split(live, first, second);
  const [allPeople, allBots] = [sum(people, 0), sum(bots, 0)];
  const all = livePassed + liveReviewed + liveFailed;
  return {
    precisionOfFail: rate(botsFailed, botsFailed + peopleFailed),
    precisionOfNotPassed: rate(botsFailed + botsReviewed, botsFailed + botsReviewed + peopleFailed + peopleReviewed),
    recall: rate(botsFailed + botsReviewed, allBots),
    peoplePassed: rate(peoplePassed, allPeople),
    peopleReviewed: rate(peopleReviewed, allPeople),
    peopleFailed: rate(peopleFailed, allPeople),
    live: [livePassed, liveReviewed, liveFailed].map((n) => rate(n, all)),
    /** The share of the calibration's people that is reviewed. */
    promisedReviewed: Math.max(0, 10 ** -pass - 10 ** -review),
    liveADay,
  };
}
