import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Ask, Refusal } from '../src/adapters/ask.ts';
import { bytesOf, JupyterModel } from '../src/adapters/jupyter.ts';

type Answer = Record<string, unknown> | Error;

/** A server that gives these answers one after the other, then holds every request until it is given up. */
function serverOf(...answers: Answer[]): { ask: Ask; asked: string[]; given: () => number } {
  const asked: string[] = [];
  let open = 0;
  const ask: Ask = (path, { query = {}, signal } = {}) => {
    asked.push(`${path}?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]))}`);
    const answer = answers.shift();
    if (answer instanceof Error) {
      return Promise.reject(answer);
    }
    if (answer !== undefined) {
      return Promise.resolve(answer);
    }
    open += 1;
    return new Promise((_, reject) => signal?.addEventListener('abort', () => { open -= 1; reject(new Error('aborted')); }));
  };
  return { ask, asked, given: () => open };
}

function chunk(first: number, count: number): Record<string, unknown> {
  const events = Buffer.alloc(16 * count, 7).toString('base64');
  return { meta: { run_id: 'r', ended: false }, types: [], lanes: [], first, spans_first: 0, events, spans: '', patches: '[]' };
}

function told(model: JupyterModel): Record<string, unknown>[] {
  const heard: Record<string, unknown>[] = [];
  model.on('msg:custom', content => heard.push(content as Record<string, unknown>));
  return heard;
}

const at = async (): Promise<void> => {};
const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

test('a run that has ended is read once and stands at its end', async () => {
  const { ask, asked } = serverOf({ cursor: 'c', ended: true, chunk: chunk(0, 3) });
  const model = new JupyterModel('run_1', 'a b', ask, at);
  await model.load();
  await settled();
  assert.deepEqual(asked, ['runs/run_1/chunk?folder=a+b&after=0&cursor=&wait=0']);
  assert.equal(model.get('t'), 3);
  assert.equal(model.get('live'), false);
  assert.equal((model.get('events') as DataView).byteLength, 48);
});

test('a run that goes on is followed from where it is, and each part is passed on', async () => {
  const { ask, asked, given } = serverOf(
    { cursor: 'c', ended: false, chunk: chunk(0, 2) },
    { cursor: 'c', ended: false, chunk: chunk(2, 1) },
    { cursor: 'c', ended: false, chunk: null });
  const model = new JupyterModel('run_1', '', ask, at);
  const heard = told(model);
  await model.load();
  await settled();
  assert.equal(model.get('live'), true);
  assert.deepEqual(asked.map(one => one.split('after=')[1]), [
    '0&cursor=&wait=0', '2&cursor=c&wait=20', '3&cursor=c&wait=20', '3&cursor=c&wait=20']);
  assert.deepEqual(heard.map(one => [one['kind'], one['first']]), [['chunk', 2]]);
  assert.equal(given(), 1);
  model.dispose();
  assert.equal(given(), 0);
});

test('leaving live mode takes the request back; entering it again goes on', async () => {
  const { ask, given } = serverOf({ cursor: 'c', ended: false, chunk: chunk(0, 2) });
  const model = new JupyterModel('run_1', '', ask, at);
  await model.load();
  model.send({ kind: 'live', on: false });
  assert.equal(given(), 0);
  await settled();
  model.send({ kind: 'live', on: true });
  model.send({ kind: 'live', on: true });
  assert.equal(given(), 1);
  model.dispose();
});

test('a server that goes away and comes back is said once each, and everything again replaces what was', async () => {
  const { ask } = serverOf(
    { cursor: 'c', ended: false, chunk: chunk(0, 2) },
    new Refusal('unavailable', 'no answer', 502),
    new Refusal('jupyter_gone', 'no answer', 0),
    { cursor: 'd', ended: true, chunk: chunk(0, 4) });
  const model = new JupyterModel('run_1', '', ask, at);
  const heard = told(model);
  await model.load();
  for (let turn = 0; turn < 5; turn++) {
    await settled();
  }
  assert.deepEqual(heard.map(one => one['kind']), ['note', 'note', 'chunk']);
  assert.match(String(heard[0]?.['text']), /does not answer/);
  assert.equal(heard[1]?.['text'], '');
  assert.equal(heard[2]?.['first'], 0);
});

test('a run that was deleted is not asked for again', async () => {
  const { ask, asked } = serverOf(
    { cursor: 'c', ended: false, chunk: chunk(0, 2) }, new Refusal('not_found', 'no such run', 404));
  const model = new JupyterModel('run_1', '', ask, at);
  const heard = told(model);
  await model.load();
  await settled();
  await settled();
  assert.equal(asked.length, 2);
  assert.match(String(heard[0]?.['text']), /does not have this run any more/);
});

test('a value that stayed behind is fetched by its key, and a refusal is an answer too', async () => {
  const { ask, asked } = serverOf(
    { cursor: 'c', ended: true, chunk: chunk(0, 1) }, { key: 'k&', json: '[1]' }, new Refusal('not_found', 'no such value', 404));
  const model = new JupyterModel('run/1', '', ask, at);
  const heard = told(model);
  await model.load();
  model.send({ kind: 'value', id: '1', key: 'k&' });
  await settled();
  model.send({ kind: 'value', id: '2', key: 'gone' });
  await settled();
  assert.equal(asked[1], 'runs/run%2F1/value?folder=&key=k%26');
  assert.deepEqual(heard, [
    { kind: 'value', id: '1', key: 'k&', found: true, json: '[1]' },
    { kind: 'value', id: '2', key: 'gone', found: false, error: 'no such value' }]);
});

test('base64 becomes bytes, nothing an empty view', () => {
  assert.deepEqual([...new Uint8Array(bytesOf('AP8Q').buffer)], [0, 255, 16]);
  assert.equal(bytesOf(undefined).byteLength, 0);
});
