/** The spans and events of each lane, and where a span begins and ends on the axis. */

import type { Events, Spans } from './decode.ts';
import { upperBound } from './decode.ts';
import type { Scale } from './scale.ts';

export const EXECUTING = 0;
export const QUEUED = 1;
export const RETRY = 2;
export const SLEEPING = 3;
export const WAITING = 4;
export const PAUSED = 5;
export const FAILED = 6;

/** What is drawn of a span: from one value of the scale to another. */
export interface Drawn {
  from: number;
  to: number;
  kind: number;
}

/** Indices of spans and events by lane, kept up to date as the history grows. */
export class LaneIndex {
  #spans: number[][] = [];
  #events: number[][] = [];
  #first: number[] = [];

  /** Takes in the history from event `first` and span `spansFirst` on. */
  extend(events: Events, spans: Spans, first: number, spansFirst: number, lanes: number): void {
    cut(this.#spans, spansFirst);
    cut(this.#events, first);
    while (this.#spans.length < lanes) {
      this.#spans.push([]);
      this.#events.push([]);
    }
    for (let index = spansFirst; index < spans.length; index++) {
      this.#spans[spans.lane[index] as number]?.push(index);
    }
    for (let index = first; index < events.length; index++) {
      this.#events[events.lane[index] as number]?.push(index);
    }
    this.#first = this.#events.map(own => (own[0] ?? events.length) + 1);
  }

  /** Returns the position from which on a lane is no ghost. */
  appears(lane: number): number {
    return this.#first[lane] ?? Infinity;
  }

  /** Returns the last event of a lane at or before a position, as a position, or 0. */
  latest(lane: number, position: number): number {
    const own = this.#events[lane] ?? [];
    return (own[upperBound(own, own.length, position - 1) - 1] ?? -1) + 1;
  }

  /** Returns the spans of a lane as they stand on the axis, in order. */
  drawn(lane: number, events: Events, spans: Spans, scale: Scale): Drawn[] {
    const own = this.#spans[lane] ?? [];
    return own.map(index => {
      const [start, end] = [spans.start[index] as number, spans.end[index] as number];
      const kind = spans.kind[index] as number;
      if (scale.mode === 'time') {
        return { from: start, to: Number.isNaN(end) ? this.#end(events) : end, kind };
      }
      const from = this.#positionOf(lane, start, events, scale);
      const to = Number.isNaN(end) ? events.length : this.#positionOf(lane, end, events, scale);
      return { from, to: Math.max(to, from + 0.2), kind };
    });
  }

  // On the scale of events a span goes from the event that told of its start to the one that told of
  // its end: a worker's own times may lie before the report that brought them.
  #positionOf(lane: number, ms: number, events: Events, scale: Scale): number {
    const position = events.positionAt(ms);
    if (events.ms[position - 1] === ms) {
      return position;
    }
    const own = this.#events[lane] ?? [];
    let [low, high] = [0, own.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((events.ms[own[middle] as number] as number) < ms) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < own.length ? (own[low] as number) + 1 : scale.valueOfTime(ms);
  }

  #end(events: Events): number {
    return events.ms[events.length - 1] ?? 0;
  }
}

function cut(lists: number[][], first: number): void {
  for (const list of lists) {
    while (list.length > 0 && (list[list.length - 1] as number) >= first) {
      list.pop();
    }
  }
}
