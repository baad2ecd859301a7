/** The buttons above the lanes: each is a command that has a key too. */

import { h, setAttribute, setText } from './dom.ts';
import type { Command } from './keys.ts';
import { EACH, SPEEDS } from './player.ts';

export interface Shown {
  playing: boolean;
  speed: number;
  live: boolean;
  canFollow: boolean;
  difference: boolean;
  pins: readonly [number, number];
  mode: 'time' | 'events';
  fitted: boolean;
}

const PLAY = 'M3 1.5v11l9.5-5.5z';
const PAUSE = 'M2.5 1.5h3.2v11H2.5zM8.3 1.5h3.2v11H8.3z';
const MOVES: readonly (readonly [Command, string, string])[] = [
  ['first', 'M2 2h2v10H2zM12 2v10L5 7z', 'To the beginning (Home)'],
  ['previous', 'M9.5 2v10L3.5 7z', 'One event back (←)'],
  ['next', 'M4.5 2v10l6-5z', 'One event forward (→)'],
  ['last', 'M10 2h2v10h-2zM2 2v10l7-5z', 'To the end (End)'],
];

export class Toolbar {
  readonly element = h('div', { class: 'ifl-bar', role: 'group', 'aria-label': 'Controls' });
  readonly #buttons = new Map<Command, HTMLButtonElement>();
  readonly #icon = icon(PLAY);
  readonly #speed = h('select', { 'aria-label': 'Speed' });
  readonly #run: (command: Command) => void;

  constructor(run: (command: Command) => void, speed: (value: number) => void) {
    this.#run = run;
    const play = this.#button('play', '', 'Play or pause (space)', 'ifl-icon ifl-play');
    play.append(this.#icon);
    const [first, previous, next, last] = MOVES.map(([command, path, title]) => {
      const button = this.#button(command, '', title, 'ifl-icon');
      button.append(icon(path));
      return button;
    }) as [HTMLButtonElement, HTMLButtonElement, HTMLButtonElement, HTMLButtonElement];
    this.#speed.append(
      ...SPEEDS.map(one => h('option', { value: one }, one === EACH ? 'event by event' : `${one}×`)),
    );
    this.#speed.addEventListener('change', () => speed(Number(this.#speed.value)));
    this.#group(first, previous, play, next, last, this.#speed);
    this.#group(
      this.#button('pinA', 'A', 'Set or take away pin A here ([)'),
      this.#button('pinB', 'B', 'Set or take away pin B here (])'),
      this.#button('difference', 'Difference', 'What differs between the pins (d)'),
    );
    this.#group(
      this.#button('previousChange', '‹ change', 'Previous change of the selected path (p)'),
      this.#button('nextChange', 'change ›', 'Next change of the selected path (n)'),
    );
    this.#group(
      this.#button('scale', 'Time', 'Scale: by time or event by event (e)'),
      this.#button('zoomOut', '−', 'Zoom out (-)'),
      this.#button('zoomIn', '+', 'Zoom in (+)'),
      this.#button('fit', 'Fit', 'Show the whole run (0)'),
    );
    this.#group(
      this.#button('live', 'Live', 'Follow the run (l)', 'ifl-live'),
      this.#button('insert', 'Insert cell', 'The Python for this, in a cell (i)'),
      this.#button('help', '?', 'Keys (?)'),
    );
    this.#named();
  }

  /** Shows what is pressed, playing and possible. */
  show(shown: Shown): void {
    setAttribute(this.#icon.firstElementChild as Element, 'd', shown.playing ? PAUSE : PLAY);
    this.#label('play', shown.playing ? 'Pause' : 'Play');
    this.#pressed('live', shown.live);
    this.#pressed('difference', shown.difference);
    this.#pressed('pinA', shown.pins[0] >= 0);
    this.#pressed('pinB', shown.pins[1] >= 0);
    const live = this.#buttons.get('live') as HTMLButtonElement;
    live.disabled = !shown.canFollow;
    const scale = this.#buttons.get('scale') as HTMLButtonElement;
    setText(scale, shown.mode === 'time' ? 'By time' : 'By event');
    (this.#buttons.get('fit') as HTMLButtonElement).disabled = shown.fitted;
    const speed = String(SPEEDS.includes(shown.speed) ? shown.speed : 1);
    if (this.#speed.value !== speed) {
      this.#speed.value = speed;
    }
  }

  #group(...parts: HTMLElement[]): void {
    this.element.append(h('div', { class: 'ifl-group' }, ...parts));
  }

  #button(command: Command, text: string, title: string, extra = ''): HTMLButtonElement {
    const button = h('button', { type: 'button', title, class: extra || undefined, 'data-command': command }, text);
    button.addEventListener('click', () => this.#run(command));
    this.#buttons.set(command, button);
    return button;
  }

  // Signs are no names: a screen reader gets the words.
  #named(): void {
    const names: [Command, string][] = [
      ['first', 'To the beginning'],
      ['previous', 'One event back'],
      ['next', 'One event forward'],
      ['last', 'To the end'],
      ['pinA', 'Pin A'],
      ['pinB', 'Pin B'],
      ['previousChange', 'Previous change of the selected path'],
      ['nextChange', 'Next change of the selected path'],
      ['zoomIn', 'Zoom in'],
      ['zoomOut', 'Zoom out'],
      ['help', 'Keys'],
    ];
    names.forEach(([command, name]) => this.#label(command, name));
  }

  #label(command: Command, name: string): void {
    setAttribute(this.#buttons.get(command) as Element, 'aria-label', name);
  }

  #pressed(command: Command, pressed: boolean): void {
    setAttribute(this.#buttons.get(command) as Element, 'aria-pressed', pressed ? 'true' : 'false');
  }
}

function icon(path: string): SVGSVGElement {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  const shape = document.createElementNS(space, 'path');
  for (const [name, value] of [
    ['viewBox', '0 0 14 14'],
    ['width', '14'],
    ['height', '14'],
    ['aria-hidden', 'true'],
  ] as const) {
    svg.setAttribute(name, value);
  }
  shape.setAttribute('d', path);
  svg.append(shape);
  return svg;
}
