/** A sign and a tone for every status; the sign says it without the colour. */

export type Tone = 'ok' | 'bad' | 'wait' | 'busy' | '';

const TONES = new Map<string, readonly [Tone, string]>([
  ['completed', ['ok', '✓']],
  ['failed', ['bad', '✕']],
  ['timed_out', ['bad', '✕']],
  ['dead', ['bad', '✕']],
  ['cancelled', ['bad', '⊘']],
  ['running', ['busy', '▸']],
  ['sleeping', ['wait', 'z']],
  ['waiting', ['wait', '…']],
  ['retrying', ['wait', '↻']],
  ['paused', ['wait', '‖']],
  ['waiting_for_capacity', ['wait', '…']],
  ['pending', ['', '·']],
]);

/** Returns the tone and the sign of a status; the empty one is of what has not happened yet. */
export function toneOf(status: string): readonly [Tone, string] {
  return TONES.get(status) ?? ['', status ? '•' : '·'];
}

/** Returns a status in plain words: "waiting for capacity". */
export function wordsOf(status: string): string {
  return status.replaceAll('_', ' ');
}
