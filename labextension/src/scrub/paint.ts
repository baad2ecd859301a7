/** How each kind of time is drawn: by shape and pattern, with colour only as the second sign. */

import { EXECUTING, FAILED, PAUSED, QUEUED, RETRY, SLEEPING, WAITING } from './spans.ts';

/** The kinds in the order of the legend. */
export const KINDS: readonly (readonly [number, string, string])[] = [
  [EXECUTING, 'exec', 'executing'],
  [FAILED, 'failed', 'executing, failed'],
  [QUEUED, 'queue', 'in the queue'],
  [RETRY, 'retry', 'waiting for a retry'],
  [SLEEPING, 'sleep', 'sleeping'],
  [WAITING, 'wait', 'waiting for an event or run'],
  [PAUSED, 'paused', 'paused'],
];

export interface Palette {
  kinds: readonly string[];
  back: string;
  text: string;
  faint: string;
  line: string;
  cursor: string;
  pin: string;
  error: string;
  font: string;
}

/** Reads the colours that the style sheet and the page's theme give the view now. */
export function paletteOf(root: Element): Palette {
  const style = getComputedStyle(root);
  const read = (name: string): string => style.getPropertyValue(`--ifl-${name}`).trim() || '#888888';
  const kinds: string[] = [];
  for (const [kind, name] of KINDS) {
    kinds[kind] = read(name);
  }
  return {
    kinds,
    back: read('back'),
    text: read('text'),
    faint: read('faint'),
    line: read('line'),
    cursor: read('cursor'),
    pin: read('pin'),
    error: read('failed'),
    font: style.fontFamily || 'sans-serif',
  };
}

type Context = CanvasRenderingContext2D;
type Painter = (context: Context, x: number, y: number, width: number, height: number, palette: Palette) => void;

/** Draws a stretch of one kind of time into a box. */
export function paintSpan(
  context: Context,
  kind: number,
  x: number,
  y: number,
  width: number,
  height: number,
  palette: Palette,
): void {
  context.save();
  context.fillStyle = context.strokeStyle = palette.kinds[kind] ?? palette.faint;
  context.lineWidth = 1;
  // What is too narrow for its pattern is a plain mark, thin for waiting and thick for working.
  if (width < 5) {
    const inset = kind === EXECUTING || kind === FAILED ? 0 : height / 3;
    context.fillRect(x, y + inset, Math.max(width, 1.5), height - 2 * inset);
  } else {
    (PAINTERS[kind] ?? outline)(context, x, y, width, height, palette);
  }
  context.restore();
}

function solid(context: Context, x: number, y: number, width: number, height: number): void {
  context.beginPath();
  context.roundRect(x, y, width, height, 2);
  context.fill();
}

function crossed(context: Context, x: number, y: number, width: number, height: number, palette: Palette): void {
  solid(context, x, y, width, height);
  context.strokeStyle = palette.back;
  context.lineWidth = 1.5;
  slanted(context, x, y, width, height, 7);
  if (width > 16) {
    const [right, middle, arm] = [x + width - 8, y + height / 2, 3.5];
    context.fillStyle = palette.back;
    context.fillRect(right - 6, y + 1, 12, height - 2);
    context.strokeStyle = palette.error;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(right - arm, middle - arm);
    context.lineTo(right + arm, middle + arm);
    context.moveTo(right + arm, middle - arm);
    context.lineTo(right - arm, middle + arm);
    context.stroke();
  }
}

function outline(context: Context, x: number, y: number, width: number, height: number): void {
  context.setLineDash([2, 2]);
  context.strokeRect(x + 0.5, y + 2.5, width - 1, height - 5);
}

function hatched(context: Context, x: number, y: number, width: number, height: number): void {
  slanted(context, x, y + 2, width, height - 4, 5);
  context.setLineDash([4, 3]);
  context.strokeRect(x + 0.5, y + 2.5, width - 1, height - 5);
}

function dotted(context: Context, x: number, y: number, width: number, height: number): void {
  context.lineCap = 'round';
  context.lineWidth = 3.5;
  context.setLineDash([0, 7]);
  line(context, x + 2, y + height / 2, x + width - 2, y + height / 2);
}

function striped(context: Context, x: number, y: number, width: number, height: number): void {
  context.strokeRect(x + 0.5, y + 2.5, width - 1, height - 5);
  context.beginPath();
  for (let at = x + 5; at < x + width - 1; at += 5) {
    context.moveTo(Math.round(at) + 0.5, y + 3);
    context.lineTo(Math.round(at) + 0.5, y + height - 3);
  }
  context.stroke();
}

function doubled(context: Context, x: number, y: number, width: number, height: number): void {
  context.lineWidth = 2.5;
  line(context, x, y + height / 2 - 3, x + width, y + height / 2 - 3);
  line(context, x, y + height / 2 + 3, x + width, y + height / 2 + 3);
}

const PAINTERS: readonly Painter[] = [solid, outline, hatched, dotted, striped, doubled, crossed];

function slanted(context: Context, x: number, y: number, width: number, height: number, apart: number): void {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.beginPath();
  for (let at = x - height; at < x + width; at += apart) {
    context.moveTo(at, y + height);
    context.lineTo(at + height, y);
  }
  context.stroke();
  context.restore();
}

function line(context: Context, x1: number, y1: number, x2: number, y2: number): void {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
