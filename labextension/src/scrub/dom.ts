/** Elements without a framework. Text goes in as text nodes only, so that no payload becomes markup. */

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** Returns an element; `true` is an attribute without a value, `false` and undefined are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    setAttribute(made, name, value);
  }
  made.append(...children);
  return made;
}

/** Sets, or with undefined or `false` removes, an attribute; unchanged ones are not touched. */
export function setAttribute(element: Element, name: string, value: string | number | boolean | undefined): void {
  if (value === undefined || value === false) {
    element.removeAttribute(name);
    return;
  }
  const text = value === true ? '' : String(value);
  if (element.getAttribute(name) !== text) {
    element.setAttribute(name, text);
  }
}

/** Sets the text of an element that holds nothing else; an unchanged text is not touched. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Keeps exactly `count` children in a parent, made on demand; returns them. */
export function keep<T extends HTMLElement>(parent: HTMLElement, made: T[], count: number, make: () => T): T[] {
  while (made.length < count) {
    made.push(parent.appendChild(make()));
  }
  while (made.length > count) {
    made.pop()?.remove();
  }
  return made;
}

let count = 0;

/** Returns an id that no other element of the page has from here. */
export function uniqueId(name: string): string {
  count += 1;
  return `ifl-${name}-${count}-${Math.random().toString(36).slice(2, 8)}`;
}

/** Listeners and other things to undo when the view goes away. */
export class Undo {
  #steps: (() => void)[] = [];

  add(step: () => void): void {
    this.#steps.push(step);
  }

  listen<E extends Event>(
    target: EventTarget,
    type: string,
    listener: (event: E) => void,
    options?: AddEventListenerOptions,
  ): void {
    target.addEventListener(type, listener as EventListener, options);
    this.add(() => target.removeEventListener(type, listener as EventListener, options));
  }

  run(): void {
    this.#steps
      .splice(0)
      .reverse()
      .forEach(step => step());
  }
}
