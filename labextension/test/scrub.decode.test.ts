import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Events, Spans, upperBound } from '../src/scrub/decode.ts';
import { chunkOf, chunkOfMessage, viewOf } from '../src/scrub/model.ts';
import { eventBytes, type EventRow, FakeModel, spanBytes } from './scrub.samples.ts';

const ROWS: EventRow[] = Array.from({ length: 1000 }, (_, index) => [index * 1.5, index % 7, index % 3, index % 16]);

function read(events: Events): EventRow[] {
  return Array.from({ length: events.length }, (_, index): EventRow => [
    events.ms[index] as number,
    events.lane[index] as number,
    events.type[index] as number,
    events.flags[index] as number,
  ]);
}

test('events come out as they were packed, wherever they stand in their buffer', () => {
  const events = new Events();
  events.extend(0, eventBytes(ROWS, 5));
  assert.deepEqual(read(events), ROWS);
});

test('a chunk cuts the columns at its first event and goes on from there', () => {
  const events = new Events();
  events.extend(0, eventBytes(ROWS.slice(0, 300)));
  events.extend(290, eventBytes(ROWS.slice(290)));
  assert.deepEqual(read(events), ROWS);
  events.extend(10, eventBytes([]));
  assert.equal(events.length, 10);
});

test('spans keep an open end, and a chunk closes it', () => {
  const spans = new Spans();
  spans.extend(
    0,
    spanBytes([
      [0, 5, 0, 1, 1],
      [5, NaN, 1, 0, 1],
    ]),
  );
  assert.ok(Number.isNaN(spans.end[1]));
  spans.extend(
    1,
    spanBytes([
      [5, 9, 1, 6, 1],
      [9, NaN, 1, 2, 2],
    ]),
  );
  assert.deepEqual([spans.length, spans.end[0], spans.end[1], spans.kind[1], spans.attempt[2]], [3, 5, 9, 6, 2]);
});

test('a position is the number of events that had happened', () => {
  const events = new Events();
  events.extend(
    0,
    eventBytes([
      [0, 0, 0, 0],
      [1, 0, 0, 0],
      [1, 0, 0, 0],
      [4, 0, 0, 0],
    ]),
  );
  assert.deepEqual(
    [-1, 0, 0.5, 1, 3.9, 4, 99].map(ms => events.positionAt(ms)),
    [0, 1, 1, 3, 3, 4, 4],
  );
  assert.equal(upperBound([], 0, 1), 0);
});

test('bytes are read from views, arrays and buffers, and nothing is no bytes', () => {
  const bytes = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
  assert.equal(viewOf(bytes).getUint8(0), 2);
  assert.equal(viewOf(bytes.buffer).byteLength, 4);
  assert.equal(viewOf(new DataView(bytes.buffer, 2)).getUint8(0), 3);
  assert.equal(viewOf(undefined).byteLength, 0);
});

test('an empty model is an empty history, and only chunk messages are chunks', () => {
  const chunk = chunkOf(new FakeModel());
  assert.deepEqual([chunk.events.byteLength, chunk.patches, chunk.meta.ended], [0, '[]', false]);
  assert.equal(chunkOfMessage({ kind: 'note' }, []), undefined);
  assert.equal(chunkOfMessage({ kind: 'chunk', first: 3 }, [eventBytes(ROWS), null])?.first, 3);
});
