/** The lanes in view, drawn as bars over the axis. */

import type { Events, Spans } from './decode.ts';
import { EXECUTING, FAILED, type Drawn, type LaneIndex } from './spans.ts';
import { type Palette, paintSpan } from './paint.ts';
import type { Scale } from './scale.ts';

export const ROW = 22;

export interface Drawing {
  events: Events;
  spans: Spans;
  index: LaneIndex;
  scale: Scale;
  count(): number;
}

/** Keeps what is drawn of each lane until the history or the scale changes. */
export class Lanes {
  #cache = new Map<number, Drawn[]>();
  #mode = '';
  readonly #drawing: Drawing;

  constructor(drawing: Drawing) {
    this.#drawing = drawing;
  }

  /** Forgets what was worked out: the history has grown. */
  forget(): void {
    this.#cache.clear();
  }

  /** Draws the lanes that stand in `height` pixels from `top` on. */
  draw(context: CanvasRenderingContext2D, width: number, height: number, palette: Palette, top: number): void {
    const lanes = this.#drawing.count();
    for (let lane = Math.floor(top / ROW); lane < lanes && lane * ROW < top + height; lane++) {
      const y = lane * ROW - top;
      context.fillStyle = palette.line;
      context.fillRect(0, y + ROW - 1, width, 1);
      this.#lane(context, lane, y, width, palette);
    }
  }

  #lane(context: CanvasRenderingContext2D, lane: number, y: number, width: number, palette: Palette): void {
    const { scale } = this.#drawing;
    let [last, lastKind] = [-Infinity, -1];
    for (const { from, to, kind } of this.#drawn(lane)) {
      const [left, right] = [Math.max(-20, scale.x(from)), Math.min(width + 20, scale.x(to))];
      // A pixel that shows this kind already is not drawn again: lanes may hold thousands of spans.
      if (right < 0 || left > width || (right <= last + 0.5 && kind === lastKind)) {
        continue;
      }
      const working = kind === EXECUTING || kind === FAILED;
      paintSpan(context, kind, left, y + 4, Math.max(right - left, working ? 2.5 : 1.5), ROW - 9, palette);
      [last, lastKind] = [right, kind];
    }
  }

  #drawn(lane: number): Drawn[] {
    const { index, events, spans, scale } = this.#drawing;
    if (this.#mode !== scale.mode) {
      this.#cache.clear();
      this.#mode = scale.mode;
    }
    let found = this.#cache.get(lane);
    if (found === undefined) {
      found = index.drawn(lane, events, spans, scale);
      this.#cache.set(lane, found);
    }
    return found;
  }
}
