// The items of this page: read together, in one request for up to a hundred of
// them, and told of changes by one stream.

import { ask, backOff, base, online, pause } from './ask.js';
import { Item } from './item.js';

const MOST = 100; // items of one request
const LONGEST = 6000; // characters of a query, so that servers on the way take it

const items = new Map();
const asked = new Set(); // items to be read
let reading = false;

/** The item of a button. */
export function join(id, button) {
  let item = items.get(id);
  if (!item) {
    item = new Item(id, load);
    items.set(id, item);
    load(item);
  }
  item.buttons.add(button);
  inView.observe(button);
  watchSoon();
  return item;
}

/** A button leaves the page, or its item. */
export function leave(item, button) {
  item.buttons.delete(button);
  inView.unobserve(button);
  if (item.idle) items.delete(item.id);
  watchSoon();
}

/** Reads everything again: the visitor has signed in or out. */
export function refresh() {
  for (const item of items.values()) load(item);
}

const query = (ids) => ids.map((id) => `id=${encodeURIComponent(id)}`).join('&');

// pages splits a list of items into what fits into a request each.
function pages(list) {
  const all = [];
  let page;
  let room = 0;
  for (const item of list) {
    const length = encodeURIComponent(item.id).length + 4;
    if (!page || page.length === MOST || length > room) {
      all.push((page = []));
      room = LONGEST;
    }
    page.push(item);
    room -= length;
  }
  return all;
}

async function load(item) {
  asked.add(item);
  if (reading) return;
  reading = true;
  for (let failures = 0; asked.size; ) {
    await pause(0); // buttons come in flocks
    await online();
    const all = pages(asked);
    asked.clear();
    const answers = await Promise.all(all.map(read));
    const worst = answers.find(Boolean);
    if (worst) await backOff(failures++, worst.retry);
    else failures = 0;
  }
  reading = false;
}

// read reads one page of items, and returns the answer when it has to be asked again.
async function read(page) {
  const turns = page.map((item) => item.turn);
  const answer = await ask('GET', `items?${query(page.map((item) => item.id))}`);
  if (answer.ok) {
    answer.body.items.forEach((reading, i) => page[i].learn(reading, turns[i]));
    return undefined;
  }
  if (answer.status && answer.status < 500 && answer.status !== 429 && answer.status !== 408) {
    console.error(`<like-button>: its items can't be read: ${answer.body?.detail ?? answer.status}`);
    return undefined;
  }
  for (const item of page) if (item.buttons.size) asked.add(item);
  return answer;
}

// One stream tells of all items that are watched: those in view first, when they
// are more than one can tell of. A page that nobody looks at has none: a browser has
// few connections to a server.
let stream;
let watched = '';
let timer;

function watchSoon(ms = 200) {
  clearTimeout(timer);
  timer = setTimeout(watch, ms);
}

function watch() {
  const live = [...items.values()].filter((item) => [...item.buttons].some((button) => button.live));
  live.sort((a, b) => isSeen(b) - isSeen(a));
  const ids = (pages(live)[0] ?? []).map((item) => item.id);
  const wanted = document.hidden ? '' : query(ids.sort());
  if (wanted === watched) return;
  stream?.close();
  watched = wanted;
  if (!wanted) return;
  stream = new EventSource(`${base()}stream?${wanted}`);
  stream.addEventListener('count', ({ data }) => {
    const told = JSON.parse(data);
    items.get(told.item)?.learn({ count: told.count });
  });
  stream.onerror = ({ target }) => {
    if (target.readyState !== EventSource.CLOSED || target !== stream) return; // it comes back by itself
    watched = '';
    watchSoon(20_000 + Math.random() * 20_000); // there is no room for it now
  };
}

const seen = new WeakSet(); // buttons
const isSeen = (item) => [...item.buttons].some((button) => seen.has(button));

const inView = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) seen[isIntersecting ? 'add' : 'delete'](target);
  watchSoon();
});

document.addEventListener('visibilitychange', () => {
  watch();
  if (!document.hidden) refresh();
});
