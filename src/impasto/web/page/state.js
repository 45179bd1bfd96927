// State and functions shared by the modules of the page.
export const $ = (id) => document.getElementById(id);

export const state = {
  content: null,  // {id, width, height} of the picture that is painted
  film: null,  // {id, frames, duration_s, …} of the clip whose frame is painted
  known: new Map(),  // styles of the studio by name: {kind}
  own: new Map(),  // uploaded styles by key: {id, kind: picture or saved, label, url}
  styles: new Map(),  // the chosen styles by key: {name, picture or saved, weight}
  masks: new Map(),  // ids of uploaded masks by key of a style
  changes: {},  // options of the form by group
  film_changes: {},
  methods: {},  // groups of options that only some methods read
  job: null,  // id of the visible job
  learn: false,
  learned: null,  // {name, picture} of the style that was trained last
};

export const bus = new EventTarget();
export const announce = (name) => bus.dispatchEvent(new Event(name));
export const on = (name, work) => bus.addEventListener(name, work);

export function make(tag, properties = {}, ...children) {
  const { dataset, attributes, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function say(text) {
  const line = make("p", {}, make("span", { textContent: text }));
  const close = make("button", { textContent: "×", className: "quiet", onclick: () => line.remove(), attributes: { "aria-label": "Close" } });
  line.append(close);
  $("toasts").append(line);
  while ($("toasts").children.length > 3) $("toasts").firstChild.remove();
  setTimeout(() => line.remove(), 12000);
}

export const attempt = (work) => async (...given) => {
  try { return await work(...given); } catch (error) { say(error.message); return undefined; }
};

export const spelt = (name) => name.replaceAll(/[-_]/g, " ");
export const labelOf = (key) => state.own.get(key)?.label ?? spelt(key);
export const isTrained = (key) => !state.own.has(key) && state.known.get(key)?.kind === "trained";
export const isPicture = (key) => (state.own.get(key) ?? state.known.get(key))?.kind === "picture";
export const canOptimise = () => state.styles.size > 0 && [...state.styles.keys()].every(isPicture);

export function method() {
  const chosen = $("method").value;
  if (chosen && chosen !== "auto") return chosen;
  return [...state.styles.keys()].every(isTrained) ? "fast" : "arbitrary";
}
