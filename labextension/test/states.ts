/** Prints the documents that the view has at some positions: `{chunks, positions}` on standard input, JSON out. */

import { readFileSync } from 'node:fs';

import { History } from '../src/scrub/history.ts';
import { Deferred, Exact, type Json } from '../src/scrub/json.ts';
import { chunkOfMessage } from '../src/scrub/model.ts';

interface Asked {
  chunks: Record<string, unknown>[];
  positions: number[];
}

function bytesOf(text: unknown): DataView {
  const bytes = new Uint8Array(Buffer.from(String(text), 'base64'));
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// Numbers that JSON cannot keep, and values that are elsewhere, as the reader writes them too.
function told(_key: string, value: Json): unknown {
  return value instanceof Exact ? { $digits: value.text } : value instanceof Deferred ? { $key: value.key } : value;
}

const asked = JSON.parse(readFileSync(0, 'utf8')) as Asked;
const [first, ...rest] = asked.chunks.map(one =>
  chunkOfMessage({ ...one, kind: 'chunk' }, [bytesOf(one['events']), bytesOf(one['spans'])]),
);
const history = new History(first as NonNullable<typeof first>);
rest.forEach(chunk => history.extend(chunk as NonNullable<typeof chunk>));
const documents = asked.positions.map(position => history.timeline.at(position));
process.stdout.write(
  JSON.stringify(
    { documents, summaries: asked.positions.map(one => history.summary(one)) },
    told as (key: string, value: unknown) => unknown,
  ),
);
