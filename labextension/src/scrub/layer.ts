/** A canvas whose picture is drawn once; a step only copies it, dimmed after the cursor. */

import { h } from './dom.ts';
import type { Palette } from './paint.ts';

const FUTURE = 0.32;

export type Draw = (context: CanvasRenderingContext2D, width: number, height: number, palette: Palette) => void;

export class Layer {
  readonly canvas = h('canvas', { class: 'ifl-canvas', 'aria-hidden': 'true' });
  readonly #picture = document.createElement('canvas');
  #width = 0;
  #height = 0;
  #stale = true;
  readonly #draw: Draw;

  constructor(draw: Draw) {
    this.#draw = draw;
  }

  /** Takes a size in CSS pixels; returns whether it is a new one. */
  resize(width: number, height: number): boolean {
    const ratio = window.devicePixelRatio || 1;
    if (width === this.#width && height === this.#height && this.canvas.width === Math.round(width * ratio)) {
      return false;
    }
    this.#width = width;
    this.#height = height;
    for (const canvas of [this.canvas, this.#picture]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.#stale = true;
    return true;
  }

  /** Draws the picture anew at the next `show`. */
  spoil(): void {
    this.#stale = true;
  }

  /** Shows the picture, dimmed right of `cursor`, and lets `over` draw on top. */
  show(cursor: number, palette: Palette, over: Draw): void {
    const context = this.canvas.getContext('2d');
    if (context === null || this.#width === 0 || this.#height === 0) {
      return;
    }
    this.#refresh(palette);
    const ratio = this.canvas.width / this.#width;
    const split = Math.max(0, Math.min(this.canvas.width, Math.round(cursor * ratio)));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    copy(context, this.#picture, 0, split, 1);
    copy(context, this.#picture, split, this.canvas.width - split, FUTURE);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    over(context, this.#width, this.#height, palette);
  }

  #refresh(palette: Palette): void {
    const context = this.#stale ? this.#picture.getContext('2d') : null;
    if (context !== null) {
      const ratio = this.canvas.width / this.#width;
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, this.#picture.width, this.#picture.height);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.#draw(context, this.#width, this.#height, palette);
      this.#stale = false;
    }
  }
}

function copy(
  context: CanvasRenderingContext2D,
  from: HTMLCanvasElement,
  x: number,
  width: number,
  alpha: number,
): void {
  if (width > 0) {
    context.globalAlpha = alpha;
    context.drawImage(from, x, 0, width, from.height, x, 0, width, from.height);
    context.globalAlpha = 1;
  }
}
