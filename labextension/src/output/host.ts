/** What the page around an output offers: the plugin fills it in when it begins. */

export interface Host {
  /** Opens a run in a tab of its own. */
  open(run: string, folder: string): void;
  /** Returns the folder of the notebook that an element is in, as Jupyter names it. */
  folderOf(element: Element): string;
}

export const page: { host: Host | undefined } = { host: undefined };
