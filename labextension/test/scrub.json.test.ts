import assert from 'node:assert/strict';
import { test } from 'node:test';

import { changes, same } from '../src/scrub/diff.ts';
import { bytes, clock, duration, inline, pathText } from '../src/scrub/format.ts';
import {
  Deferred,
  Exact,
  isBelow,
  type Json,
  keysOf,
  parse,
  pathKey,
  pathOf,
  type Path,
  valueAt,
} from '../src/scrub/json.ts';
import { apply, type Op, Timeline } from '../src/scrub/state.ts';
import { changedBy, explain, nextChange } from '../src/scrub/trace.ts';
import { dice, randomOps } from './scrub.samples.ts';

test('integers that a double cannot hold keep their digits, and others stay numbers', () => {
  const value = parse(
    '{"big":9223372036854775807,"neg":-9007199254740993,"small":9007199254740991,"frac":1.5e300,"text":"9223372036854775807"}',
  );
  assert.equal((valueAt(value, ['big']) as Exact).text, '9223372036854775807');
  assert.equal((valueAt(value, ['neg']) as Exact).text, '-9007199254740993');
  assert.equal(valueAt(value, ['small']), 9007199254740991);
  assert.equal(valueAt(value, ['frac']), 1.5e300);
  assert.equal(valueAt(value, ['text']), '9223372036854775807');
  assert.equal(inline(value, 200).includes('9223372036854775807'), true);
});

test('paths have one name each, and only paths are read back', () => {
  const odd: Path = ['steps', 3, 'a.b', '"', '__proto__', ''];
  assert.deepEqual(pathOf(pathKey(odd)), odd);
  assert.notEqual(pathKey(['1']), pathKey([1]));
  for (const text of ['', '{', '{"a":1}', '[null]', '"x"']) {
    assert.equal(pathOf(text), undefined, text);
  }
  assert.ok(isBelow(['a', 1], ['a']) && isBelow(['a'], ['a']) && !isBelow(['a'], ['a', 1]) && !isBelow(['b'], ['a']));
});

test('members are own members only', () => {
  const value = parse('{"__proto__":{"x":1},"a":[1]}');
  assert.deepEqual(keysOf(value as { [key: string]: Json }), ['__proto__', 'a']);
  assert.equal(valueAt(value, ['__proto__', 'x']), 1);
  assert.equal(valueAt(value, ['toString']), undefined);
});

function random(depth: number, next: () => number): Json {
  const kind = Math.floor(next() * (depth > 0 ? 6 : 4));
  switch (kind) {
    case 0:
      return Math.floor(next() * 3);
    case 1:
      return ['', 'x', '__proto__'][Math.floor(next() * 3)] as string;
    case 2:
      return null;
    case 3:
      return next() < 0.5;
    case 4:
      return Array.from({ length: Math.floor(next() * 4) }, () => random(depth - 1, next));
    default:
      return Object.fromEntries(
        ['a', 'b', '__proto__'].filter(() => next() < 0.6).map(key => [key, random(depth - 1, next)]),
      );
  }
}

test('a difference applied to before gives after', () => {
  const next = dice(21);
  for (let round = 0; round < 500; round++) {
    const [before, after] = [random(3, next), random(3, next)];
    const found = changes(before, after);
    // Members of a list are taken away from its end, so the later ones go first.
    const ordered = [
      ...found.filter(one => one.after !== undefined),
      ...found.filter(one => one.after === undefined).reverse(),
    ];
    const own = new Set<never>();
    const made = ordered.reduce(
      (value, one) => apply(value, one.after === undefined ? [one.path] : [one.path, one.after], own),
      before,
    );
    assert.equal(JSON.stringify(sorted(made)), JSON.stringify(sorted(after)));
    assert.equal(same(before, after), found.length === 0);
  }
});

function sorted(value: Json): Json {
  if (Array.isArray(value)) {
    return value.map(sorted);
  }
  if (value === null || typeof value !== 'object') {
    return value;
  }
  return Object.keys(value)
    .sort()
    .map(key => [key, sorted((value as Record<string, Json>)[key] as Json)]);
}

test('exact and deferred values are compared by their digits and keys', () => {
  assert.ok(same(new Exact('9'), new Exact('9')) && !same(new Exact('9'), new Exact('8')));
  assert.ok(
    same(new Deferred('k', 1, ''), new Deferred('k', 1, '')) &&
      !same(new Deferred('k', 1, ''), new Deferred('j', 1, '')),
  );
  assert.equal(changes([1, 2, 3], [4, 5, 6], 2).length, 2);
});

test('the next change of a path is the one a plain search finds', () => {
  const ops = randomOps(400, 17);
  const timeline = new Timeline();
  timeline.extend(0, ops);
  const at = Array.from({ length: 401 }, (_, position) => timeline.at(position));
  const paths: Path[] = [
    [],
    ['run'],
    ['steps'],
    ['run', 'status'],
    ['steps', 1],
    ['steps', 2, 'output'],
    ['steps', 2, 'output', 'list', 1, 'deep'],
    ['nowhere', 'x'],
  ];
  for (const path of paths) {
    const changed = at.map(
      (document, position) => position > 0 && !same(valueAt(at[position - 1], path), valueAt(document, path)),
    );
    for (let from = 0; from <= 400; from += 13) {
      const above = changed.findIndex((one, position) => one && position > from);
      assert.equal(nextChange(timeline, path, from, 1) ?? -1, above, `${path} after ${from}`);
      assert.equal(
        nextChange(timeline, path, from, -1) ?? -1,
        changed.slice(0, from).lastIndexOf(true),
        `${path} before ${from}`,
      );
    }
  }
});

test('what an event changed, and the cause of every difference, agree with the documents', () => {
  const timeline = new Timeline();
  const begun = Array.from({ length: 5 }, (_, step): Op => [['steps', step], { name: `s${step}` }]);
  timeline.extend(0, [begun, ...randomOps(299, 29)]);
  for (let position = 1; position <= 300; position++) {
    const found = changedBy(timeline, position)
      .map(one => pathKey(one.path))
      .sort();
    const plain = changes(timeline.at(position - 1), timeline.at(position))
      .map(one => pathKey(one.path))
      .sort();
    assert.deepEqual(found, plain, `event ${position}`);
  }
  for (const { path, before, after, cause } of explain(timeline, 40, 260, Infinity)) {
    assert.ok(cause > 40 && cause <= 260);
    assert.ok(same(before, valueAt(timeline.at(40), path)) && same(after, valueAt(timeline.at(260), path)));
    assert.ok(!same(valueAt(timeline.at(cause - 1), path), valueAt(timeline.at(cause), path)));
    assert.ok(same(valueAt(timeline.at(cause), path), after), 'nothing changed it later');
  }
  assert.deepEqual(changedBy(timeline, 0), []);
});

test('numbers, times and values read well', () => {
  const shown = [0.0123, 1, 12.34, 999, 1500, 59_940, 61_000, 7_260_000, 90_000_000].map(duration);
  assert.deepEqual(shown, [
    '12 µs',
    '1 ms',
    '12.3 ms',
    '999 ms',
    '1.5 s',
    '59.9 s',
    '1 min 1 s',
    '2 h 1 min',
    '1 d 1 h',
  ]);
  assert.deepEqual([999, 64_000, 5_000_000].map(bytes), ['999 B', '64 kB', '5 MB']);
  assert.match(clock('1764000000000000000', 1.5), /^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.001$/);
  assert.equal(clock('soon', 0), '');
  assert.equal(inline(parse('{"a":[1,"x",null],"b":{"c":true}}')), '{a: [1, "x", null], b: {c: true}}');
  assert.ok(inline('x'.repeat(5_000_000), 80).length <= 80);
  assert.ok(
    inline(
      Array.from({ length: 100_000 }, (_, index) => index),
      80,
    ).length <= 80,
  );
  assert.equal(
    pathText(['steps', 2, 'output', 'a'], step => `s${step}`),
    's2 › output › a',
  );
  assert.equal(pathText([], String), 'everything');
});
