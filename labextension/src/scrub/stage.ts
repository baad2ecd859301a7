/** The track and the lanes together: one axis, one cursor, drawn once and copied at every step. */

import { h, setAttribute, Undo } from './dom.ts';
import { duration } from './format.ts';
import type { History } from './history.ts';
import type { Json } from './json.ts';
import { Lanes, ROW } from './lanes.ts';
import { Layer } from './layer.ts';
import { Names } from './names.ts';
import { type Palette, paletteOf } from './paint.ts';
import { better, Scale } from './scale.ts';
import { drawCursor, drawTrack, TRACK_HEIGHT } from './track.ts';

const MOST_ROWS = 12;

export interface StageActions {
  go(position: number): void;
  lane(lane: number): void;
  zoomed(): void;
}

/** What a step shows. */
export interface Moment {
  position: number;
  document: Json;
  pins: readonly [number, number];
  text: string;
}

export class Stage {
  readonly element = h('div', { class: 'ifl-stage' });
  readonly track = h('div', {
    class: 'ifl-track',
    role: 'slider',
    tabindex: 0,
    'aria-label': 'Moment of the run',
    'aria-valuemin': 0,
  });
  readonly names: Names;
  readonly scale: Scale;
  palette: Palette;
  readonly #root: HTMLElement;
  readonly #history: History;
  readonly #lanes: Lanes;
  readonly #trackLayer: Layer;
  readonly #lanesLayer: Layer;
  readonly #scroller = h('div', { class: 'ifl-lanes' });
  readonly #window = h('div', { class: 'ifl-row ifl-window' });
  readonly #rest = h('div');
  readonly #plot = h('div', { class: 'ifl-plot' });
  readonly #tip = h('div', { class: 'ifl-tip', 'aria-hidden': 'true' });
  readonly #undo = new Undo();
  readonly #actions: StageActions;
  #moment: Moment | undefined;
  // Kept here, because reading them from the page makes it lay itself out.
  #top = 0;
  #height = 0;
  #frame: number | undefined;

  constructor(root: HTMLElement, history: History, actions: StageActions) {
    this.#root = root;
    this.#history = history;
    this.#actions = actions;
    this.palette = paletteOf(root);
    this.scale = new Scale(history.events);
    this.#lanes = new Lanes({
      events: history.events,
      spans: history.spans,
      index: history.index,
      scale: this.scale,
      count: () => history.lanes.length,
    });
    this.#trackLayer = new Layer((context, width, _height, palette) =>
      drawTrack(context, width, palette, history.events, this.scale),
    );
    this.#lanesLayer = new Layer((context, width, height, palette) =>
      this.#lanes.draw(context, width, height, palette, this.#top),
    );
    this.names = new Names({
      lanes: () => history.lanes.length,
      name: lane => history.laneName(lane),
      status: lane => (this.#moment === undefined ? '' : history.status(this.#moment.document, lane)),
      ghost: lane => this.#moment === undefined || history.ghost(this.#moment, lane),
    });
    this.#build();
    this.#listen();
  }

  /** Chooses the scale in which more can be told apart; for the first showing. */
  choose(): void {
    this.scale.choose(better(this.#history.events, Math.max(300, this.scale.width)));
  }

  /** Shows a moment: copies the pictures, moves the cursor. */
  show(moment: Moment): void {
    this.#moment = moment;
    if (this.scale.reveal(moment.position)) {
      this.#spoil();
    }
    this.reveal(Math.max(0, this.#history.laneAt(moment.position)));
    setAttribute(this.track, 'aria-valuenow', moment.position);
    setAttribute(this.track, 'aria-valuetext', moment.text);
    this.#paint();
  }

  /** Takes in that the history has grown. */
  grow(): void {
    this.scale.grow();
    this.#lanes.forget();
    this.#size();
  }

  /** Reads the theme's colours again. */
  recolour(): void {
    this.palette = paletteOf(this.#root);
    this.#spoil();
    this.#paint();
  }

  /** Changes the scale or the zoom and draws anew. */
  change(how: (scale: Scale, centre: number) => void): void {
    const cursor = this.scale.xOfPosition(this.#moment?.position ?? 0);
    how(this.scale, cursor < 0 || cursor > this.scale.width ? this.scale.width / 2 : cursor);
    this.#spoil();
    this.#paint();
    this.#actions.zoomed();
  }

  /** Scrolls a lane into view. */
  reveal(lane: number): void {
    if (lane * ROW < this.#top || (lane + 1) * ROW > this.#top + this.#height) {
      const most = Math.max(0, this.#history.lanes.length * ROW - this.#height);
      this.#top = Math.max(0, Math.min(most, Math.round((lane - 2) * ROW)));
      this.#lanesLayer.spoil();
      // Writing it makes the page lay itself out, so that is left to the next frame.
      this.#frame ??= requestAnimationFrame(() => {
        this.#frame = undefined;
        this.#scroller.scrollTop = this.#top;
      });
    }
  }

  /** Brings a lane into view that the person chose; the cursor stays. */
  look(lane: number): void {
    this.reveal(lane);
    this.#paint();
  }

  dispose(): void {
    if (this.#frame !== undefined) {
      cancelAnimationFrame(this.#frame);
    }
    this.#undo.run();
  }

  #build(): void {
    this.track.append(this.#trackLayer.canvas);
    this.#plot.append(this.#lanesLayer.canvas);
    this.#window.append(this.names.element, this.#plot);
    this.#scroller.append(this.#window, this.#rest);
    this.#tip.hidden = true;
    const corner = h('div', { class: 'ifl-corner' }, 'Step');
    this.element.append(h('div', { class: 'ifl-row' }, corner, this.track), this.#scroller, this.#tip);
  }

  #listen(): void {
    const observer = new ResizeObserver(() => this.#size());
    observer.observe(this.track);
    this.#undo.add(() => observer.disconnect());
    this.#undo.listen(this.#scroller, 'scroll', () => this.#scrolled());
    for (const area of [this.track, this.#plot]) {
      this.#undo.listen<PointerEvent>(area, 'pointerdown', event => this.#pressed(area, event));
      this.#undo.listen<PointerEvent>(area, 'pointermove', event => this.#moved(area, event));
      this.#undo.listen(area, 'pointerleave', () => {
        this.#tip.hidden = true;
      });
      this.#undo.listen<WheelEvent>(area, 'wheel', event => this.#wheeled(area, event), { passive: false });
    }
    this.#undo.listen<MouseEvent>(this.names.element, 'click', event => {
      const lane = this.names.laneOf(event.target);
      if (lane >= 0) {
        this.#actions.lane(lane);
      }
    });
  }

  #scrolled(): void {
    const top = this.#scroller.scrollTop;
    // The page rounds what it was told; that is no scrolling by hand.
    if (this.#frame === undefined && Math.abs(top - this.#top) >= 1) {
      this.#top = top;
      this.#lanesLayer.spoil();
      this.#paint();
    }
  }

  #pressed(area: HTMLElement, event: PointerEvent): void {
    if (event.button === 0) {
      area.setPointerCapture(event.pointerId);
      this.track.focus({ preventScroll: true });
      event.preventDefault();
      this.#actions.go(this.scale.positionAt(this.#x(area, event)));
    }
  }

  #moved(area: HTMLElement, event: PointerEvent): void {
    const position = this.scale.positionAt(this.#x(area, event));
    if (area.hasPointerCapture(event.pointerId)) {
      this.#actions.go(position);
    }
    this.#hint(event, position);
  }

  #hint(event: PointerEvent, position: number): void {
    const box = this.#root.getBoundingClientRect();
    const after = duration(this.#history.ms(position));
    this.#tip.textContent = `${position}: ${this.#history.summary(position)} · +${after}`;
    this.#tip.hidden = false;
    const left = Math.max(4, Math.min(event.clientX - box.left + 12, box.width - this.#tip.offsetWidth - 8));
    this.#tip.style.left = `${left}px`;
    this.#tip.style.top = `${event.clientY - box.top + 18}px`;
  }

  #wheeled(area: HTMLElement, event: WheelEvent): void {
    const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      this.change(scale =>
        scale.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 200), this.#x(area, event)),
      );
    } else if (sideways !== 0) {
      this.change(scale => scale.pan(sideways));
    } else {
      return;
    }
    event.preventDefault();
  }

  #x(area: HTMLElement, event: MouseEvent): number {
    return event.clientX - area.getBoundingClientRect().left;
  }

  #size(): void {
    const width = Math.floor(this.track.clientWidth);
    const rows = this.#history.lanes.length;
    const height = Math.min(rows, MOST_ROWS) * ROW;
    this.#height = height;
    this.#scroller.style.maxHeight = `${height}px`;
    this.#window.style.height = `${height}px`;
    this.#rest.style.height = `${rows * ROW - height}px`;
    this.scale.width = Math.max(50, width);
    this.#trackLayer.resize(width, TRACK_HEIGHT);
    this.#lanesLayer.resize(Math.floor(this.#plot.clientWidth), height);
    setAttribute(this.track, 'aria-valuemax', this.#history.length);
    this.#spoil();
    this.#paint();
  }

  #spoil(): void {
    this.#trackLayer.spoil();
    this.#lanesLayer.spoil();
  }

  #paint(): void {
    const moment = this.#moment;
    if (moment === undefined) {
      return;
    }
    const cursor = this.scale.xOfPosition(moment.position);
    const pins = moment.pins.map(pin => (pin < 0 ? undefined : this.scale.xOfPosition(pin)));
    this.#trackLayer.show(cursor, this.palette, (context, _width, height, palette) =>
      drawCursor(context, height, palette, cursor, pins, true),
    );
    this.#lanesLayer.show(cursor, this.palette, (context, _width, height, palette) =>
      drawCursor(context, height, palette, cursor, pins, false),
    );
    this.names.show(this.#top, this.#height, this.#history.laneAt(moment.position));
  }
}
