/** What the panel says: pure texts of statuses, ages and servers. */

export interface Status {
  found: boolean;
  url: string;
  version: string;
  environment: string;
  instance: string;
  local: boolean;
  startable: boolean;
  message: string;
}

export interface RunLine {
  id: string;
  function_id: string;
  event_name: string;
  status: string;
  attempt: number;
  created_at: string;
  started_at: string;
  ended_at: string;
  error: string;
}

export type Tone = 'ok' | 'bad' | 'busy' | 'wait' | 'still';

const KNOWN = new Map<string, readonly [mark: string, word: string, tone: Tone]>([
  ['completed', ['✓', 'completed', 'ok']],
  ['failed', ['✗', 'failed', 'bad']],
  ['cancelled', ['⊘', 'cancelled', 'still']],
  ['running', ['▸', 'running', 'busy']],
  ['waiting', ['…', 'waiting', 'wait']],
  ['waiting_for_capacity', ['…', 'queued', 'wait']],
  ['pending', ['…', 'pending', 'wait']],
  ['paused', ['‖', 'paused', 'wait']],
  ['executing', ['▸', 'executing', 'busy']],
  ['given up', ['⊘', 'given up', 'still']],
  ['note', ['!', 'note', 'wait']]
]);

/** Statuses a person may ask for, in the order of the menu. */
export const STATUSES = ['running', 'waiting', 'waiting_for_capacity', 'paused', 'completed', 'failed', 'cancelled'];

/** Returns mark, word and tone of a status; an unknown one is its own word. */
export function markOf(status: string): readonly [mark: string, word: string, tone: Tone] {
  return KNOWN.get(status) ?? ['•', status || 'unknown', 'still'];
}

/** Returns how long ago an instant was, in words short enough for a list. */
export function age(instant: string, now: number): string {
  const seconds = Math.floor((now - Date.parse(instant)) / 1000);
  if (!Number.isFinite(seconds)) {
    return '';
  }
  const steps: readonly [unit: string, size: number][] = [['d', 86_400], ['h', 3_600], ['min', 60], ['s', 1]];
  const [unit, size] = steps.find(([, least]) => seconds >= least) ?? ['s', 1];
  return seconds < 1 ? 'now' : `${Math.floor(seconds / size)} ${unit} ago`;
}

/** Returns the line below the name of a server that answers. */
export function serverLine(status: Status): string {
  const parts = [status.url, status.version && `version ${status.version}`, status.environment];
  return parts.filter(Boolean).join(' · ');
}

/** Returns whether a run is meant by what somebody typed: every word, anywhere. */
export function matches(run: RunLine, typed: string): boolean {
  const text = [run.id, run.function_id, run.event_name, markOf(run.status)[1], run.error].join(' ').toLowerCase();
  return typed.toLowerCase().split(/\s+/).every(word => text.includes(word));
}
