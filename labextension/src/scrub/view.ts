/** The view as a whole: one cursor on one history, shown by its parts, moved by keys, pointer, player and Python. */

import { Announcer, wantsCalm } from './a11y.ts';
import { Difference } from './difference.ts';
import { h, setAttribute, Undo } from './dom.ts';
import { CodeBox, helpPanel, Legend } from './extras.ts';
import { Head } from './head.ts';
import { History } from './history.ts';
import { codeOf, insertCell } from './insert.ts';
import { type Path, pathKey, pathOf } from './json.ts';
import { type Command, commandOf } from './keys.ts';
import { type Chunk, chunkOf, chunkOfMessage, type Model } from './model.ts';
import { Player } from './player.ts';
import { Stage } from './stage.ts';
import { StatePanel } from './statepanel.ts';
import { STYLE } from './style.ts';
import { Sync, type Synced } from './sync.ts';
import { Toolbar } from './toolbar.ts';
import { nextChange } from './trace.ts';

export class View {
  readonly root = h('div', { class: 'ifl-scrub', role: 'group', 'data-lm-suppress-shortcuts': 'true' });
  readonly #model: Model;
  readonly #history: History;
  readonly #undo = new Undo();
  readonly #sync: Sync;
  readonly #player: Player;
  readonly #announcer = new Announcer();
  readonly #stage: Stage;
  readonly #toolbar: Toolbar;
  readonly #state: StatePanel;
  readonly #difference: Difference;
  readonly #legend = new Legend();
  readonly #help = helpPanel();
  readonly #code: CodeBox;
  readonly #panels = h('div', { class: 'ifl-panels' });
  readonly #head = new Head();
  #position = 0;
  #pins: [number, number] = [-1, -1];
  #live = false;
  #said = '';

  constructor(model: Model) {
    this.#model = model;
    this.#history = new History(chunkOf(model));
    const go = (position: number): void => this.moveBy(position);
    this.#stage = new Stage(this.root, this.#history, {
      go,
      lane: lane => this.#chooseLane(lane),
      zoomed: () => this.#showTools(),
    });
    this.#toolbar = new Toolbar(
      command => this.run(command),
      speed => this.#setSpeed(speed),
    );
    this.#state = new StatePanel(this.#history, model, path => this.#tellPath(path));
    this.#difference = new Difference({ go, choose: path => this.#state.choose(path) });
    this.#code = new CodeBox(text => this.#announcer.say(text));
    this.#player = new Player(
      {
        events: this.#history.events,
        position: () => this.#position,
        go: position => this.#go(position),
        changed: () => this.#showTools(),
        calm: wantsCalm,
      },
      { request: callback => requestAnimationFrame(callback), cancel: handle => cancelAnimationFrame(handle) },
    );
    this.#sync = new Sync(model, {
      setting: (key, value) => this.#setting(key, value),
      data: () => this.#reload(),
      message: (content, buffers) => this.#message(content, buffers),
    });
    this.#build();
  }

  /** Puts the view on the page and reads the settings. */
  attach(el: HTMLElement): void {
    el.append(this.root);
    this.#stage.choose();
    this.#stage.grow();
    this.#player.speed = Number(this.#model.get('speed') ?? 1);
    this.#pins = pinsOf(this.#model.get('pins'));
    this.#live = this.#model.get('live') === true && !this.#history.meta.ended;
    this.#state.select(pathOf(String(this.#model.get('path') ?? '')) ?? []);
    const asked = Number(this.#model.get('t') ?? 0);
    this.#position = Math.max(0, Math.min(asked, this.#history.length));
    this.#stage.recolour();
    this.#showHead();
    this.#show();
  }

  dispose(): void {
    this.#player.pause();
    this.#sync.dispose();
    this.#state.dispose();
    this.#announcer.dispose();
    this.#stage.dispose();
    this.#undo.run();
    this.root.remove();
  }

  /** Moves the cursor as a person: leaves live mode and stops the player. */
  moveBy(position: number): void {
    this.#player.pause();
    if (this.#live && position < this.#history.length) {
      this.#setLive(false);
    }
    this.#go(position);
  }

  /** Does what a key or a button asks for. */
  run(command: Command): void {
    const { length } = this.#history;
    const page = Math.max(1, Math.round(length / 10));
    const moves: Partial<Record<Command, () => number>> = {
      next: () => this.#position + 1,
      previous: () => this.#position - 1,
      forward: () => this.#position + page,
      back: () => this.#position - page,
      first: () => 0,
      last: () => length,
      nextSignificant: () => this.#history.significant(this.#position, 1),
      previousSignificant: () => this.#history.significant(this.#position, -1),
    };
    const move = moves[command];
    if (move !== undefined) {
      this.moveBy(move());
      return;
    }
    const others: Partial<Record<Command, () => void>> = {
      play: () => this.#play(),
      pinA: () => this.#pin(0),
      pinB: () => this.#pin(1),
      difference: () => this.#toggleDifference(),
      nextChange: () => this.#jump(1),
      previousChange: () => this.#jump(-1),
      live: () => this.#setLive(!this.#live),
      insert: () => this.#insert(),
      help: () => this.#toggleHelp(),
      zoomIn: () => this.#stage.change((scale, centre) => scale.zoom(0.5, centre)),
      zoomOut: () => this.#stage.change((scale, centre) => scale.zoom(2, centre)),
      fit: () => this.#stage.change(scale => scale.fit()),
      scale: () => this.#stage.change(scale => scale.choose(scale.mode === 'time' ? 'events' : 'time')),
    };
    others[command]?.();
  }

  #build(): void {
    this.#panels.append(this.#state.element, this.#difference.element);
    const probe = h('div', { class: 'ifl-probe', 'aria-hidden': 'true' });
    this.root.append(
      h('style', {}, STYLE),
      probe,
      this.#head.title,
      this.#toolbar.element,
      this.#head.now,
      this.#stage.element,
      this.#legend.element,
      this.#panels,
      this.#code.element,
      this.#help,
      this.#announcer.element,
    );
    this.#undo.listen<KeyboardEvent>(this.root, 'keydown', event => this.#key(event));
    // The probe's colours follow the theme; the end of their one-millisecond transition says that they changed.
    this.#undo.listen(probe, 'transitionend', () => this.#recolour());
    // JupyterLab covers the page while a theme loads, which cuts the transition short.
    this.#undo.listen(probe, 'transitioncancel', () => this.#recolour());
    // Until it is laid out, and again after it was hidden, an element has no colours to be read.
    let width = 0;
    const shown = new ResizeObserver(() => {
      const before = width;
      width = this.root.clientWidth;
      if (before === 0 && width > 0) {
        this.#recolour();
      }
    });
    shown.observe(this.root);
    this.#undo.add(() => shown.disconnect());
    // Whoever turns to a cell is done here: the cell is to see what the view shows.
    this.#undo.listen<FocusEvent>(this.root, 'focusout', event => {
      if (!this.root.contains(event.relatedTarget as Node | null)) {
        this.#sync.flush();
      }
    });
  }

  #key(event: KeyboardEvent): void {
    const target = event.target instanceof Element ? event.target : this.root;
    const inTree = this.#state.holds(target);
    const inNames = this.#stage.names.element.contains(target);
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    // Whatever is pressed in here is not for the notebook, whose single letters delete and run cells.
    event.stopPropagation();
    if (plain && ((inTree && this.#state.key(event.key)) || (inNames && this.#nameKey(event.key)))) {
      event.preventDefault();
      return;
    }
    const place = target.matches('select, textarea, input')
      ? 'field'
      : target.matches('button')
        ? 'button'
        : inTree || inNames
          ? 'list'
          : 'track';
    const command = commandOf(event, place);
    if (command !== undefined) {
      event.preventDefault();
      this.run(command);
    } else if (event.key === 'Escape') {
      this.#code.element.hidden = true;
      this.#help.hidden = true;
    }
  }

  #nameKey(key: string): boolean {
    const { names } = this.#stage;
    const last = this.#history.lanes.length - 1;
    const moves: Record<string, number> = {
      ArrowDown: names.selected + 1,
      ArrowUp: names.selected - 1,
      Home: 0,
      End: last,
      PageDown: names.selected + 10,
      PageUp: names.selected - 10,
    };
    if (key === 'Enter') {
      this.#chooseLane(names.selected);
    } else if (moves[key] !== undefined) {
      names.selected = Math.max(0, Math.min(last, moves[key]));
      this.#stage.look(names.selected);
    } else {
      return false;
    }
    return true;
  }

  #go(asked: number): void {
    const position = Math.max(0, Math.min(this.#history.length, Math.round(asked) || 0));
    if (position !== this.#position) {
      this.#position = position;
      this.#show();
      this.#sync.later('t', position);
    }
  }

  #setting(key: Synced, value: unknown): void {
    switch (key) {
      case 't':
        this.#player.pause();
        this.#position = Math.max(0, Math.min(this.#history.length, Math.round(Number(value)) || 0));
        break;
      case 'pins':
        this.#pins = pinsOf(value);
        break;
      case 'path':
        this.#state.select(pathOf(String(value)) ?? []);
        break;
      case 'live':
        this.#live = value === true;
        this.#position = this.#live ? this.#history.length : this.#position;
        break;
      case 'speed':
        this.#player.speed = Number(value);
        break;
    }
    this.#show();
  }

  #message(content: Record<string, unknown>, buffers: unknown[]): void {
    this.#state.receive(content);
    const chunk = chunkOfMessage(content, buffers);
    if (chunk !== undefined) {
      this.#take(chunk);
    } else if (content['kind'] === 'note') {
      this.#said = String(content['text'] ?? '');
      this.#showHead();
      this.#announcer.say(this.#said);
    }
  }

  #reload(): void {
    const chunk = chunkOf(this.#model);
    // When live mode ends the whole run arrives, of which everything is here already.
    if (chunk.events.byteLength / 16 !== this.#history.length || chunk.meta.run_id !== this.#history.meta.run_id) {
      this.#take(chunk);
    } else {
      this.#history.meta = chunk.meta;
      this.#showHead();
      this.#showTools();
    }
  }

  #take(chunk: Chunk): void {
    const atEnd = this.#position === this.#history.length;
    if (!this.#history.extend(chunk)) {
      // Opened in the middle of live mode: what was sent before comes with the whole run.
      this.#model.send({ kind: 'whole' });
      return;
    }
    // What its host had to say, that it cannot be reached for one, is over.
    this.#said = '';
    this.#stage.grow();
    this.#position = Math.min(this.#position, this.#history.length);
    if (this.#live && atEnd) {
      this.#position = this.#history.length;
      this.#sync.later('t', this.#position);
    }
    if (this.#history.meta.ended) {
      this.#live = false;
    }
    this.#showHead();
    this.#show();
  }

  #play(): void {
    if (this.#live) {
      this.#setLive(false);
    }
    this.#player.toggle();
  }

  #setSpeed(speed: number): void {
    this.#player.speed = speed;
    this.#sync.now('speed', speed);
  }

  #setLive(on: boolean): void {
    if (on && this.#history.meta.ended) {
      this.#announcer.say('The run has ended: there is nothing to follow');
      return;
    }
    this.#live = on;
    this.#player.pause();
    if (on) {
      this.#go(this.#history.length);
    }
    this.#sync.now('live', on);
    this.#model.send({ kind: 'live', on });
    this.#announcer.say(on ? 'Following the run' : 'No longer following');
    this.#showTools();
  }

  #pin(which: 0 | 1): void {
    this.#pins = [...this.#pins];
    this.#pins[which] = this.#pins[which] === this.#position ? -1 : this.#position;
    const name = which === 0 ? 'A' : 'B';
    this.#sync.now('pins', [...this.#pins]);
    this.#show();
    this.#announcer.say(this.#pins[which] < 0 ? `Pin ${name} taken away` : `Pin ${name} at event ${this.#position}`);
  }

  #toggleDifference(): void {
    const hidden = !this.#difference.element.hidden;
    this.#difference.element.hidden = hidden;
    setAttribute(this.#panels, 'data-two', !hidden);
    this.#show();
    this.#announcer.say(hidden ? 'Difference closed' : 'Difference shown');
  }

  #toggleHelp(): void {
    this.#help.hidden = !this.#help.hidden;
    if (!this.#help.hidden) {
      this.#help.scrollIntoView({ block: 'nearest' });
    }
  }

  #insert(): void {
    const pinned = !this.#difference.element.hidden && Math.min(...this.#pins) >= 0;
    const code = codeOf(this.#history.meta.run_id, this.#position, pinned ? this.#pins : undefined);
    if (insertCell(this.root, code)) {
      this.#announcer.say('Cell inserted');
    } else {
      this.#code.show(code);
    }
  }

  #jump(step: 1 | -1): void {
    const { path } = this.#state;
    const position = nextChange(this.#history.timeline, path, this.#position, step);
    if (position === undefined) {
      this.#announcer.say(`No ${step === 1 ? 'later' : 'earlier'} change of ${path.join(' ') || 'anything'}`);
    } else {
      this.moveBy(position);
      this.#state.reveal();
    }
  }

  #chooseLane(lane: number): void {
    this.#stage.names.selected = lane;
    this.#state.choose(lane === 0 ? ['run'] : ['steps', lane - 1]);
    this.#stage.look(lane);
  }

  #tellPath(path: Path): void {
    const text = path.length > 0 ? pathKey(path) : '';
    if (text !== this.#model.get('path')) {
      this.#sync.later('path', text);
    }
  }

  #recolour(): void {
    this.#stage.recolour();
    this.#showLegend();
  }

  #show(): void {
    const { timeline, length } = this.#history;
    const document = timeline.at(this.#position);
    const text = `event ${this.#position} of ${length}: ${this.#history.summary(this.#position)}`;
    this.#stage.show({ position: this.#position, document, pins: this.#pins, text });
    setAttribute(this.root, 'data-position', this.#position);
    this.#head.moment(this.#history, this.#position, this.#history.status(document, 0));
    this.#state.show(this.#position);
    this.#showTools();
    if (!this.#difference.element.hidden) {
      this.#difference.show(this.#history, this.#pins);
    }
    this.#announcer.say(text);
  }

  #showTools(): void {
    const { meta } = this.#history;
    this.#toolbar.show({
      playing: this.#player.playing,
      speed: this.#player.speed,
      live: this.#live,
      canFollow: !meta.ended,
      difference: !this.#difference.element.hidden,
      pins: this.#pins,
      mode: this.#stage.scale.mode,
      fitted: this.#stage.scale.fitted,
    });
  }

  #showHead(): void {
    const { meta, length } = this.#history;
    this.#head.run(this.#history, this.#said);
    setAttribute(this.root, 'aria-label', `Time travel through run ${meta.run_id}`);
    setAttribute(this.root, 'data-empty', length === 0);
    this.#showLegend();
  }

  #showLegend(): void {
    const { spans } = this.#history;
    this.#legend.show(new Set(spans.kind.subarray(0, spans.length)), this.#stage.palette);
  }
}

function pinsOf(value: unknown): [number, number] {
  const [a, b] = Array.isArray(value) ? value.map(Number) : [];
  return [Number.isInteger(a) ? (a as number) : -1, Number.isInteger(b) ? (b as number) : -1];
}
