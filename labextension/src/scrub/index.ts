/** The time-travel view of one run. */

import type { Model } from './model.ts';
import { View } from './view.ts';

export type { Model } from './model.ts';
export { INSERT } from './insert.ts';

/** Shows the run of a model in an element; returns what takes it away again. */
export function mount(el: HTMLElement, model: Model): () => void {
  const view = new View(model);
  view.attach(el);
  return () => view.dispose();
}
