/** What the view needs of its host: a bag of synced values and a way to send messages. */

export interface Model {
  get(key: string): unknown;
  set(key: string, value: unknown): void;
  save_changes(): void;
  on(event: string, callback: Listener): void;
  off(event: string, callback?: Listener): void;
  send(content: unknown): void;
}

// Hosts differ in what they pass on: a message and its buffers, or an event of their own.
export type Listener = (...given: unknown[]) => void;

export interface Meta {
  run_id: string;
  function_id: string;
  t0: string;
  recording: string;
  source: string;
  note: string;
  ended: boolean;
  server: string;
}

export interface EventType {
  type: string;
  text: string;
}

export interface Lane {
  name: string;
  type: string;
  step_id: string;
}

/** A part of a history, or all of it: see `decode.ts` for the two byte columns. */
export interface Chunk {
  meta: Meta;
  types: EventType[];
  lanes: Lane[];
  first: number;
  spans_first: number;
  events: DataView;
  spans: DataView;
  patches: string;
}

const NO_META: Meta = {
  run_id: '',
  function_id: '',
  t0: '0',
  recording: '',
  source: '',
  note: '',
  ended: false,
  server: '',
};

/** Returns the whole history that the synced values of the host hold. */
export function chunkOf(model: Model): Chunk {
  return {
    meta: metaOf(model.get('meta')),
    types: listOf<EventType>(model.get('types')),
    lanes: listOf<Lane>(model.get('lanes')),
    first: 0,
    spans_first: 0,
    events: viewOf(model.get('events')),
    spans: viewOf(model.get('spans')),
    patches: String(model.get('patches') ?? '') || '[]',
  };
}

/** Returns the chunk of a message, or undefined when the message is of another kind. */
export function chunkOfMessage(content: Record<string, unknown>, buffers: unknown[]): Chunk | undefined {
  if (content['kind'] !== 'chunk') {
    return undefined;
  }
  return {
    meta: metaOf(content['meta']),
    types: listOf<EventType>(content['types']),
    lanes: listOf<Lane>(content['lanes']),
    first: Number(content['first'] ?? 0),
    spans_first: Number(content['spans_first'] ?? 0),
    events: viewOf(buffers[0]),
    spans: viewOf(buffers[1]),
    patches: String(content['patches'] ?? '') || '[]',
  };
}

function metaOf(value: unknown): Meta {
  return { ...NO_META, ...(value as Partial<Meta> | undefined) };
}

function listOf<T>(value: unknown): T[] {
  return Array.isArray(value) ? (value as T[]) : [];
}

/** Returns the bytes as a view, whichever of the three forms the host has them in. */
export function viewOf(value: unknown): DataView {
  if (value instanceof DataView) {
    return value;
  }
  if (ArrayBuffer.isView(value)) {
    return new DataView(value.buffer, value.byteOffset, value.byteLength);
  }
  return new DataView(value instanceof ArrayBuffer ? value : new ArrayBuffer(0));
}
