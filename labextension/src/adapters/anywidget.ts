/** The view as an anywidget: the model of the widget is the model of the view. */

import { mount } from '../scrub/index.ts';
import type { Model } from '../scrub/model.ts';

export default {
  render({ model, el }: { model: Model; el: HTMLElement }): () => void {
    return mount(el, model);
  },
};
