/** What a cell's log says: read from a bundle that may be anything, cut, and compared with what is shown. */

export const LOG_TYPE = 'application/vnd.ironflow-lab.log+json';

const MOST_RUNS = 50;
const MOST_LINES = 500;
const LONGEST_TEXT = 65_536;
const LONGEST_NAME = 200;
const LAST_LINE = 160;

export interface Line {
  at: number;
  step: string;
  attempt: number;
  stream: string;
  level: string;
  text: string;
}

export interface RunLog {
  id: string;
  attempt: number;
  state: string;
  dropped: number;
  lines: Line[];
}

export interface Log {
  function: string;
  runs: RunLog[];
  hidden: number;
}

export type Weight = 'plain' | 'note' | 'warning' | 'error';

/** Returns the log of a bundle; what is not as it should be is empty, what is too much is left out. */
export function readLog(data: unknown): Log {
  const given = fieldsOf(data);
  const runs = listOf(given['runs']);
  const kept = runs.slice(0, MOST_RUNS);
  return {
    function: nameOf(given['function']),
    runs: kept.map(readRun),
    hidden: numberOf(given['hidden_runs']) + runs.length - kept.length
  };
}

function readRun(data: unknown): RunLog {
  const given = fieldsOf(data);
  const lines = listOf(given['lines']);
  const kept = lines.slice(-MOST_LINES);
  return {
    id: nameOf(given['run_id']),
    attempt: numberOf(given['attempt']) || 1,
    state: nameOf(given['state']),
    dropped: numberOf(given['dropped']) + lines.length - kept.length,
    lines: kept.map(readLine)
  };
}

function readLine(data: unknown): Line {
  const given = fieldsOf(data);
  const text = typeof given['text'] === 'string' ? given['text'].slice(0, LONGEST_TEXT) : '';
  return {
    at: numberOf(given['at']),
    step: nameOf(given['step']),
    attempt: numberOf(given['attempt']) || 1,
    stream: nameOf(given['stream']),
    level: nameOf(given['level']),
    text: text.replace(/\r?\n$/, '')
  };
}

/** Returns how loud a line is, and the word that says so; a plain line has none. */
export function weightOf(line: Pick<Line, 'stream' | 'level'>): readonly [weight: Weight, word: string] {
  const level = line.level.toLowerCase();
  if (line.stream === 'error' || level === 'error' || level === 'critical') {
    return ['error', level === 'critical' ? 'critical' : 'error'];
  }
  if (line.stream === 'warning' || level === 'warning') {
    return ['warning', 'warning'];
  }
  if (line.stream === 'stderr') {
    return ['note', 'stderr'];
  }
  return line.stream === 'log' && level !== '' ? ['note', level] : ['plain', ''];
}

/** Returns the last line with something in it, on one line. */
export function lastLine(run: RunLog): string {
  const full = [...run.lines].reverse().find(line => line.text.trim() !== '');
  const text = full?.text.trim().split('\n').at(-1)?.trim() ?? '';
  return text.length > LAST_LINE ? `${text.slice(0, LAST_LINE)} …` : text;
}

/** Returns what a group is called: lines about the function itself belong to no run. */
export function titleOf(run: RunLog): string {
  return run.id || 'about the function';
}

/** Returns what is said of lines that are not shown, "" when all are. */
export function droppedNote(run: RunLog): string {
  if (run.dropped <= 0) {
    return '';
  }
  const [noun, verb] = run.dropped === 1 ? ['line', 'is'] : ['lines', 'are'];
  const count = `${run.dropped.toLocaleString('en-US')} earlier ${noun}`;
  return run.id ? `${count} ${verb} in lab.worker.logs(${quoted(run.id)})` : `${count} not shown`;
}

/** Returns the text that is copied: every shown line, with its step before it. */
export function textOf(run: RunLog): string {
  return run.lines.map(line => (line.step ? `[${line.step}] ${line.text}` : line.text)).join('\n');
}

/** Returns the time of day of a line in a zone's hours, to the millisecond. */
export function timeOf(at: number): string {
  if (!(at > 0 && at < 8.64e15)) {
    return '';
  }
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  const millis = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}

export interface Change {
  /** How many shown lines leave at the top. */
  drop: number;
  /** How many stay below those; what follows them is new. */
  keep: number;
}

/** Returns what of the shown lines stays when others come: most logs lose some at the top and gain some below. */
export function changeOf(shown: readonly string[], next: readonly string[]): Change {
  let best: Change = { drop: shown.length, keep: 0 };
  for (let drop = 0; drop < shown.length; drop++) {
    if (shown[drop] !== next[0]) {
      continue;
    }
    let keep = 0;
    while (drop + keep < shown.length && keep < next.length && shown[drop + keep] === next[keep]) {
      keep++;
    }
    if (keep > best.keep) {
      best = { drop, keep };
    }
    if (drop + keep === shown.length) {
      break;
    }
  }
  return best;
}

/** Returns what tells a line from its neighbours. */
export function keyOf(line: Line): string {
  return JSON.stringify([line.at, line.step, line.attempt, line.stream, line.level, line.text]);
}

function quoted(id: string): string {
  return `'${id.replace(/['\\]/g, '')}'`;
}

export function fieldsOf(data: unknown): Record<string, unknown> {
  return typeof data === 'object' && data !== null && !Array.isArray(data) ? (data as Record<string, unknown>) : {};
}

export function listOf(data: unknown): unknown[] {
  return Array.isArray(data) ? data : [];
}

export function nameOf(data: unknown): string {
  return typeof data === 'string' ? data.slice(0, LONGEST_NAME) : '';
}

export function numberOf(data: unknown): number {
  return typeof data === 'number' && Number.isFinite(data) && data > 0 ? Math.floor(data) : 0;
}
