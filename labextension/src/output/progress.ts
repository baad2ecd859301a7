/** How far an emission has come: read from a bundle that may be anything, and counted again from what the server says. */

import { markOf } from '../plugin/words.ts';
import { wordsOf } from '../scrub/tones.ts';
import { fieldsOf, listOf, nameOf, numberOf } from './log.ts';

export const PROGRESS_TYPE = 'application/vnd.ironflow-lab.progress+json';

const MOST_FOLLOWED = 200;
const MOST_ROWS = 20;
const LONGEST_NOTE = 300;
// A run that was deleted moves no more either.
const SETTLED = ['completed', 'failed', 'cancelled', 'paused', 'deleted'];
const ORDER = [...SETTLED, 'running', 'waiting', 'waiting_for_capacity'];

export interface Row {
  id: string;
  function: string;
  status: string;
  note: string;
}

export interface Progress {
  server: string;
  event: string;
  total: number;
  counts: Map<string, number>;
  settled: boolean;
  runs: string[];
  rows: Row[];
  note: string;
  at: number;
}

/** Returns the progress of a bundle; what is not as it should be is empty, what is too much is left out. */
export function readProgress(data: unknown): Progress {
  const given = fieldsOf(data);
  const counts = Object.entries(fieldsOf(given['counts'])).map(([status, count]) => [nameOf(status), numberOf(count)] as const);
  return {
    server: nameOf(given['server_url']),
    event: nameOf(given['event']),
    total: numberOf(given['total']),
    counts: new Map(counts.filter(([, count]) => count > 0).slice(0, MOST_ROWS)),
    settled: given['settled'] === true,
    runs: listOf(given['run_ids']).map(nameOf).filter(Boolean).slice(0, MOST_FOLLOWED),
    rows: listOf(given['rows']).slice(0, MOST_ROWS).map(readRow),
    note: noteOf(given['note']),
    at: numberOf(given['at'])
  };
}

function readRow(data: unknown): Row {
  const given = fieldsOf(data);
  return { id: nameOf(given['run_id']), function: nameOf(given['function_id']), status: nameOf(given['status']), note: noteOf(given['note']) };
}

function noteOf(data: unknown): string {
  return typeof data === 'string' ? data.slice(0, LONGEST_NOTE) : '';
}

/** Returns whether a run moves no more by itself. */
export function isSettled(status: string): boolean {
  return SETTLED.includes(status);
}

/** Returns the statuses in the order in which they are named, each with how many have it. */
export function ordered(counts: ReadonlyMap<string, number>): [status: string, count: number][] {
  const place = (status: string): number => (ORDER.includes(status) ? ORDER.indexOf(status) : ORDER.length);
  return [...counts].sort(([a], [b]) => place(a) - place(b) || a.localeCompare(b));
}

/** Returns how many have settled. */
export function done(progress: Progress): number {
  return [...progress.counts].reduce((sum, [status, count]) => sum + (isSettled(status) ? count : 0), 0);
}

/** Returns the counts in words: "7 of 10 runs: 5 completed, 2 failed". */
export function lineOf(progress: Progress): string {
  const { total, counts } = progress;
  const runs = `${total.toLocaleString('en-US')} ${total === 1 ? 'run' : 'runs'}`;
  const ended = done(progress);
  const head = ended < total && total > 1 ? `${ended.toLocaleString('en-US')} of ${runs}` : runs;
  const listed = ordered(counts).map(([status, count]) => {
    const word = status === 'unknown' ? 'not heard of' : wordsOf(markOf(status)[1]);
    return total === 1 ? word : `${count.toLocaleString('en-US')} ${word}`;
  });
  return listed.length === 0 ? head : `${head}: ${listed.join(', ')}`;
}

/** What the server said of the runs that a bundle names. */
export class Told {
  readonly #rows = new Map<string, Row>();

  /** Returns the runs to ask about, a request's worth at a time: what has settled is asked for no more. */
  wanted(progress: Progress, size: number): string[][] {
    const open = progress.runs.filter(id => !isSettled(this.#rows.get(id)?.status ?? ''));
    const parts: string[][] = [];
    for (let first = 0; first < open.length; first += size) {
      parts.push(open.slice(first, first + size));
    }
    return parts;
  }

  /** Takes an answer in. */
  take(rows: readonly Row[]): void {
    rows.forEach(row => this.#rows.set(row.id, row));
  }

  /** Returns the progress as the server tells it; as it was while a run that it names has not been told of. */
  count(progress: Progress, now: number): Progress {
    const told = progress.runs.map(id => this.#rows.get(id));
    if (told.length === 0 || told.some(row => row === undefined)) {
      return progress;
    }
    const rows = told as Row[];
    const all = progress.runs.length >= progress.total;
    // Of more runs than a bundle names it names those that had not settled.
    const counts = all ? new Map<string, number>() : new Map([...progress.counts].filter(([status]) => isSettled(status)));
    rows.forEach(row => counts.set(row.status, (counts.get(row.status) ?? 0) + 1));
    const known = [...counts.values()].reduce((sum, count) => sum + count, 0);
    if (progress.total > known) {
      counts.set('unknown', progress.total - known);
    }
    const shown = rows.filter(row => row.status !== 'completed');
    return {
      ...progress,
      counts,
      settled: progress.total <= known && rows.every(row => isSettled(row.status)),
      rows: (rows.length <= MOST_ROWS ? rows : shown).slice(0, MOST_ROWS),
      at: now
    };
  }
}
