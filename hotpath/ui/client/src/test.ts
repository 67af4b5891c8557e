// Drives a running server: PLUSONE_API=http://127.0.0.1:8080 PLUSONE_KEY=$(cat .plusone/server-key) npm test

import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { data, plusone, PlusoneError, type Reading } from './index.js';

const { PLUSONE_API: api, PLUSONE_KEY: key } = process.env;
const skip = api && key ? false : 'PLUSONE_API and PLUSONE_KEY name no running server';
const item = `client/${Date.now()}`;

const server = () => plusone({ api: api!, token: () => key! });
const as = (user: string) => plusone({ api: api!, token: () => key!, headers: () => ({ 'X-User-ID': user }) });

describe('a running server', { skip }, () => {
  test('counts a like once and takes it back', async () => {
    const at = { params: { path: { item } } };
    const first = await data(as('ann').PUT('/v1/items/{item}/like', at));
    assert.deepEqual([first.item, first.user, first.liked, first.changed, first.count], [item, 'ann', true, true, 1]);
    assert.match(first.receipt!, /^\d+-\d+-\d+$/);
    assert.equal((await data(as('ann').PUT('/v1/items/{item}/like', at))).changed, false);
    const { action } = await data(as('ann').POST('/v1/items/{item}/like/toggle', at));
    assert.equal(action, 'unlike');
    // @ts-expect-error: the item can't be left out
    void (() => as('ann').DELETE('/v1/items/{item}/like'));
    // @ts-expect-error: nor can a path be made up
    void (() => as('ann').GET('/v1/item'));
  });

  test('tells counts of many items in the order of the question', async () => {
    const { items } = await data(as('ann').GET('/v1/items', { params: { query: { id: [item, 'never/liked', item] } } }));
    assert.deepEqual(items.map((i: Reading) => [i.item, i.count, i.liked]), [[item, 0, false], ['never/liked', 0, false], [item, 0, false]]);
  });

  test('is asked in the name of many users', async () => {
    const { results } = await data(server().POST('/v1/likes', { body: { ops: [{ item, user: 'bob', liked: true }, { item, user: 'cy', liked: true }] } }));
    for (const r of results) assert.ok('changed' in r && r.changed, JSON.stringify(r));
  });

  test('says what is wrong', async () => {
    const wrong = data(as('ann').GET('/v1/items/{item}', { params: { path: { item: 'a b' } } }));
    await assert.rejects(wrong, (e) => e instanceof PlusoneError && e.status === 400 && e.code === 'bad_id' && e.requestID !== '');
    const unknown = data(plusone({ api: api!, token: () => 'nonsense', attempts: 1 }).GET('/v1/notifications'));
    await assert.rejects(unknown, (e) => e instanceof PlusoneError && e.code === 'bad_credentials');
  });
});

/** Runs f against a server that answers as told. */
async function played(listener: RequestListener, f: (api: string) => Promise<void>) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((ready) => server.once('listening', ready));
  try {
    await f(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const like = { item: 'a', user: 'u', liked: true, changed: true, count: 1 };
const at = { params: { path: { item: 'a' } } };

describe('trouble', () => {
  test('a like is repeated after 503 and after a broken connection, a toggle is not', async () => {
    const asked: string[] = [];
    await played((request, response) => {
      asked.push(request.method!);
      if (asked.length === 1) return void request.socket.destroy();
      response.setHeader('Content-Type', asked.length === 3 ? 'application/json' : 'application/problem+json');
      if (asked.length === 3) return void response.end(JSON.stringify(like));
      response.writeHead(503, { 'Retry-After': '0' }).end('{"code":"busy","detail":"busy","status":503,"request_id":"x"}');
    }, async (api) => {
      assert.equal((await data(plusone({ api }).PUT('/v1/items/{item}/like', at))).count, 1);
      assert.deepEqual(asked, ['PUT', 'PUT', 'PUT']);
      await assert.rejects(data(plusone({ api }).POST('/v1/items/{item}/like/toggle', at)), { code: 'busy' });
      assert.equal(asked.length, 4);
    });
  });

  test('a token that has expired is asked for once again', async () => {
    await played((request, response) => {
      const good = request.headers.authorization === 'Bearer new';
      response.writeHead(good ? 200 : 401, { 'Content-Type': good ? 'application/json' : 'application/problem+json' });
      response.end(JSON.stringify(good ? like : { code: 'bad_credentials', detail: 'no', status: 401, request_id: 'x' }));
    }, async (api) => {
      const fresh = plusone({ api, token: (expired) => (expired ? 'new' : 'old') });
      assert.equal((await data(fresh.POST('/v1/items/{item}/like/toggle', at))).count, 1);
      await assert.rejects(data(plusone({ api, token: () => 'old' }).PUT('/v1/items/{item}/like', at)), { status: 401 });
    });
  });

  test('who stops waiting waits no more', async () => {
    await played((_, response) => void response.writeHead(503, { 'Retry-After': '60' }).end(), async (api) => {
      const stop = new AbortController();
      const asked = plusone({ api }).PUT('/v1/items/{item}/like', { ...at, signal: stop.signal });
      setTimeout(() => stop.abort(), 20);
      await assert.rejects(asked, { name: 'AbortError' });
    });
  });

  test('what a proxy in between says is an error, too', async () => {
    await played((_, response) => void response.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>no</h1>'), async (api) => {
      await assert.rejects(data(plusone({ api }).GET('/v1/items/{item}', at)), { status: 502, code: 'internal' });
    });
  });
});
