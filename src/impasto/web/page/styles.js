// The styles, the chosen ones with their weights, and training a style on a painting.
import { json, picture } from "./api.js";
import { $, announce, attempt, isPicture, labelOf, make, spelt, state } from "./state.js";
import { changed, fields } from "./options.js";
import { paint, showRefine, slides } from "./paint.js";
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
  const names = [...state.known.keys()], fresh = names.filter((name) => name === state.learned?.name);
  $("wall").replaceChildren(add, ...own, ...[...new Set([...fresh, ...names])].map((name) => tile(name, spelt(name))));
}

// One at a time: browsers open six connections to a server, and paintings must not wait for thumbnails.
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

const source = (key) => (state.own.has(key) ? { [state.own.get(key).kind]: state.own.get(key).id } : { name: key });

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
  $("scale-field").hidden = ![...state.styles.keys()].some(isPicture);
  showRefine();
  announce("styles");
}

function row([key, style]) {
  const id = `weight-${CSS.escape(key)}`, several = state.styles.size > 1;
  const item = make("li", {}, make("label", { textContent: labelOf(key), htmlFor: id }));
  if (several) {
    const value = make("output", { textContent: style.weight });
    const range = make("input", { type: "range", min: 0.05, max: 1, step: 0.05, value: style.weight, id });
    slides(range, () => { style.weight = Number(range.value); value.textContent = range.value; });
    const away = make("button", { textContent: "×", className: "quiet", attributes: { "aria-label": `Remove ${labelOf(key)}` }, onclick: () => choose(key, true) });
    item.append(value, range, away);
  } else if (state.learn && state.own.get(key)?.kind === "picture") {
    item.append(make("button", { textContent: "Learn this style…", className: "quiet", onclick: () => openLearning(key) }));
  }
  return item;
}

// Pictures of styles and saved styles: the first replaces the chosen styles, the others are mixed in.
export const isSavedStyle = (file) => file.name?.endsWith(".safetensors");

export const addStyles = attempt(async (files) => {
  const keys = [];
  for (const file of files) {
    const kind = isSavedStyle(file) ? "saved" : "picture";
    const sent = await json("PUT", PLACES[kind], file);
    keys.push(await addOwn(sent.id, sent.name ?? (file.name ?? "your picture").replace(/\.[^.]*$/, ""), kind));
  }
  state.styles = new Map(keys.map((key) => [key, { ...source(key), weight: 1 }]));
  showChosen();
  await paint();
});
const PLACES = { picture: "/api/pictures", saved: "/api/saved-styles" };

export async function addOwn(id, label, kind = "picture") {
  const key = `own:${id}`;
  if (!state.own.has(key)) state.own.set(key, { id, kind, label, url: await picture(`${PLACES[kind]}/${id}`) });
  sessionStorage.setItem("impasto-own", JSON.stringify([...state.own.values()].map((own) => [own.id, own.label, own.kind])));
  showWall();
  return key;
}

export async function restoreOwn() {
  for (const own of JSON.parse(sessionStorage.getItem("impasto-own") ?? "[]")) await addOwn(...own).catch(() => {});
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
    const job = await json("POST", "/api/styles", { picture: learned.id, name: $("learn-name").value, ...changed(changes) });
    $("learning").close();
    watch(job, { open: true });
  });
}
