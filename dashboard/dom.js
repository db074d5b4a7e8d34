// Elements and texts. Whatever comes from a client becomes a text node here and never markup.

/**
 * An element: `h('p', {class: 'hint', onclick: f, 'aria-label': '...'}, 'text', child)`. Children that are null, undefined
 * or false are left out; strings and numbers become text.
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class') element.className = value;
    else if (value === true) element.setAttribute(name, '');
    else element.setAttribute(name, String(value));
  }
  put(element, ...children);
  return element;
}

/** Appends children as `h` does. */
export function put(element, ...children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Replaces all children. */
export function fill(element, ...children) {
  element.replaceChildren();
  return put(element, ...children);
}

/** Sets the text where it differs, so that nothing is announced or drawn twice. */
export function say(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** A part of a page with a heading. */
export function card(title, { hint, id, body, kind } = {}, ...children) {
  const heading = h('h2', id ? { id } : {}, title);
  return h('section', { class: kind ? `card ${kind}` : 'card', 'aria-labelledby': id },
    h('header', {}, heading, hint ? h('span', { class: 'hint' }, hint) : null),
    body === false ? children : h('div', { class: 'body' }, children));
}

/**
 * A table. Columns: `{head, cell(row), kind}`, kind `n` for numbers, `id`, `when`, `words`; `span` gives a cell the whole
 * width on a phone; `name` names one whose head is no text. `add(rows)` appends.
 */
export function table(caption, columns) {
  const body = h('tbody');
  const head = columns.map(({ head, kind }) => h('th', { scope: 'col', class: kind === 'n' ? 'n' : null }, head));
  const element = h('table', { class: 'cards' },
    h('caption', { class: 'away' }, caption), h('thead', {}, h('tr', {}, head)), body);
  const add = (rows) => {
    const lines = rows.map((row) => h('tr', {}, columns.map(({ head, name, cell, kind, span }) =>
      h('td', { class: [kind, span ? 'span' : ''].filter(Boolean).join(' ') || null, 'data-head': name ?? head }, cell(row)))));
    body.append(...lines);
  };
  return { element, body, add };
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
/** 12,345 */
export const count = (n) => whole.format(n);
/** `digits` digits after the point. */
export const fixed = (n, digits = 2) => (n === null || n === undefined ? '–' : n.toFixed(digits).replace('-', '−'));
/** Three digits that matter. */
export const brief = (n) => new Intl.NumberFormat('en', { maximumSignificantDigits: 3 }).format(n).replace('-', '−');
/** 12.3 % */
export const share = (part, digits = 1) => `${(100 * part).toFixed(digits)} %`;
/** 7 sessions, 1 session */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** 0.4 s, 12 s, 3 min, 2 h */
export function span(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

const day = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short', year: 'numeric' });
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
/** A moment: its time today, else its day and time; the whole moment is its title. */
export function when(iso) {
  const at = new Date(iso);
  const today = day.format(at) === day.format(new Date());
  const text = today ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
  return h('time', { datetime: iso, title: iso }, text);
}

/** A decision: a word, a colour and a shape. */
export const decision = (name) => h('span', { class: `tag ${['pass', 'review', 'fail'].includes(name) ? name : 'plain'}` }, name);

/** The address of a session's page. */
export const toSession = (id, deployment) =>
  `#/session/${encodeURIComponent(id)}${deployment ? `?deploymentId=${encodeURIComponent(deployment)}` : ''}`;

/** The address of a user's page. */
export const toUser = (id, deployment) => `#/user/${encodeURIComponent(id)}${deployment ? `?deploymentId=${encodeURIComponent(deployment)}` : ''}`;

/** The address of a campaign's page. */
export const toCampaign = (id, deployment) => `#/campaign/${id}${deployment ? `?deploymentId=${encodeURIComponent(deployment)}` : ''}`;

/** Notices at once at most, and how long each stays. */
const NOTICES = 3;
const STAYS = 6000;

/** Says something for a while. Equal ones are one with a count; the oldest goes where there are too many. */
export function notice(text) {
  const place = document.getElementById('notices');
  const same = [...place.children].find((one) => one.dataset.text === text);
  const times = same ? Number(same.dataset.times) + 1 : 1;
  const close = h('button', { type: 'button', class: 'quiet', 'aria-label': `Close: ${text}` }, '×');
  const line = h('div', { class: 'notice', 'data-text': text, 'data-times': times }, h('p', {}, times > 1 ? `${text} (${count(times)} times)` : text), close);
  close.addEventListener('click', () => line.remove());
  // It stays while somebody points at it or is about to close it.
  const leave = () => { if (line.matches(':hover, :focus-within')) setTimeout(leave, STAYS); else line.remove(); };
  setTimeout(leave, STAYS);
  same?.remove();
  place.append(line);
  while (place.children.length > NOTICES) place.firstElementChild.remove();
}

/** Asks before something is done; true when it is to be done. */
export function confirmed(title, text, button) {
  return new Promise((resolve) => {
    const yes = h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, button);
    const no = h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
    const dialog = h('dialog', { 'aria-labelledby': 'asked' },
      h('h2', { id: 'asked' }, title), h('p', {}, text), h('div', { class: 'row' }, no, yes));
    dialog.addEventListener('close', () => { dialog.remove(); resolve(dialog.returnValue === 'yes'); });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}
