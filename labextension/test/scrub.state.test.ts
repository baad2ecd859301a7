import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Deferred, type Json, member, parse, valueAt } from '../src/scrub/json.ts';
import { apply, type Op, operationsOf, Timeline } from '../src/scrub/state.ts';
import { dice, randomOps } from './scrub.samples.ts';

// The plainest way to the same documents: copy everything, then change it.
function plainly(ops: Op[][], position: number): unknown {
  const document = { run: {}, steps: [] } as Record<string, unknown>;
  for (const [path, ...rest] of ops.slice(0, position).flat()) {
    let holder = document as Record<string | number, unknown>;
    for (const part of path.slice(0, -1)) {
      const inner = holder[part];
      holder = (typeof inner === 'object' && inner !== null ? inner : (holder[part] = {})) as typeof holder;
    }
    const last = path[path.length - 1] as string | number;
    while (Array.isArray(holder) && holder.length < Number(last)) {
      holder.push(null);
    }
    if (rest.length > 0) {
      holder[last] = structuredClone(rest[0]);
    } else {
      delete holder[last];
    }
  }
  return document;
}

function plain(document: Json): unknown {
  return JSON.parse(JSON.stringify(document));
}

test('every position, in any order, is the document of its operations', () => {
  const ops = randomOps(1100);
  const timeline = new Timeline();
  timeline.extend(0, ops);
  const random = dice(3);
  for (let index = 0; index < 300; index++) {
    const position = Math.floor(random() * 1101);
    assert.deepEqual(plain(timeline.at(position)), plainly(ops, position), `position ${position}`);
  }
});

test('stepping on and back gives what jumping gives', () => {
  const ops = randomOps(600, 11);
  const [walker, jumper] = [new Timeline(), new Timeline()];
  walker.extend(0, ops);
  jumper.extend(0, ops);
  for (const position of [...Array(601).keys(), ...[...Array(601).keys()].reverse()]) {
    const stepped = JSON.stringify(walker.at(position));
    jumper.at(0);
    assert.equal(stepped, JSON.stringify(jumper.at(position)));
  }
});

test('a document that was given out never changes', () => {
  const timeline = new Timeline();
  timeline.extend(0, randomOps(700, 5));
  const early = timeline.at(300);
  const before = JSON.stringify(early);
  for (let position = 300; position <= 700; position++) {
    timeline.at(position);
  }
  timeline.extend(650, randomOps(200, 6));
  assert.equal(JSON.stringify(early), before);
});

test('chunks give what the whole gives, also when one cuts what came before', () => {
  const ops = randomOps(900, 13);
  const [whole, grown] = [new Timeline(), new Timeline()];
  whole.extend(0, ops);
  grown.extend(0, randomOps(500, 99));
  grown.extend(0, ops.slice(0, 400));
  for (let first = 400; first < 900; first += 37) {
    grown.extend(first, ops.slice(first, first + 37));
  }
  assert.equal(grown.length, 900);
  for (const position of [0, 1, 255, 256, 257, 399, 400, 512, 899, 900]) {
    assert.deepEqual(plain(grown.at(position)), plain(whole.at(position)));
  }
});

test('no name reaches a prototype', () => {
  const ops = parse(
    '[[[["run","__proto__"],{"polluted":1}],[["steps",0],{"__proto__":{"polluted":1}}]]]',
  ) as unknown as Op[][];
  const timeline = new Timeline();
  timeline.extend(0, ops);
  const document = timeline.at(1);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  assert.equal(valueAt(document, ['run', '__proto__', 'polluted']), 1);
  assert.equal(valueAt(document, ['steps', 0, '__proto__', 'polluted']), 1);
  assert.equal(member(document, 'constructor'), undefined);
  assert.equal(member(apply(document, [['run', '__proto__']], new Set()), 'toString'), undefined);
});

test('a third member defers the value', () => {
  const [[op]] = operationsOf('[[[["run","output"],{"key":"k1","bytes":70000,"head":"{\\"a"},1]]]') as [[Op]];
  const value = op[1] as Deferred;
  assert.ok(value instanceof Deferred);
  assert.deepEqual([value.key, value.bytes, value.head], ['k1', 70000, '{"a']);
});

test('steps that skip a place leave null before them, and a removed last one is gone', () => {
  const timeline = new Timeline();
  timeline.extend(0, [[[['steps', 2], { status: 'running' }]], [[['steps', 2]]]]);
  assert.deepEqual(plain(timeline.at(1)), { run: {}, steps: [null, null, { status: 'running' }] });
  assert.deepEqual(plain(timeline.at(2)), { run: {}, steps: [null, null] });
});

test('only events that touch a path are candidates for it', () => {
  const timeline = new Timeline();
  timeline.extend(0, [[[['run', 'status'], 'a']], [[['steps', 0], { status: 'b' }]], [], [[['run', 'status'], 'c']]]);
  assert.equal(timeline.touching(['run', 'status'], 1, 1), 4);
  assert.equal(timeline.touching(['run', 'status'], 4, -1), 1);
  assert.equal(timeline.touching(['steps', 0, 'status'], 2, 1), undefined);
  assert.equal(timeline.touching([], 1, 1), 2);
  timeline.extend(3, []);
  assert.equal(timeline.touching(['run', 'status'], 1, 1), undefined);
});
