/** A run in a tab of its own: the time-travel view over the Jupyter server's handlers. */

import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import type { Ask } from '../adapters/ask.ts';
import { JupyterModel } from '../adapters/jupyter.ts';
import { h } from '../scrub/dom.ts';
import { mount } from '../scrub/index.ts';
import { icon } from './icon.ts';

export class RunTab extends Widget {
  readonly run: string;
  readonly folder: string;
  readonly #ask: Ask;
  #model: JupyterModel | undefined;
  #unmount: (() => void) | undefined;

  constructor(run: string, folder: string, ask: Ask) {
    super();
    this.run = run;
    this.folder = folder;
    this.#ask = ask;
    this.addClass('ifp-tab');
    this.node.dataset['run'] = run;
    this.title.label = run;
    this.title.icon = icon;
    this.title.caption = `Time travel through ${run}`;
  }

  override dispose(): void {
    this.#unmount?.();
    this.#model?.dispose();
    super.dispose();
  }

  protected override onAfterAttach(_message: Message): void {
    if (this.#model === undefined) {
      void this.#load();
    }
  }

  async #load(): Promise<void> {
    const model = new JupyterModel(this.run, this.folder, this.#ask);
    this.#model = model;
    this.#say(h('span', {}, `Reading ${this.run} …`));
    try {
      await model.load();
      if (!this.isDisposed) {
        this.node.replaceChildren();
        this.#unmount = mount(this.node, model);
      }
    } catch (error) {
      if (!this.isDisposed) {
        this.#failed(error);
      }
    }
  }

  #failed(error: unknown): void {
    const again = h('button', { type: 'button' }, 'Try again');
    again.addEventListener('click', () => void this.#load());
    this.#say(h('p', { role: 'alert' }, error instanceof Error ? error.message : String(error)), again);
  }

  #say(...children: Node[]): void {
    this.node.replaceChildren(h('div', { class: 'ifp-wait' }, ...children));
  }
}
