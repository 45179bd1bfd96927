// The wall of styles, what is chosen from it with its shares, and learning a style from a painting.
import { json, picture } from "./api.js";
import { $, announce, attempt, isTrained, labelOf, make, spelt, state } from "./state.js";
import { changed, fields } from "./options.js";
import { drafted, paint, showRefine } from "./paint.js";
import { watch } from "./jobs.js";

export async function loadStyles() {
  const { styles, learn } = await json("GET", "/api/styles");
  state.known = new Map(styles.map(({ name, kind }) => [name, { kind }]));
  state.learn = learn;
  showWall();
}

function showWall() {
  const add = make("button", { className: "add", onclick: () => $("style-file").click() }, make("b", { textContent: "+" }), "Your own");
  const own = [...state.own].map(([key, { label, url }]) => tile(key, label, url));
  $("wall").replaceChildren(add, ...own, ...[...state.known.keys()].map((name) => tile(name, spelt(name))));
}

// One at a time: a browser opens six connections to a server, and a picture must never wait behind thumbnails.
const thumbnails = new Map();
let lastThumbnail = Promise.resolve();
function thumbnail(name) {
  if (!thumbnails.has(name)) {
    const made = lastThumbnail.then(() => picture(`/api/styles/${encodeURIComponent(name)}`));
    lastThumbnail = made.catch(() => thumbnails.delete(name));
    thumbnails.set(name, made);
  }
  return thumbnails.get(name);
}

function tile(key, label, url) {
  const image = make("img", { alt: "" }), chosen = state.styles.has(key);
  const button = make("button", { dataset: { key }, title: label, attributes: { "aria-pressed": chosen } }, image, make("span", { textContent: label }));
  let held = null, mixed = false;
  button.addEventListener("pointerdown", (event) => {
    mixed = false;
    if (event.pointerType !== "mouse") held = setTimeout(() => { mixed = true; choose(key, true); navigator.vibrate?.(10); }, 450);
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) button.addEventListener(end, () => clearTimeout(held));
  button.addEventListener("contextmenu", (event) => { if (held) event.preventDefault(); });
  button.onclick = (event) => { if (!mixed) choose(key, event.shiftKey || event.ctrlKey || event.metaKey); mixed = false; };
  if (url) image.src = url;
  else thumbnail(key).then((made) => { image.src = made; }, () => {});
  return button;
}

const source = (key) => (state.own.has(key) ? { picture: state.own.get(key).picture } : { name: key });

export function choose(key, mix) {
  if (mix && state.styles.has(key)) {
    if (state.styles.size > 1) state.styles.delete(key);
  } else {
    if (!mix) state.styles.clear();
    state.styles.set(key, { ...source(key), weight: 1 });
  }
  showChosen();
  paint();
}

export function showChosen() {
  for (const key of state.masks.keys()) if (key !== "all" && !state.styles.has(key)) state.masks.delete(key);
  for (const button of $("wall").querySelectorAll("[data-key]")) button.setAttribute("aria-pressed", state.styles.has(button.dataset.key));
  $("chosen").replaceChildren(...(state.styles.size > 1 || [...state.styles.keys()].some((key) => state.own.has(key)) ? [...state.styles].map(row) : []));
  $("scale-field").hidden = [...state.styles.keys()].every(isTrained);
  showRefine();
  announce("styles");
}

function row([key, style]) {
  const id = `weight-${CSS.escape(key)}`, several = state.styles.size > 1;
  const item = make("li", {}, make("label", { textContent: labelOf(key), htmlFor: id }));
  if (several) {
    const value = make("output", { textContent: style.weight });
    const range = make("input", { type: "range", min: 0.05, max: 1, step: 0.05, value: style.weight, id });
    range.oninput = () => { style.weight = Number(range.value); value.textContent = range.value; drafted(); };
    range.onchange = () => paint();
    const away = make("button", { textContent: "×", className: "quiet", attributes: { "aria-label": `Remove ${labelOf(key)}` }, onclick: () => choose(key, true) });
    item.append(value, range, away);
  } else if (state.learn && state.own.has(key)) {
    item.append(make("button", { textContent: "Learn this style…", className: "quiet", onclick: () => openLearning(key) }));
  }
  return item;
}

// Pictures of styles: the first replaces what was chosen, the others are mixed in.
export const addStyles = attempt(async (files) => {
  let first = true;
  for (const file of files) {
    const sent = await json("PUT", "/api/pictures", file);
    await addOwn(sent.id, (file.name ?? "your picture").replace(/\.[^.]*$/, ""));
    if (first) state.styles.clear();
    first = false;
    state.styles.set(`own:${sent.id}`, { picture: sent.id, weight: 1 });
  }
  showChosen();
  await paint();
});

export async function addOwn(id, label) {
  const key = `own:${id}`;
  if (!state.own.has(key)) state.own.set(key, { picture: id, label, url: await picture(`/api/pictures/${id}`) });
  sessionStorage.setItem("impasto-own", JSON.stringify([...state.own.values()].map((own) => [own.picture, own.label])));
  showWall();
  return key;
}

export async function restoreOwn() {
  for (const [id, label] of JSON.parse(sessionStorage.getItem("impasto-own") ?? "[]")) await addOwn(id, label).catch(() => {});
}

// Learning

let learned = null;
function openLearning(key) {
  learned = state.own.get(key);
  $("learn-picture").src = learned.url;
  $("learn-name").value = learned.label.trim().replaceAll(/[^A-Za-z0-9._+-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "") || "my-style";
  $("learning").showModal();
}

export function showLearningOptions(groups) {
  const changes = {};
  $("learn-all").replaceChildren(...fields(groups, changes));
  $("unlearn").onclick = () => $("learning").close();
  $("learn-form").onsubmit = attempt(async (event) => {
    event.preventDefault();
    const job = await json("POST", "/api/styles", { picture: learned.picture, name: $("learn-name").value, ...changed(changes) });
    $("learning").close();
    watch(job, { open: true });
  });
}
