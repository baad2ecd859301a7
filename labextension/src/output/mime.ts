/** What JupyterLab shows of our two mime types; every text in them stays a text, so that any notebook may have them. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { Poller } from '../plugin/poller.ts';
import { ask } from '../plugin/requests.ts';
import { LOG_TYPE, readLog } from './log.ts';
import { LogView } from './logview.ts';
import { PROGRESS_TYPE, readProgress } from './progress.ts';
import { ProgressView } from './progressview.ts';
import { addStyle } from './style.ts';

const EVERY_MS = 1_000;

class LogOutput extends Widget implements IRenderMime.IRenderer {
  readonly #view = new LogView();

  constructor() {
    super();
    addStyle();
    this.node.append(this.#view.element);
  }

  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.#view.show(readLog(model.data[LOG_TYPE]));
    return Promise.resolve();
  }

  protected override onAfterAttach(_message: Message): void {
    this.#view.settle();
  }

  protected override onAfterShow(_message: Message): void {
    this.#view.settle();
  }
}

class ProgressOutput extends Widget implements IRenderMime.IRenderer {
  readonly #view = new ProgressView(ask);
  readonly #poller = new Poller(async signal => {
    await this.#view.look(signal);
    if (!signal.aborted) {
      this.#turn();
    }
  }, EVERY_MS);

  constructor() {
    super();
    addStyle();
    this.node.append(this.#view.element);
  }

  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.#view.show(readProgress(model.data[PROGRESS_TYPE]));
    this.#turn();
    return Promise.resolve();
  }

  override dispose(): void {
    this.#poller.dispose();
    super.dispose();
  }

  protected override onAfterAttach(_message: Message): void {
    this.#turn();
  }

  protected override onAfterShow(_message: Message): void {
    this.#turn();
  }

  protected override onBeforeHide(_message: Message): void {
    this.#poller.show(false);
  }

  protected override onBeforeDetach(_message: Message): void {
    this.#poller.show(false);
  }

  #turn(): void {
    this.#poller.show(this.isAttached && this.isVisible && this.#view.moving);
  }
}

function extension(id: string, type: string, createRenderer: () => IRenderMime.IRenderer): IRenderMime.IExtension {
  return { id: `ironflow-lab:${id}`, rank: 0, rendererFactory: { safe: true, mimeTypes: [type], createRenderer }, dataType: 'json' };
}

export default [
  extension('log', LOG_TYPE, () => new LogOutput()),
  extension('progress', PROGRESS_TYPE, () => new ProgressOutput())
];
