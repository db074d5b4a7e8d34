// The frame: who is logged in, which view is shown, the theme. To add a view: a module in views/ and a line in VIEWS.

import { Refused, logIn, logOut, who } from './api.js';
import { fill, h, notice, put } from './dom.js';
import * as outage from './outage.js';
import * as access from './views/access.js';
import * as batches from './views/batches.js';
import * as campaigns from './views/campaigns.js';
import * as model from './views/model.js';
import * as now from './views/now.js';
import * as overview from './views/overview.js';
import * as review from './views/review.js';
import * as session from './views/session.js';
import * as sessions from './views/sessions.js';
import * as thresholds from './views/thresholds.js';
import * as userPage from './views/user.js';

/** By the first part of the address. `nav`: its name in the bar; `all`: for admin keys of every deployment only. */
const VIEWS = {
  overview: { nav: 'Overview', show: overview.show },
  now: { nav: 'Now', show: now.show, all: true },
  sessions: { nav: 'Sessions', show: sessions.show },
  session: { under: 'sessions', show: session.show },
  user: { under: 'sessions', show: userPage.show },
  review: { nav: 'Review', show: review.show },
  campaigns: { nav: 'Campaigns', show: campaigns.list },
  campaign: { under: 'campaigns', show: campaigns.one },
  batches: { nav: 'Batches', show: batches.list, all: true },
  batch: { under: 'batches', show: batches.one, all: true },
  thresholds: { nav: 'Thresholds', show: thresholds.show },
  model: { nav: 'Model', show: model.show },
  access: { nav: 'Access', show: access.show, all: true },
};

const main = document.getElementById('main');
const nav = document.getElementById('nav');
const out = document.getElementById('logout');
let user = null;
let leave = null;
let shown = 0;

const operates = () => user.role === 'admin' && !user.deploymentId;
const allowed = (view) => !view.all || operates();

async function route(first) {
  leave?.();
  leave = null;
  const turn = ++shown;
  const [where, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [name, ...rest] = where.split('/');
  const home = operates() ? 'now' : 'overview';
  const view = VIEWS[name] && allowed(VIEWS[name]) ? VIEWS[name] : VIEWS[home];
  const current = view.under ?? Object.keys(VIEWS).find((key) => VIEWS[key] === view);
  for (const link of nav.querySelectorAll('a')) {
    if (link.dataset.view === current) {
      link.setAttribute('aria-current', 'page');
      // On a phone the bar is wider than the window.
      nav.scrollLeft = link.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2;
    }
    else link.removeAttribute('aria-current');
  }
  document.getElementById('live').hidden = true;
  document.title = `${view.nav ?? name} · PlayProof Batch`;
  // A view ends when the next one begins, also while it still loads.
  const ends = [];
  leave = () => ends.splice(0).forEach((end) => end());
  const place = h('div');
  fill(main, place);
  scrollTo(0, 0);
  if (!first) main.focus({ preventScroll: true });
  try {
    await view.show(place, { id: decode(rest.join('/')), query: new URLSearchParams(query), user, onleave: (end) => ends.push(end) });
  } catch (error) {
    if (turn === shown) fail(place, error);
  }
}

function decode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function fail(place, error) {
  if (error.name === 'AbortError') return;
  if (!(error instanceof Refused)) console.warn(error);
  put(place, h('p', { class: 'alert', role: 'alert' }, error.message));
}

/** Marks the ends of the bar behind which there are more views. */
function edges() {
  nav.toggleAttribute('data-before', nav.scrollLeft > 4);
  nav.toggleAttribute('data-after', nav.scrollLeft + nav.clientWidth < nav.scrollWidth - 4);
}

function enter(told) {
  user = told;
  fill(nav, Object.entries(VIEWS).filter(([, view]) => view.nav && allowed(view)).map(([key, view]) =>
    h('a', { href: `#/${key}`, 'data-view': key }, view.nav)));
  nav.hidden = false;
  edges();
  out.hidden = !told.csrfToken;
  outage.watch();
  route(true);
}

function ask(why) {
  leave?.();
  leave = null;
  shown += 1;
  user = null;
  outage.ignore();
  nav.hidden = true;
  out.hidden = true;
  document.getElementById('live').hidden = true;
  document.title = 'Log in · PlayProof Batch';
  const error = h('p', { class: 'error', role: 'alert', id: 'login-error' }, why ?? '');
  const key = h('input', { type: 'password', id: 'key', name: 'key', autocomplete: 'current-password', required: true, 'aria-describedby': 'login-error' });
  const submit = h('button', { class: 'main', type: 'submit' }, 'Log in');
  const form = h('form', { class: 'card login' },
    h('h1', {}, 'Log in'),
    h('p', { class: 'hint' }, 'Enter an admin or analyst key of this service. It is exchanged for a cookie and not kept here.'),
    h('div', {}, h('label', { for: 'key' }, 'Key'), key), error, submit);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      enter(await logIn(key.value));
    } catch (refused) {
      error.textContent = refused.message;
      key.focus();
    } finally {
      submit.disabled = false;
    }
  });
  fill(main, form);
  key.focus();
}

function theme() {
  const button = document.getElementById('theme');
  const system = matchMedia('(prefers-color-scheme: dark)');
  const current = () => document.documentElement.dataset.theme ?? (system.matches ? 'dark' : 'light');
  const tell = () => {
    button.textContent = current() === 'dark' ? 'Light' : 'Dark';
    button.setAttribute('aria-label', `Switch to the ${current() === 'dark' ? 'light' : 'dark'} theme`);
    dispatchEvent(new Event('themechange'));
  };
  button.addEventListener('click', () => {
    const next = current() === 'dark' ? 'light' : 'dark';
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem('theme', next); } catch { /* storage is switched off */ }
    tell();
  });
  system.addEventListener('change', tell);
  tell();
}

theme();
nav.addEventListener('scroll', edges, { passive: true });
new ResizeObserver(edges).observe(nav);
document.getElementById('skip').addEventListener('click', (event) => { event.preventDefault(); main.focus(); });
out.addEventListener('click', async () => {
  try {
    await logOut();
    ask();
  } catch (error) {
    notice(error.message);
  }
});
addEventListener('hashchange', () => { if (user) route(false); });
addEventListener('loggedout', () => { if (user?.csrfToken) ask('The login is over; log in again.'); });

try {
  const told = await who();
  if (['admin', 'analyst'].includes(told.role)) enter(told);
  else ask();
} catch (error) {
  fail(fill(main), error);
}
