// Requests to the API: where it is, who asks, and what came back. Nothing here
// throws: a request that fails is an answer that is not ok.

/** What the page has said in window.likeButton; it may do so at any time. */
export const config = () => window.likeButton ?? {};

// The API that served this script is the one to ask. A module is not told its own
// tag, so it looks for it; one that was imported asks the page's own origin.
const script = document.currentScript?.src || document.querySelector('script[src*="/v1/like-button."]')?.src;

/** The address of the API, up to and with /v1/. */
export function base() {
  const { api } = config();
  if (typeof api === 'string') return new URL('v1/', new URL(api.replace(/\/?$/, '/'), location)).href;
  return new URL('.', script || new URL('/v1/', location)).href;
}

const ANSWER_WITHIN = 10_000; // ms

/**
 * Sends one request and returns {ok, status, code, retry, body}: status 0 means that
 * no answer came, retry is Retry-After in seconds. A token that is refused is
 * asked for once more, as one that has expired.
 */
export async function ask(method, path, expired = false) {
  let headers, answer, body;
  try {
    headers = await identity(expired);
  } catch {
    return { status: 401, code: 'no_identity' };
  }
  try {
    answer = await fetch(base() + path, {
      method,
      headers,
      credentials: 'include',
      cache: 'no-cache',
      keepalive: method !== 'GET', // a click outlives the page
      signal: AbortSignal.timeout(ANSWER_WITHIN),
    });
    body = await answer.json();
  } catch {
    if (!answer || answer.ok) return { status: 0, code: 'network' };
  }
  if (answer.status === 401 && config().token && !expired) return ask(method, path, true);
  return { ok: answer.ok, status: answer.status, code: body?.code, retry: retryAfter(answer), body };
}

async function identity(expired) {
  const { headers, token } = config();
  const all = new Headers(await headers?.());
  const bearer = await token?.(expired);
  if (bearer) all.set('Authorization', `Bearer ${bearer}`);
  return all;
}

// retryAfter reads both forms of the header: seconds, and a date.
function retryAfter({ headers }) {
  const value = headers.get('Retry-After');
  if (!value) return 0;
  return Math.max(0, /\D/.test(value) ? (Date.parse(value) - Date.now()) / 1000 || 0 : +value);
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits, with growing pauses for each failure, at least as long as the answer asks for. */
export const backOff = (failures, retry = 0) =>
  pause(Math.max(retry * 1000, 250 * 2 ** Math.min(failures, 7)) * (1 + Math.random() / 2));

/** Waits until the browser is online. */
export async function online() {
  if (!navigator.onLine) await new Promise((done) => addEventListener('online', done, { once: true }));
}
