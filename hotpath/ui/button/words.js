// What is said to people, in the page's language as far as numbers go. A page that
// speaks another one sets window.likeButton.text.

import { config } from './ask.js';

const text = {
  like: 'Like',
  likes: 'Likes: {n}',
  offline: 'You are offline. This is sent when you are back.',
  failed: 'This did not work. Please try again.',
  limited: 'That was too much at once. Please try again {when}.',
  identity: 'To like this, please sign in or allow cookies.',
  frozen: 'This takes no new likes.',
};

/** A text with its {gaps} filled. */
export const word = (key, gaps) => (config().text?.[key] ?? text[key]).replace(/{(\w+)}/g, (_, gap) => gaps[gap]);

// The language of an element; undefined, which is the browser's own, when it is no
// language.
function language(element) {
  const lang = element.closest('[lang]')?.lang;
  try {
    return lang && Intl.getCanonicalLocales(lang)[0];
  } catch {
    return undefined;
  }
}

const formats = new Map(); // by language: to make one takes longer than to use it

/** A count, short as 1.2K and in full. */
export function numbers(n, element) {
  const lang = language(element);
  if (!formats.has(lang)) {
    formats.set(lang, [
      new Intl.NumberFormat(lang, { notation: 'compact', maximumFractionDigits: 1 }),
      new Intl.NumberFormat(lang),
    ]);
  }
  return formats.get(lang).map((format) => format.format(n));
}

/** In how long it is, said of some seconds. */
export function when(seconds, element) {
  const [unit, size] = seconds < 90 ? ['second', 1] : seconds < 5400 ? ['minute', 60] : ['hour', 3600];
  return new Intl.RelativeTimeFormat(language(element)).format(Math.ceil(seconds / size), unit);
}
