// A typed client of plusone's API, for browsers and servers. Paths, parameters and
// answers are those of openapi.yaml: schema.d.ts is made of it by `npm run generate`.

import createClient, { type Client } from 'openapi-fetch';
import type { Code, Problem, paths } from './schema.js';

export type * from './schema.js';

export interface Options {
  /** Where the API is: https://likes.example.org. */
  api: string;
  /** What goes into Authorization: Bearer; called for each request, with true after a 401. */
  token?: (expired: boolean) => string | Promise<string>;
  /** More headers, such as X-User-ID from a server that shows its key as the token. */
  headers?: () => Record<string, string>;
  /** How often a request is sent at most; 3. */
  attempts?: number;
}

/**
 * Makes a client. It sends cookies, and repeats what may be repeated (not a POST) after
 * 503 and after a connection that broke, when the server says so or a moment later.
 */
export function plusone(options: Options): Client<paths> {
  return createClient<paths>({
    baseUrl: options.api,
    credentials: 'include',
    fetch: (request) => send(request, options),
  });
}

/** What a client throws for an answer that is a problem. */
export class PlusoneError extends Error {
  override name = 'PlusoneError';
  readonly status: number;
  readonly code: Code;
  readonly requestID: string;
  /** Seconds to wait before asking again; 0 when that is not said. */
  readonly retryAfter: number;

  constructor(problem: Problem, response: Response) {
    super(problem.detail);
    this.status = problem.status;
    this.code = problem.code;
    this.requestID = problem.request_id;
    this.retryAfter = secondsOf(response);
  }
}

/** The data of an answer; a problem is thrown: `const { count } = await data(api.GET(…))`. */
export async function data<T>(answer: Promise<{ data?: T; error?: Problem; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (error !== undefined || data === undefined) {
    throw new PlusoneError(isProblem(error) ? error : unexpected(response), response);
  }
  return data;
}

async function send(request: Request, options: Options): Promise<Response> {
  let expired = false;
  for (let left = options.attempts ?? 3; ; ) {
    left -= 1;
    const sent = request.clone();
    for (const [name, value] of Object.entries(options.headers?.() ?? {})) sent.headers.set(name, value);
    if (options.token) sent.headers.set('Authorization', `Bearer ${await options.token(expired)}`);
    const response = await fetch(sent).catch((failure: unknown) => {
      if (left <= 0 || request.method === 'POST' || request.signal.aborted) throw failure;
      return undefined;
    });
    if (response?.status === 401 && options.token && !expired && left > 0) {
      expired = true; // refused before anything was applied: also a POST may be repeated
      continue;
    }
    if (response && (response.status !== 503 || request.method === 'POST' || left <= 0)) return response;
    await response?.body?.cancel(); // its connection is free again
    await pause(response ? secondsOf(response) : 1, request.signal);
  }
}

/** Waits, half as long again at most, so that not all come back at once. */
function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(signal.reason); };
    const timer = setTimeout(() => { signal.removeEventListener('abort', stop); resolve(); }, seconds * 1000 * (1 + Math.random() / 2));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

function secondsOf(response: Response): number {
  return Number(response.headers.get('Retry-After')) || 0;
}

function isProblem(error: unknown): error is Problem {
  return typeof error === 'object' && error !== null && 'code' in error && 'detail' in error;
}

/** What stands for an answer of somebody in between, which is no problem document. */
function unexpected(response: Response): Problem {
  return {
    type: 'about:blank', title: response.statusText, status: response.status, code: 'internal', request_id: '',
    detail: `the answer ${response.status} is not plusone's`,
  };
}
