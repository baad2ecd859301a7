import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assignsLab, showRun, withLab } from '../src/plugin/code.ts';
import { age, markOf, matches, type RunLine, serverLine, type Status, STATUSES } from '../src/plugin/words.ts';

const RUN: RunLine = {
  id: 'run_1', function_id: 'process-order', event_name: 'order.placed', status: 'waiting_for_capacity', attempt: 1,
  created_at: '2026-01-01T00:00:00.000000001Z', started_at: '', ended_at: '', error: 'card declined'
};

test('a cell that gives lab a value is told from one that only uses it', () => {
  const gives = [
    'lab = il.connect()', 'import x\nlab=il.start()', 'il, lab = a, b', 'lab, other = two()', 'lab: Lab = il.connect()',
    'if True:\n    lab = il.start()', 'with il.connect() as lab:\n    pass', 'import ironflow_lab as lab', 'x = 1; lab = 2'
  ];
  const uses = [
    'lab.run("x")', 'lab == other', '# lab = il.connect()', 'my_lab = 1', 'lab.value = 3', 'f(labs=1)', 'label = 2', ''
  ];
  assert.deepEqual(gives.filter(code => !assignsLab(code)), []);
  assert.deepEqual(uses.filter(code => assignsLab(code)), []);
});

test('a run is shown with the connection before it only where the notebook has none', () => {
  assert.equal(withLab(showRun('run_1'), ['x = 1', 'lab = il.start()']), 'lab.run("run_1")');
  assert.equal(withLab(showRun('run_1'), ['x = 1']), 'import ironflow_lab as il\nlab = il.connect()\nlab.run("run_1")');
});

test('a quoted id stays one text of Python', () => {
  assert.equal(showRun('a"b\\c\n'), 'lab.run("a\\"b\\\\c\\n")');
});

test('every status has a mark and a word, an unknown one its own', () => {
  assert.equal(new Set(STATUSES.map(status => markOf(status)[1])).size, STATUSES.length);
  assert.deepEqual(markOf('waiting_for_capacity').slice(0, 2), ['…', 'queued']);
  assert.deepEqual(markOf('compensating'), ['•', 'compensating', 'still']);
  assert.deepEqual(markOf(''), ['•', 'unknown', 'still']);
  assert.deepEqual(markOf('toString'), ['•', 'toString', 'still']);
});

test('ages are short, and a clock that is behind says now', () => {
  const born = Date.parse(RUN.created_at);
  const after = (seconds: number): string => age(RUN.created_at, born + seconds * 1000);
  assert.deepEqual([-5, 0.5, 1, 59, 60, 3_599, 7_200, 200_000].map(after),
    ['now', 'now', '1 s ago', '59 s ago', '1 min ago', '59 min ago', '2 h ago', '2 d ago']);
  assert.equal(age('', born), '');
});

test('the filter finds every word anywhere, in the words the list shows', () => {
  for (const typed of ['', 'order', 'RUN_1 process', 'queued', 'declined card']) {
    assert.ok(matches(RUN, typed), typed);
  }
  assert.ok(!matches(RUN, 'order failed'));
});

test('the line of a server leaves out what is not known', () => {
  const status: Status = {
    found: true, url: 'http://x:1', version: '', environment: 'default', instance: '', local: true, startable: false, message: ''
  };
  assert.equal(serverLine(status), 'http://x:1 · default');
});
