import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { Events, Spans } from '../src/scrub/decode.ts';
import { History } from '../src/scrub/history.ts';
import { codeOf } from '../src/scrub/insert.ts';
import { Deferred } from '../src/scrub/json.ts';
import { commandOf, HELP, type Pressed } from '../src/scrub/keys.ts';
import { EACH, Player } from '../src/scrub/player.ts';
import { better, Scale } from '../src/scrub/scale.ts';
import { FAILED, LaneIndex } from '../src/scrub/spans.ts';
import { Sync, type Synced } from '../src/scrub/sync.ts';
import { Values } from '../src/scrub/values.ts';
import { chunk, eventBytes, type EventRow, FakeModel, lanes, spanBytes } from './scrub.samples.ts';

function eventsAt(...times: number[]): Events {
  const events = new Events();
  events.extend(0, eventBytes(times.map((ms): EventRow => [ms, 0, 0, 0])));
  return events;
}

function press(key: string, more: Partial<Pressed> = {}): Pressed {
  return { key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...more };
}

test('keys are commands, unless the focus needs them or a modifier is held', () => {
  assert.equal(commandOf(press('ArrowRight'), 'track'), 'next');
  assert.equal(commandOf(press('ArrowRight', { shiftKey: true }), 'track'), 'nextSignificant');
  assert.equal(commandOf(press('?', { shiftKey: true }), 'track'), 'help');
  assert.equal(commandOf(press('D'), 'track'), 'difference');
  for (const key of ['ArrowDown', 'Home', 'Enter', 'PageUp']) {
    assert.equal(commandOf(press(key), 'list'), undefined, key);
  }
  assert.equal(commandOf(press('n'), 'list'), 'nextChange');
  assert.equal(commandOf(press(' '), 'button'), undefined);
  assert.equal(commandOf(press(' '), 'list'), 'play');
  assert.equal(commandOf(press('d'), 'field'), undefined);
  assert.equal(commandOf(press('d', { ctrlKey: true }), 'track'), undefined);
  assert.equal(commandOf(press('x'), 'track'), undefined);
  assert.ok(HELP.length > 10);
});

// A player with a clock of its own: `run` lets frames of 16 ms pass.
function played(events: Events, calm = false): { player: Player; run(ms: number): void; at(): number } {
  let position = 0;
  let now = 0;
  let next: ((now: number) => void) | undefined;
  const stage = {
    events,
    position: () => position,
    go: (to: number) => {
      position = to;
    },
    changed: () => {},
    calm: () => calm,
  };
  const player = new Player(stage, {
    request: callback => {
      next = callback;
      return 1;
    },
    cancel: () => {
      next = undefined;
    },
  });
  return {
    player,
    at: () => position,
    run(ms: number): void {
      for (const end = now + ms; now < end && next !== undefined; now += 16) {
        next(now);
      }
    },
  };
}

test('playing keeps the time of the run, by the speed', () => {
  const { player, run, at } = played(eventsAt(0, 100, 200, 900));
  player.play();
  run(160);
  assert.equal(at(), 2);
  run(720);
  assert.equal(at(), 3);
  player.speed = 16;
  run(160);
  assert.deepEqual([at(), player.playing], [4, false]);
});

test('no silence is played for more than a second, and event by event each has its quarter', () => {
  const hours = eventsAt(0, 3_600_000, 7_200_000);
  const slow = played(hours);
  slow.player.play();
  slow.run(2_200);
  assert.equal(slow.at(), 3);
  const each = played(hours);
  each.player.speed = EACH;
  each.player.play();
  each.run(560);
  assert.equal(each.at(), 2);
});

test('with little motion wanted, one event a second', () => {
  const { player, run, at } = played(eventsAt(...Array(50).keys()), true);
  player.speed = 16;
  player.play();
  run(2_100);
  assert.equal(at(), 2);
});

test('playing from the end begins anew, and pause stops', () => {
  const { player, run, at } = played(eventsAt(0, 10, 20));
  player.play();
  run(200);
  assert.equal(at(), 3);
  player.toggle();
  assert.deepEqual([at(), player.playing], [0, true]);
  player.toggle();
  run(500);
  assert.equal(at(), 0);
  const nothing = played(eventsAt());
  nothing.player.play();
  assert.equal(nothing.player.playing, false);
});

test('pixels and positions agree in both scales, zoomed or not', () => {
  const scale = new Scale(eventsAt(0, 10, 500, 4_000, 4_001, 10_000));
  scale.width = 800;
  for (const mode of ['time', 'events'] as const) {
    scale.choose(mode);
    for (const _ of [1, 2, 3]) {
      for (let position = 1; position <= 6; position++) {
        const x = scale.xOfPosition(position);
        assert.ok(x < 12 || scale.positionAt(x) === position, `${mode} ${position}`);
      }
      scale.zoom(0.5, 400);
    }
  }
});

test('zooming keeps what is under the pointer, panning stops at the ends, fit shows all', () => {
  const scale = new Scale(eventsAt(0, 1_000));
  scale.width = 800;
  scale.choose('time');
  const value = scale.value(300);
  scale.zoom(0.25, 300);
  assert.ok(Math.abs(scale.value(300) - value) < 1e-6 && !scale.fitted);
  scale.pan(-1e9);
  assert.equal(scale.view[0], 0);
  scale.pan(1e9);
  assert.equal(scale.view[1], 1_000);
  assert.equal(scale.reveal(1), true);
  assert.equal(scale.reveal(1), false);
  scale.zoom(1e9, 400);
  assert.deepEqual([scale.view, scale.fitted], [[0, 1_000], true]);
  for (let step = 0; step < 100; step++) {
    scale.zoom(0.5, 400);
  }
  assert.ok(scale.view[1] - scale.view[0] > 0 && scale.ticks(90).length < 40);
});

test('steps of a millisecond among sleeps of hours are shown event by event, an even run by time', () => {
  const uneven = Array.from({ length: 40 }, (_, index) => Math.floor(index / 20) * 3_600_000 + (index % 20));
  assert.equal(better(eventsAt(...uneven), 800), 'events');
  assert.equal(better(eventsAt(...Array.from({ length: 40 }, (_, index) => index * 50)), 800), 'time');
  assert.equal(better(eventsAt(), 800), 'events');
  assert.equal(better(eventsAt(0), 800), 'events');
});

test('event by event a span goes from the report of its start to the report of its end', () => {
  const [events, spans, index] = [new Events(), new Spans(), new LaneIndex()];
  // The worker's times lie before the reports that brought them, both in one batch.
  events.extend(
    0,
    eventBytes([
      [0, 0, 0, 0],
      [50, 1, 1, 0],
      [50.000001, 1, 2, 0],
      [60, 2, 1, 0],
      [70, 0, 0, 0],
    ]),
  );
  spans.extend(
    0,
    spanBytes([
      [3, 41, 1, 0, 1],
      [60, NaN, 2, FAILED, 1],
      [60, 70, 0, 2, 1],
    ]),
  );
  index.extend(events, spans, 0, 0, 3);
  const scale = new Scale(events);
  scale.choose('events');
  assert.deepEqual(
    index.drawn(1, events, spans, scale).map(one => one.from),
    [2],
  );
  assert.deepEqual(index.drawn(2, events, spans, scale), [{ from: 4, to: 5, kind: FAILED }]);
  assert.deepEqual(
    index.drawn(0, events, spans, scale),
    [{ from: 4, to: 5, kind: 2 }],
    'an exact instant is its event',
  );
  scale.choose('time');
  assert.deepEqual(index.drawn(1, events, spans, scale), [{ from: 3, to: 41, kind: 0 }]);
  assert.deepEqual([index.appears(1), index.appears(2), index.appears(9)], [2, 4, Infinity]);
});

test('a discarded step is a ghost again, and who did what is told', () => {
  const history = new History(
    chunk({
      events: [
        [0, 1, 1, 0],
        [1, 1, 2, 1],
        [2, 0, 6, 1],
        [3, 1, 4, 0],
        [4, 1, 1, 0],
        [5, 2, 5, 1],
      ],
      spans: [],
      lanes: lanes('charge', 'compensate:charge'),
      ops: [
        [[['steps', 0], { name: 'charge', status: 'running' }]],
        [[['steps', 0, 'status'], 'completed']],
        [[['run', 'status'], 'pending']],
        [[['steps', 0, 'status'], 'pending']],
        [[['steps', 0, 'status'], 'running']],
        [[['steps', 1], { name: 'compensate:charge', status: 'completed' }]],
      ],
    }),
  );
  const ghosts = (lane: number): boolean[] =>
    Array.from({ length: 7 }, (_, position) =>
      history.ghost({ position, document: history.timeline.at(position) }, lane),
    );
  assert.deepEqual(ghosts(0), [true, true, true, false, false, false, false]);
  assert.deepEqual(ghosts(1), [true, false, false, false, true, false, false]);
  assert.deepEqual(ghosts(2), [true, true, true, true, true, true, false]);
  assert.deepEqual(
    [1, 3, 4, 6].map(position => history.actor(position)),
    ['worker', 'operator', 'operator', 'worker'],
  );
  assert.equal(history.summary(6), 'Compensation of charge completed');
});

test('a history grows by chunks, refuses a gap, and says who and what', () => {
  const history = new History(
    chunk({
      events: [
        [0, 0, 0, 1],
        [5, 1, 1, 0],
      ],
      spans: [[0, NaN, 0, 1, 1]],
      lanes: lanes('charge'),
      ops: [[[['run'], { status: 'running' }]], [[['steps', 0], { name: 'charge', status: 'running' }]]],
    }),
  );
  const more = chunk({
    events: [[9, 2, 3, 5]],
    spans: [[0, 9, 0, 1, 1]],
    lanes: lanes('charge', 'charge'),
    first: 2,
    ops: [[[['steps', 1], { name: 'charge', status: 'completed', by: 'ada' }]]],
  });
  assert.equal(history.extend({ ...more, first: 7 }), false);
  assert.equal(history.extend(more), true);
  assert.equal(history.summary(3), 'Step charge (2) injected');
  assert.deepEqual([history.actor(3), history.actor(2), history.actor(1)], ['ada', 'worker', '']);
  assert.deepEqual(
    [history.significant(0, 1), history.significant(1, 1), history.significant(3, -1), history.significant(3, 1)],
    [1, 3, 1, 3],
  );
  assert.equal(history.status(history.timeline.at(3), 2), 'completed');
  assert.equal(history.summary(0), 'Before the run was created');
  const odd = chunk({ events: [[0, 1, 1, 0]], spans: [], lanes: lanes('$& $1 {}'), ops: [[]] });
  assert.equal(new History(odd).summary(1), 'Step $& $1 {} started');
});

test('the code names the run and the place, or both pins', () => {
  assert.equal(codeOf('run_1', 17, undefined), 'run = lab.run("run_1")\nrun.at(event=17)');
  assert.equal(codeOf('a"b', 17, [12, 17]), 'run = lab.run("a\\"b")\nrun.diff(12, 17)');
});

test('a deferred value is asked for once, answered, and asked for again only after an error', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const model = new FakeModel();
  let changed = 0;
  const values = new Values(model, () => {
    changed += 1;
  });
  const value = new Deferred('k', 5_000_000, '');
  assert.equal(values.get(value), undefined);
  values.fetch(value);
  values.fetch(value);
  assert.deepEqual(model.sent, [{ kind: 'value', key: 'k', id: '1' }]);
  values.receive({ kind: 'value', id: 'another', key: 'k', found: true, json: '1' });
  assert.equal(values.get(value)?.state, 'loading');
  mock.timers.tick(20_001);
  assert.deepEqual([values.get(value)?.state, changed], ['error', 1]);
  values.fetch(value);
  values.receive({ kind: 'value', id: '2', key: 'k', found: true, json: '{"n":12345678901234567890}' });
  assert.equal(values.get(value)?.state, 'ready');
  values.fetch(value);
  assert.equal(model.sent.length, 2);
  const broken = new Deferred('j', 1, '');
  values.fetch(broken);
  values.receive({ kind: 'value', id: '3', key: 'j', found: true, json: '{' });
  assert.equal(values.get(broken)?.state, 'error');
  values.fetch(new Deferred('huge', 1e9, ''));
  assert.equal(model.sent.length, 3);
  values.dispose();
  mock.timers.reset();
});

test('Python hears once the person rests, and an echo does not move the cursor', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const model = new FakeModel();
  const heard: [Synced, unknown][] = [];
  let data = 0;
  const sync = new Sync(model, {
    setting: (key, value) => heard.push([key, value]),
    data: () => {
      data += 1;
    },
    message: () => {},
  });
  [1, 2, 3].forEach(position => sync.later('t', position));
  mock.timers.tick(149);
  assert.equal(model.saved, 0);
  mock.timers.tick(1);
  assert.deepEqual([model.get('t'), model.saved], [3, 1]);
  model.fire('change:t');
  assert.deepEqual(heard, []);
  model.set('t', 9);
  assert.deepEqual(heard, [['t', 9]]);
  model.set('t', 3);
  assert.deepEqual(heard.at(-1), ['t', 3]);
  ['events', 'spans', 'patches', 'meta'].forEach(key => model.set(key, 'new'));
  assert.equal(data, 0);
  mock.timers.tick(1);
  assert.equal(data, 1);
  sync.later('t', 4);
  sync.dispose();
  assert.equal(model.get('t'), 4, 'what was not told yet is told at the end');
  assert.equal(model.listening, 0);
  mock.timers.reset();
});
