/** The axis with a mark for every event: the slider that the cursor moves on. */

import { CORRECTION, type Events, FAILURE, SIGNIFICANT } from './decode.ts';
import { duration } from './format.ts';
import type { Palette } from './paint.ts';
import type { Scale } from './scale.ts';

export const TRACK_HEIGHT = 50;
const LABELS = 15;
const BASE = TRACK_HEIGHT - 8;

type Context = CanvasRenderingContext2D;

/** Draws the labels and the marks: tall ones are significant, a triangle is a failure, a diamond a correction. */
export function drawTrack(context: Context, width: number, palette: Palette, events: Events, scale: Scale): void {
  context.fillStyle = palette.line;
  context.fillRect(0, BASE, width, 1);
  drawLabels(context, width, palette, scale);
  const tall = new Map<number, number>();
  const [low, high] = visible(events, scale);
  for (let index = low; index < high; index++) {
    const x = Math.round(scale.xOfPosition(index + 1));
    // Many events may share a pixel: the weightiest of them is seen.
    tall.set(x, (tall.get(x) ?? 0) | (events.flags[index] as number) | 0x100);
  }
  // Where marks stand shoulder to shoulder only failures and corrections stand out.
  const crowded = tall.size > width / 3;
  for (const [x, flags] of tall) {
    drawMark(context, x, flags, palette, crowded);
  }
}

function visible(events: Events, scale: Scale): readonly [number, number] {
  if (scale.mode === 'events') {
    const [from, to] = scale.view;
    return [Math.max(0, Math.floor(from) - 2), Math.min(events.length, Math.ceil(to) + 1)];
  }
  const [from, to] = scale.view;
  return [Math.max(0, events.positionAt(from) - 1), Math.min(events.length, events.positionAt(to) + 1)];
}

function drawLabels(context: Context, width: number, palette: Palette, scale: Scale): void {
  context.font = `11px ${palette.font}`;
  context.textBaseline = 'top';
  for (const value of scale.ticks(90)) {
    const x = Math.round(scale.x(value));
    const text = scale.mode === 'time' ? (value === 0 ? '0' : duration(value)) : String(value);
    context.fillStyle = palette.line;
    context.fillRect(x, LABELS, 1, BASE - LABELS);
    context.fillStyle = palette.faint;
    const size = context.measureText(text).width;
    context.fillText(text, Math.max(0, Math.min(width - size, x - size / 2)), 1);
  }
}

function drawMark(context: Context, x: number, flags: number, palette: Palette, crowded: boolean): void {
  const size = flags & SIGNIFICANT ? 16 : 8;
  const strong = (flags & SIGNIFICANT) !== 0 && !crowded;
  context.fillStyle = flags & FAILURE ? palette.error : strong ? palette.text : palette.faint;
  context.fillRect(x - (strong ? 1 : 0), BASE - size, strong ? 2 : 1, size);
  if (flags & FAILURE) {
    polygon(context, [
      [x - 4, BASE - size - 1],
      [x + 4, BASE - size - 1],
      [x, BASE - size + 6],
    ]);
  } else if (flags & CORRECTION) {
    context.fillStyle = palette.pin;
    polygon(context, [
      [x, BASE - size - 5],
      [x + 4, BASE - size],
      [x, BASE - size + 5],
      [x - 4, BASE - size],
    ]);
  }
}

function polygon(context: Context, points: [number, number][]): void {
  context.beginPath();
  points.forEach(([x, y]) => context.lineTo(x, y));
  context.closePath();
  context.fill();
}

/** Draws the pins and the cursor; `knob` is for the track, the lanes have only the lines. */
export function drawCursor(
  context: Context,
  height: number,
  palette: Palette,
  cursor: number,
  pins: readonly (number | undefined)[],
  knob: boolean,
): void {
  pins.forEach((x, index) => x === undefined || drawPin(context, height, palette, x, index === 0 ? 'A' : 'B', knob));
  context.fillStyle = palette.cursor;
  context.fillRect(Math.round(cursor) - 1, knob ? LABELS : 0, 2, height);
  if (knob) {
    context.beginPath();
    context.arc(Math.round(cursor), BASE, 6, 0, 2 * Math.PI);
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = palette.back;
    context.stroke();
  }
}

function drawPin(context: Context, height: number, palette: Palette, at: number, name: string, flag: boolean): void {
  const x = Math.round(at);
  context.strokeStyle = context.fillStyle = palette.pin;
  context.lineWidth = 1;
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(x + 0.5, 0);
  context.lineTo(x + 0.5, height);
  context.stroke();
  context.setLineDash([]);
  if (flag) {
    // A's flag points left and B's right: both can be read at one place.
    context.fillRect(name === 'A' ? x - 13 : x + 1, 0, 13, 14);
    context.fillStyle = palette.back;
    context.font = `bold 11px ${palette.font}`;
    context.textBaseline = 'top';
    context.fillText(name, name === 'A' ? x - 10 : x + 4, 2);
  }
}
