import assert from 'node:assert/strict';
import { test } from 'node:test';

import { changes } from '../src/scrub/diff.ts';
import { Deferred, type Json, parse, pathKey } from '../src/scrub/json.ts';
import { LINE, PAGE, type Row, rows, type Surroundings, TreeState } from '../src/scrub/tree.ts';
import type { Fetched } from '../src/scrub/values.ts';

function shown(document: Json, more: Partial<Surroundings> = {}): Row[] {
  return rows(document, {
    state: new TreeState(),
    changes: [],
    lanes: 1,
    name: step => `s${step}`,
    fetched: () => undefined,
    ...more,
  });
}

function labels(found: Row[]): string[] {
  return found.map(row => `${'.'.repeat(row.depth - 1)}${row.label}`);
}

const DOCUMENT = parse(
  '{"run":{"status":"running","input":{"a":{"b":1}}},"steps":[{"name":"x","status":"completed","attempt":2,"output":[1,2]}]}',
);

test('only what is open is listed, steps by their names', () => {
  assert.deepEqual(labels(shown(DOCUMENT)), ['run', '.status', '.input', 'steps', '.s0']);
  const state = new TreeState();
  state.reveal(['run', 'input', 'a', 'b']);
  const found = shown(DOCUMENT, { state });
  assert.deepEqual(labels(found), ['run', '.status', '.input', '..a', '...b', 'steps', '.s0']);
  assert.equal(state.selected, pathKey(['run', 'input', 'a', 'b']));
  state.toggle(pathKey(['run']));
  assert.deepEqual(labels(shown(DOCUMENT, { state })), ['run', 'steps', '.s0']);
});

test('a closed step says how it stands and what it gave', () => {
  assert.equal(shown(DOCUMENT).at(-1)?.text, 'completed · attempt 2 · [1, 2]');
});

test('a step that has not appeared is a ghost', () => {
  const found = shown(parse('{"run":{},"steps":[null,{"name":"y","status":"running"}]}'), { lanes: 5 });
  assert.deepEqual(
    found.map(row => row.kind),
    ['value', 'value', 'ghost', 'value', 'ghost', 'ghost'],
  );
  assert.deepEqual(
    found.filter(row => row.kind === 'ghost').map(row => row.text),
    ['not yet', 'not yet', 'not yet'],
  );
});

test('a long list is shown in ranges, and looking into one touches no other', () => {
  const list = Array.from({ length: 12_345 }, (_, index) => index);
  const document: Json = { run: { input: list }, steps: [] };
  const state = new TreeState();
  state.reveal(['run', 'input', 7_654]);
  const found = shown(document, { state });
  assert.ok(found.length <= 2 + 2 + 100 + 100 + 10, String(found.length));
  const target = found.find(row => row.key === state.selected);
  assert.deepEqual([target?.label, target?.value], ['7654', 7_654]);
  assert.ok(found.some(row => row.kind === 'range' && row.label === '10000 … 12344'));
});

test('a change inside a closed range marks the range', () => {
  const list = Array.from({ length: 500 }, (_, index): Json => index);
  const after = list.map(value => (value === 321 ? 'new' : value));
  const [before, document]: [Json, Json] = [
    { run: {}, steps: list },
    { run: {}, steps: after },
  ];
  const found = shown(document, { changes: changes(before, document), lanes: 501 });
  assert.deepEqual(
    found.filter(row => row.mark !== '').map(row => [row.label, row.mark]),
    [
      ['steps', 'inside'],
      ['300 … 399', 'inside'],
    ],
  );
});

test('marks say what is new and what changed', () => {
  const before = parse('{"run":{"status":"running","input":1},"steps":[]}');
  const after = parse('{"run":{"status":"completed","input":1,"output":{"a":1}},"steps":[]}');
  const found = shown(after, { changes: changes(before, after) });
  assert.deepEqual(
    found.map(row => [row.label, row.mark]),
    [
      ['run', 'inside'],
      ['status', 'changed'],
      ['input', ''],
      ['output', 'added'],
      ['steps', ''],
    ],
  );
});

test('no document makes more than 400 lines and a remark', () => {
  const wide = Object.fromEntries(Array.from({ length: 3_000 }, (_, index) => [`key ${index}`, index]));
  const state = new TreeState();
  state.open.add(pathKey(['run', 'input']));
  const found = shown({ run: { input: wide }, steps: [] }, { state });
  assert.equal(found.length, 401);
  assert.equal(found.at(-1)?.kind, 'remark');
});

test('a long text is clipped, and shown a page at a time', () => {
  const state = new TreeState();
  const document: Json = { run: { input: 'é"'.repeat(20_000) }, steps: [] };
  const line = (): Row => shown(document, { state }).find(row => row.label === 'input') as Row;
  assert.equal(line().more, true);
  assert.ok(line().text.length <= 2 * LINE);
  state.showMore(line().key);
  assert.ok(line().text.length > PAGE && line().more);
  [1, 2, 3].forEach(() => state.showMore(line().key));
  assert.equal(line().more, false);
});

test('a deferred value shows its states, and its members once it is here', () => {
  const value = new Deferred('k', 5_000_000, '{"rows"');
  const document: Json = { run: { output: value }, steps: [] };
  const state = new TreeState();
  const with_ = (known: Fetched | undefined): Row[] => shown(document, { state, fetched: () => known });
  const row = (known: Fetched | undefined): Row => with_(known).find(one => one.label === 'output') as Row;
  assert.deepEqual([row(undefined).deferred, row(undefined).openable], ['closed', true]);
  state.open.add(pathKey(['run', 'output']));
  assert.equal(row({ state: 'loading' }).deferred, 'loading');
  assert.equal(row({ state: 'error', error: 'no kernel' }).text, 'no kernel');
  assert.deepEqual(labels(with_({ state: 'ready', value: { rows: [1] } })), ['run', '.output', '..rows', 'steps']);
});

test('names that objects inherit are names like any other', () => {
  const document = parse('{"run":{"input":{"__proto__":{"x":1},"constructor":2}},"steps":[]}');
  const state = new TreeState();
  state.reveal(['run', 'input', '__proto__', 'x']);
  assert.deepEqual(labels(shown(document, { state })), [
    'run',
    '.input',
    '..__proto__',
    '...x',
    '..constructor',
    'steps',
  ]);
});
