/** All that the view knows of a run: columns, tables and documents, grown chunk by chunk. */

import { CORRECTION, Events, SIGNIFICANT, Spans } from './decode.ts';
import { type Json, member, valueAt } from './json.ts';
import type { Chunk, EventType, Lane, Meta } from './model.ts';
import { LaneIndex } from './spans.ts';
import { operationsOf, Timeline } from './state.ts';

const OPERATORS = new Set(['run.resumed', 'run.redacted', 'step.discarded', 'step.redacted']);

export class History {
  meta: Meta;
  types: EventType[] = [];
  lanes: Lane[] = [];
  readonly events = new Events();
  readonly spans = new Spans();
  readonly timeline = new Timeline();
  readonly index = new LaneIndex();
  #names: string[] = [];

  constructor(chunk: Chunk) {
    this.meta = chunk.meta;
    this.extend(chunk);
  }

  /** How many events it knows: the last position. */
  get length(): number {
    return this.events.length;
  }

  /** Takes a chunk in; returns false for one that does not follow on what is known. */
  extend(chunk: Chunk): boolean {
    if (chunk.first > this.length || chunk.spans_first > this.spans.length) {
      return false;
    }
    this.meta = chunk.meta;
    this.types = chunk.types;
    this.lanes = chunk.lanes;
    this.#names = told(chunk.lanes);
    this.events.extend(chunk.first, chunk.events);
    this.spans.extend(chunk.spans_first, chunk.spans);
    this.timeline.extend(chunk.first, operationsOf(chunk.patches));
    this.index.extend(this.events, this.spans, chunk.first, chunk.spans_first, this.lanes.length);
    return true;
  }

  /** Returns the name of a lane; of two steps with one name the second is `charge (2)`. */
  laneName(lane: number): string {
    return this.#names[lane] ?? `lane ${lane}`;
  }

  /** Returns the lane of the event that leads to a position, or -1 before the first. */
  laneAt(position: number): number {
    return position < 1 ? -1 : (this.events.lane[position - 1] as number);
  }

  /** Returns what happened: "Step charge failed". */
  summary(position: number): string {
    if (position < 1) {
      return this.length === 0 ? 'Nothing is recorded' : 'Before the run was created';
    }
    const type = this.types[this.events.type[position - 1] as number];
    return (type?.text ?? 'Something happened').replace('{}', () => this.laneName(this.laneAt(position)));
  }

  /** Returns who made the event happen, as far as the document tells. */
  actor(position: number): string {
    const type = this.types[this.events.type[position - 1] as number]?.type ?? '';
    if ((this.events.flags[position - 1] as number) & CORRECTION) {
      const step = ['steps', this.laneAt(position) - 1, 'by'];
      return String(valueAt(this.timeline.at(position), step) ?? 'operator');
    }
    if (OPERATORS.has(type)) {
      return 'operator';
    }
    return type.startsWith('step.') || type.startsWith('saga.') ? 'worker' : '';
  }

  /** Returns the nearest significant position in a direction, or the end of the run on that side. */
  significant(from: number, step: 1 | -1): number {
    let position = from + step;
    while (position > 0 && position < this.length && !((this.events.flags[position - 1] as number) & SIGNIFICANT)) {
      position += step;
    }
    return Math.max(0, Math.min(this.length, position));
  }

  /** Returns milliseconds since the first event. */
  ms(position: number): number {
    return position < 1 ? 0 : (this.events.ms[position - 1] as number);
  }

  /** Returns whether a lane has not begun at a position, or what it did is discarded; `document` is the state. */
  ghost({ position, document }: { position: number; document: Json }, lane: number): boolean {
    return this.index.appears(lane) > position || (lane > 0 && this.status(document, lane) === 'pending');
  }

  /** Returns the status of a lane in a document; empty for a ghost. */
  status(document: Json, lane: number): string {
    const holder = lane === 0 ? member(document, 'run') : valueAt(document, ['steps', lane - 1]);
    return String(member(holder, 'status') ?? '');
  }
}

function told(lanes: Lane[]): string[] {
  const seen = new Map<string, number>();
  return lanes.map(({ name }, lane) => {
    const count = lane === 0 ? 0 : (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count > 1 ? `${name} (${count})` : name;
  });
}
