/** Small histories for the tests of the view's logic, written the way the kernel packs them. */

import { EVENT_BYTES, SPAN_BYTES } from '../src/scrub/decode.ts';
import type { Json } from '../src/scrub/json.ts';
import type { Chunk, Lane, Model } from '../src/scrub/model.ts';
import type { Op } from '../src/scrub/state.ts';

export type EventRow = [ms: number, lane: number, type: number, flags: number];
export type SpanRow = [start: number, end: number, lane: number, kind: number, attempt: number];

/** A source of numbers in [0, 1) that is the same every time. */
export function dice(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
}

/** Packs events; `shift` bytes stand before them, as in a message. */
export function eventBytes(rows: EventRow[], shift = 0): DataView {
  const view = new DataView(new ArrayBuffer(shift + rows.length * EVENT_BYTES), shift);
  rows.forEach(([ms, lane, type, flags], index) => {
    const at = index * EVENT_BYTES;
    view.setFloat64(at, ms, true);
    view.setUint32(at + 8, lane, true);
    view.setUint16(at + 12, type, true);
    view.setUint16(at + 14, flags, true);
  });
  return view;
}

export function spanBytes(rows: SpanRow[]): DataView {
  const view = new DataView(new ArrayBuffer(rows.length * SPAN_BYTES));
  rows.forEach(([start, end, lane, kind, attempt], index) => {
    const at = index * SPAN_BYTES;
    view.setFloat64(at, start, true);
    view.setFloat64(at + 8, end, true);
    view.setUint32(at + 16, lane, true);
    view.setUint16(at + 20, kind, true);
    view.setUint16(at + 22, attempt, true);
  });
  return view;
}

export const TYPES = [
  { type: 'run.created', text: 'Run created' },
  { type: 'step.started', text: 'Step {} started' },
  { type: 'step.completed', text: 'Step {} completed' },
  { type: 'step.injected', text: 'Step {} injected' },
  { type: 'step.discarded', text: 'Step {} discarded' },
  { type: 'saga.compensation.completed', text: 'Compensation of charge completed' },
  { type: 'run.resumed', text: 'Run resumed from charge' },
];

export function lanes(...names: string[]): Lane[] {
  return [{ name: 'run', type: 'run', step_id: '' }, ...names.map(name => ({ name, type: 'invoke', step_id: name }))];
}

export interface Told {
  events: EventRow[];
  spans: SpanRow[];
  ops: Op[][];
  lanes: Lane[];
  first?: number;
  spans_first?: number;
  ended?: boolean;
}

export function chunk(told: Told): Chunk {
  return {
    meta: {
      run_id: 'run_1',
      function_id: 'f',
      t0: '1764000000000000000',
      recording: 'all',
      source: 'fold',
      note: '',
      ended: told.ended ?? true,
      server: '',
    },
    types: TYPES,
    lanes: told.lanes,
    first: told.first ?? 0,
    spans_first: told.spans_first ?? 0,
    events: eventBytes(told.events),
    spans: spanBytes(told.spans),
    patches: JSON.stringify(told.ops),
  };
}

/** Random operations on a state document with a few steps, as many lists as events. */
export function randomOps(count: number, seed = 7, steps = 5): Op[][] {
  const random = dice(seed);
  const pick = (below: number): number => Math.floor(random() * below);
  return Array.from({ length: count }, () =>
    Array.from({ length: pick(4) }, (): Op => {
      const field = ['status', 'output', 'error'][pick(3)] as string;
      const place: (string | number)[] = random() < 0.3 ? ['run'] : ['steps', pick(steps)];
      if (place[0] === 'steps' && random() < 0.2) {
        return [place, { name: `s${place[1]}`, status: 'running' }];
      }
      const value: Json[] = [
        pick(9),
        `text ${pick(9)}`,
        { total: pick(9), list: [pick(3), { deep: pick(3) }] },
        null,
        [1, pick(4)],
      ];
      return random() < 0.15 ? [[...place, field]] : [[...place, field], value[pick(value.length)] as Json];
    }),
  );
}

/** A model that remembers; `fire` plays its host. */
export class FakeModel implements Model {
  readonly values = new Map<string, unknown>();
  readonly sent: Record<string, unknown>[] = [];
  saved = 0;
  readonly #listeners = new Map<string, ((...given: unknown[]) => void)[]>();

  get(key: string): unknown {
    return this.values.get(key);
  }

  set(key: string, value: unknown): void {
    this.values.set(key, value);
    this.fire(`change:${key}`);
  }

  save_changes(): void {
    this.saved += 1;
  }

  on(event: string, callback: (...given: unknown[]) => void): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), callback]);
  }

  off(event: string, callback?: (...given: unknown[]) => void): void {
    this.#listeners.set(
      event,
      (this.#listeners.get(event) ?? []).filter(one => one !== callback),
    );
  }

  send(content: unknown): void {
    this.sent.push(content as Record<string, unknown>);
  }

  fire(event: string, ...given: unknown[]): void {
    (this.#listeners.get(event) ?? []).forEach(listener => listener(...given));
  }

  /** How many listeners are left. */
  get listening(): number {
    return [...this.#listeners.values()].reduce((sum, one) => sum + one.length, 0);
  }
}
