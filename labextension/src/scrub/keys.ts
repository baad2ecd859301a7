/** Keys to commands, and who may have a key: the view's own handlers come before the notebook's. */

export type Command =
  | 'next'
  | 'previous'
  | 'nextSignificant'
  | 'previousSignificant'
  | 'forward'
  | 'back'
  | 'first'
  | 'last'
  | 'play'
  | 'pinA'
  | 'pinB'
  | 'difference'
  | 'nextChange'
  | 'previousChange'
  | 'live'
  | 'insert'
  | 'help'
  | 'zoomIn'
  | 'zoomOut'
  | 'fit'
  | 'scale';

const PLAIN = new Map<string, Command>([
  ['ArrowRight', 'next'],
  ['ArrowUp', 'next'],
  ['ArrowLeft', 'previous'],
  ['ArrowDown', 'previous'],
  ['PageUp', 'forward'],
  ['PageDown', 'back'],
  ['Home', 'first'],
  ['End', 'last'],
  [' ', 'play'],
  ['[', 'pinA'],
  [']', 'pinB'],
  ['d', 'difference'],
  ['n', 'nextChange'],
  ['p', 'previousChange'],
  ['l', 'live'],
  ['i', 'insert'],
  ['?', 'help'],
  ['+', 'zoomIn'],
  ['=', 'zoomIn'],
  ['-', 'zoomOut'],
  ['0', 'fit'],
  ['e', 'scale'],
]);
const SHIFTED = new Map<string, Command>([
  ['ArrowRight', 'nextSignificant'],
  ['ArrowUp', 'nextSignificant'],
  ['ArrowLeft', 'previousSignificant'],
  ['ArrowDown', 'previousSignificant'],
]);

/** For the help: what a person presses, and what it does. */
export const HELP: readonly [string, string][] = [
  ['← →', 'one event back, forward'],
  ['Shift ← →', 'to the last, next significant event'],
  ['Page up, Page down', 'a tenth of the run forward, back'],
  ['Home, End', 'before the first event, after the last'],
  ['Space', 'play, pause'],
  ['[ and ]', 'set pin A, pin B here; again: take it away'],
  ['d', 'the difference between the pins'],
  ['n and p', 'next, previous change of the selected path'],
  ['l', 'follow a running run, or stop following'],
  ['i', 'insert a cell with the Python for what is shown'],
  ['e', 'scale by time, or event by event'],
  ['+ - 0', 'zoom in, out, show all (also Ctrl and wheel)'],
  ['Tab', 'to the lanes and the state; arrows move inside them, Enter opens'],
];

/** The parts of a KeyboardEvent that decide. */
export interface Pressed {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
}

/**
 * Returns the command of a key, or undefined. `place` is where the focus is: a list or tree keeps its
 * arrows and Home, End; a button or a select keeps space and Enter, the select its letters too.
 */
export function commandOf(
  pressed: Pressed,
  place: 'track' | 'list' | 'button' | 'field' | 'other',
): Command | undefined {
  if (pressed.ctrlKey || pressed.metaKey || pressed.altKey || place === 'field') {
    return undefined;
  }
  const { key } = pressed;
  if (place === 'list' && /^(Arrow|Home|End|Page|Enter)/.test(key)) {
    return undefined;
  }
  if (place === 'button' && key === ' ') {
    return undefined;
  }
  if (pressed.shiftKey && SHIFTED.has(key)) {
    return SHIFTED.get(key);
  }
  return PLAIN.get(key.length === 1 ? key.toLowerCase() : key);
}
