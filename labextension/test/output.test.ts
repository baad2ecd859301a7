import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  changeOf, droppedNote, keyOf, lastLine, type Line, readLog, type RunLog, textOf, timeOf, titleOf, weightOf
} from '../src/output/log.ts';
import { done, lineOf, ordered, type Progress, readProgress, type Row, Told } from '../src/output/progress.ts';

const LINE: Line = { at: 1, step: 'charge', attempt: 1, stream: 'stdout', level: '', text: 'hello' };

function run(...texts: string[]): RunLog {
  return { id: 'run_1', attempt: 1, state: 'executing', dropped: 0, lines: texts.map(text => ({ ...LINE, text })) };
}

test('a log is read as the kernel wrote it', () => {
  const log = readLog({
    version: 1, function: 'pay', hidden_runs: 3,
    runs: [{ run_id: 'run_1', attempt: 2, state: 'failed', dropped: 7, lines: [
      { at: 5, step: 'charge', attempt: 2, stream: 'stderr', level: 'ERROR', text: 'no <b>funds</b>\n' }
    ] }]
  });
  assert.deepEqual(log, { function: 'pay', hidden: 3, runs: [{
    id: 'run_1', attempt: 2, state: 'failed', dropped: 7,
    lines: [{ at: 5, step: 'charge', attempt: 2, stream: 'stderr', level: 'ERROR', text: 'no <b>funds</b>' }]
  }] });
});

test('a bundle of another making is read as far as it goes', () => {
  const empty = { function: '', runs: [], hidden: 0 };
  for (const data of [undefined, null, 7, 'log', [], { runs: 'many' }, { runs: null, hidden_runs: -4, function: {} }]) {
    assert.deepEqual(readLog(data), empty);
  }
  const { runs } = readLog({ runs: [null, { run_id: 9, dropped: Infinity, lines: [null, { text: 9, at: NaN, attempt: -1 }] }] });
  assert.deepEqual(runs[1]?.lines[1], { at: 0, step: '', attempt: 1, stream: '', level: '', text: '' });
  assert.deepEqual([runs[0]?.id, runs[1]?.id, runs[1]?.dropped], ['', '', 0]);
});

test('what is too much is cut, and counted', () => {
  const lines = Array.from({ length: 600 }, (_, index) => ({ text: `${index}` }));
  const log = readLog({ hidden_runs: 2, runs: Array.from({ length: 60 }, () => ({ run_id: 'r', dropped: 5, lines })) });
  assert.deepEqual([log.runs.length, log.hidden], [50, 12]);
  assert.deepEqual([log.runs[0]?.lines.length, log.runs[0]?.dropped, log.runs[0]?.lines.at(-1)?.text], [500, 105, '599']);
  assert.equal(readLog({ runs: [{ lines: [{ text: 'x'.repeat(100_000) }] }] }).runs[0]?.lines[0]?.text.length, 65_536);
});

test('how loud a line is, is said in a word', () => {
  const said = (stream: string, level: string): string => weightOf({ stream, level }).join(' ');
  assert.equal(said('stdout', ''), 'plain ');
  assert.equal(said('stderr', ''), 'note stderr');
  assert.equal(said('log', 'INFO'), 'note info');
  assert.equal(said('log', 'WARNING'), 'warning warning');
  assert.equal(said('log', 'CRITICAL'), 'error critical');
  assert.equal(said('warning', 'DeprecationWarning'), 'warning warning');
  assert.equal(said('error', ''), 'error error');
  assert.equal(said('display', ''), 'plain ');
});

test('the summary is the last line with something in it, on one line', () => {
  assert.equal(lastLine(run('first', 'second\nthird  ', '', '  ')), 'third');
  assert.equal(lastLine(run()), '');
  assert.equal(lastLine(run('x'.repeat(500))).length, 162);
});

test('what is not shown is said with where it is', () => {
  assert.equal(droppedNote({ ...run(), dropped: 1_234 }), "1,234 earlier lines are in lab.worker.logs('run_1')");
  assert.equal(droppedNote({ ...run(), dropped: 1 }), "1 earlier line is in lab.worker.logs('run_1')");
  assert.equal(droppedNote({ ...run(), id: '', dropped: 2 }), '2 earlier lines not shown');
  assert.equal(droppedNote(run()), '');
  assert.deepEqual([titleOf(run()), titleOf({ ...run(), id: '' })], ['run_1', 'about the function']);
});

test('what is copied names the steps', () => {
  assert.equal(textOf({ ...run(), lines: [LINE, { ...LINE, step: '', text: 'two\nlines' }] }), '[charge] hello\ntwo\nlines');
});

test('times of day are short, and nonsense has none', () => {
  assert.match(timeOf(1_764_000_000_123), /^\d\d:\d\d:\d\d\.123$/);
  assert.deepEqual([0, -1, NaN, 1e300].map(timeOf), ['', '', '', '']);
});

test('of the shown lines stays what is still there', () => {
  const change = (shown: string, next: string): string => Object.values(changeOf([...shown], [...next])).join();
  assert.equal(change('', 'abc'), '0,0');
  assert.equal(change('abc', 'abcd'), '0,3');
  assert.equal(change('abc', 'bcde'), '1,2');
  assert.equal(change('abc', 'abx'), '0,2');
  assert.equal(change('aab', 'abc'), '1,2');
  assert.equal(change('aaaa', 'aaaab'), '0,4');
  assert.equal(change('abc', 'xyz'), '3,0');
  assert.equal(change('abc', ''), '3,0');
});

test('shown and kept lines give exactly the next ones', () => {
  const letters = 'abca';
  for (let seed = 0; seed < 4_096; seed++) {
    const at = (index: number): string => letters[(seed >> (2 * index)) & 3] ?? '';
    const shown = [at(0), at(1), at(2)];
    const next = [at(3), at(4), at(5)];
    const { drop, keep } = changeOf(shown, next);
    assert.deepEqual([...shown.slice(drop, drop + keep), ...next.slice(keep)], next);
  }
});

test('lines that differ in anything have different keys', () => {
  const others = [{ at: 2 }, { step: 'x' }, { attempt: 2 }, { stream: 'log' }, { level: 'x' }, { text: 'x' }];
  assert.equal(new Set([LINE, ...others.map(one => ({ ...LINE, ...one }))].map(keyOf)).size, 7);
});

const PROGRESS: Progress = {
  server: 'http://x:1', event: 'order.placed', total: 3, counts: new Map([['completed', 1], ['running', 2]]), settled: false,
  runs: ['a', 'b', 'c'], rows: [], note: '', at: 1
};
const row = (id: string, status: string): Row => ({ id, function: 'pay', status, note: '' });

test('progress is read as the kernel wrote it, and from anything else as nothing', () => {
  const told = { server_url: 'http://x:1', event: 'e', total: 2, counts: { failed: 1, running: 0 }, settled: true, run_ids: ['a', 7],
    rows: [{ run_id: 'a', function_id: 'f', status: 'failed', note: 'why' }], note: 'n', at: 9 };
  assert.deepEqual(readProgress(told), { server: 'http://x:1', event: 'e', total: 2, counts: new Map([['failed', 1]]), settled: true,
    runs: ['a'], rows: [{ id: 'a', function: 'f', status: 'failed', note: 'why' }], note: 'n', at: 9 });
  for (const data of [undefined, null, [], 'x', { counts: 'x', rows: {}, run_ids: 3, settled: 'yes' }]) {
    const empty = readProgress(data);
    assert.deepEqual([empty.total, empty.counts.size, empty.settled, empty.runs, empty.rows], [0, 0, false, [], []]);
  }
});

test('the line counts in the order of what matters', () => {
  assert.equal(lineOf(PROGRESS), '1 of 3 runs: 1 completed, 2 running');
  assert.equal(lineOf({ ...PROGRESS, counts: new Map([['failed', 1], ['completed', 2]]) }), '3 runs: 2 completed, 1 failed');
  assert.equal(lineOf({ ...PROGRESS, total: 1, counts: new Map([['waiting_for_capacity', 1]]) }), '1 run: queued');
  assert.equal(lineOf({ ...PROGRESS, total: 1, counts: new Map() }), '1 run');
  assert.deepEqual(ordered(new Map([['new', 1], ['waiting', 1], ['paused', 1], ['completed', 1]])).map(([status]) => status),
    ['completed', 'paused', 'waiting', 'new']);
  assert.equal(done(PROGRESS), 1);
});

test('nothing is said before the server has told of every run', () => {
  const told = new Told();
  told.take([row('a', 'completed'), row('b', 'running')]);
  assert.equal(told.count(PROGRESS, 5), PROGRESS);
  told.take([row('c', 'failed')]);
  const now = told.count(PROGRESS, 5);
  assert.deepEqual([...now.counts], [['completed', 1], ['running', 1], ['failed', 1]]);
  assert.deepEqual([now.settled, now.at, now.rows.length], [false, 5, 3]);
});

test('what has settled is asked for no more, and the end is the end', () => {
  const told = new Told();
  assert.deepEqual(told.wanted(PROGRESS, 2), [['a', 'b'], ['c']]);
  told.take([row('a', 'completed'), row('b', 'running'), row('c', 'deleted')]);
  assert.deepEqual(told.wanted(PROGRESS, 2), [['b']]);
  told.take([row('b', 'paused')]);
  assert.deepEqual(told.wanted(PROGRESS, 2), []);
  assert.ok(told.count(PROGRESS, 5).settled);
});

test('of a batch that names only those that go on, the others are counted as they were', () => {
  const batch: Progress = { ...PROGRESS, total: 1_000, counts: new Map([['completed', 600], ['running', 400]]), runs: ['a', 'b'] };
  const told = new Told();
  told.take([row('a', 'completed'), row('b', 'running')]);
  const now = told.count(batch, 5);
  assert.deepEqual(new Map(now.counts), new Map([['completed', 601], ['running', 1], ['unknown', 398]]));
  assert.equal(now.settled, false);
  told.take([row('b', 'completed')]);
  assert.equal(told.count(batch, 6).settled, false);
  assert.equal(lineOf(told.count(batch, 6)), '602 of 1,000 runs: 602 completed, 398 not heard of');
});
