// The studio: what is chosen, what is painted, what is shown.
import { events, json, picture, request } from "./api.js";
import * as mask from "./mask.js";
import * as viewer from "./viewer.js";

const $ = (id) => document.getElementById(id);
const state = { content: null, styles: new Map(), own: new Map(), names: [], mask: null, job: null, changes: {}, size: [1, 1] };
const LIVE_PX = 512;  // long side of what is painted while a slider moves

// Notices

function say(text) {
  const line = document.createElement("p");
  line.textContent = text;
  $("toasts").append(line);
  setTimeout(() => line.remove(), 8000);
}
const attempt = (work) => async (...given) => {
  try { return await work(...given); } catch (error) { say(error.message); }
};

// Pictures in

const openContent = attempt(async (blob) => {
  $("status").textContent = "Opening…";
  const sent = await json("PUT", "/api/pictures", blob);
  await showContent(sent);
  $("after").removeAttribute("src");
  $("after").classList.add("empty");
  if (!await restore(sent.id)) paint();
});

async function showContent(sent) {
  $("before").src = await picture(`/api/pictures/${sent.id}`);
  Object.assign(state, { content: sent.id, size: [sent.width, sent.height], mask: null });
  sessionStorage.setItem("impasto-content", JSON.stringify(sent));
  $("welcome").hidden = true;
  for (const id of ["viewer", "tools", "masking"]) $(id).hidden = false;
  $("sheet").disabled = false;
  $("status").textContent = `${sent.width} × ${sent.height}`;
  viewer.fit();
}

async function restore(id) {
  const recipe = await json("GET", `/api/pictures/${id}/recipe`).catch(() => null);
  if (!recipe) return false;
  state.styles.clear();
  for (const style of recipe.styles) if (style.name) state.styles.set(style.name, { name: style.name, weight: style.weight });
  const { paint: look = {}, size = {} } = recipe.options;
  if (look.strength !== undefined) $("strength").value = look.strength;
  if (size.size) $("size").value = size.size;
  showValues();
  showChosen();
  say("This picture was painted by impasto: its settings are back. Open the original photo to paint with them.");
  return true;
}

const addStyle = attempt(async (blob, name) => {
  const sent = await json("PUT", "/api/pictures", blob);
  const key = `own:${sent.id}`;
  state.own.set(key, { picture: sent.id, label: (name ?? "Your picture").replace(/\.[^.]*$/, ""), url: await picture(`/api/pictures/${sent.id}`) });
  state.styles.clear();
  state.styles.set(key, { picture: sent.id, weight: 1 });
  showWall();
  showChosen();
  paint();
});

// The wall of styles

function showWall() {
  const buttons = [...state.own].map(([key, own]) => tile(key, own.label, own.url));
  buttons.push(...state.names.map((name) => tile(name, name.replaceAll("-", " "))));
  const add = document.createElement("button");
  add.className = "add";
  add.innerHTML = "<b>+</b>Your own";
  add.onclick = () => $("style-file").click();
  $("wall").replaceChildren(add, ...buttons);
}

// One at a time: a browser opens six connections to a server, and a picture must never wait behind thumbnails.
const thumbnails = new Map();
let lastThumbnail = Promise.resolve();
function thumbnail(name) {
  const made = lastThumbnail.then(() => picture(`/api/styles/${encodeURIComponent(name)}`));
  lastThumbnail = made.catch(() => thumbnails.delete(name));
  return made;
}

function tile(key, label, url) {
  const button = document.createElement("button"), image = new Image(), text = document.createElement("span");
  text.textContent = label;
  image.alt = "";
  image.loading = "lazy";
  button.append(image, text);
  button.dataset.key = key;
  button.title = `${label} (with Shift: mix)`;
  button.setAttribute("aria-pressed", state.styles.has(key));
  button.onclick = (event) => choose(key, event.shiftKey || event.ctrlKey || event.metaKey);
  if (url) image.src = url;
  else {
    if (!thumbnails.has(key)) thumbnails.set(key, thumbnail(key));
    thumbnails.get(key).then((made) => { image.src = made; }, () => {});
  }
  return button;
}

function choose(key, mix) {
  if (mix && state.styles.has(key) && state.styles.size > 1) state.styles.delete(key);
  else {
    if (!mix) state.styles.clear();
    state.styles.set(key, key.startsWith("own:") ? { picture: state.own.get(key).picture, weight: 1 } : { name: key, weight: 1 });
  }
  showChosen();
  paint();
}

function showChosen() {
  for (const button of $("wall").querySelectorAll("[data-key]")) button.setAttribute("aria-pressed", state.styles.has(button.dataset.key));
  const rows = state.styles.size < 2 ? [] : [...state.styles].map(([key, style]) => weightSlider(key, style));
  if (state.styles.size) rows.push(mixer());
  $("chosen").replaceChildren(...rows);
}

function mixer() {
  const select = document.createElement("select");
  select.setAttribute("aria-label", "Mix in another style");
  select.append(new Option("Mix in another style…", ""));
  for (const name of state.names) if (!state.styles.has(name)) select.append(new Option(name.replaceAll("-", " "), name));
  select.onchange = () => choose(select.value, true);
  return select;
}

function weightSlider(key, style) {
  const row = document.createElement("div"), label = document.createElement("label"), value = document.createElement("output"), range = document.createElement("input");
  row.className = "field";
  label.textContent = state.own.get(key)?.label ?? key.replaceAll("-", " ");
  Object.assign(range, { type: "range", min: 0.05, max: 1, step: 0.05, value: style.weight, id: `weight-${key}` });
  label.htmlFor = range.id;
  value.textContent = style.weight;
  range.oninput = () => { style.weight = Number(range.value); value.textContent = range.value; paint({ live: true }); };
  range.onchange = () => paint();
  row.append(label, value, range);
  return row;
}

// Painting

function options({ live, refine }) {
  const size = Number($("size").value);
  const body = structuredClone(state.changes);
  body.paint = { strength: Number($("strength").value), ...(refine ? { method: "optimise" } : {}), ...body.paint };
  body.size = { size: live ? Math.min(LIVE_PX, size) : size, ...body.size };
  if ($("keep").checked) body.colour = { keep_colours: "lab", ...body.colour };
  body.styles = [...state.styles.values()].map((style) => ({ ...style, ...(state.mask ? { mask: state.mask } : {}) }));
  return { ...body, content: state.content, live: !refine };
}

const paint = attempt(async ({ live = false, refine = false } = {}) => {
  if (!state.content || !state.styles.size) return;
  const job = await json("POST", "/api/jobs", options({ live, refine }));
  state.job = job.id;
  await follow(job.id, { keep: !live });
});

const follow = attempt(async (id, { keep }) => {
  let shown = 0;
  for await (const row of events(id)) {
    if (state.job !== id) return;  // a newer one is on its way
    report(row);
    if (row.version > shown && (row.step || row.state === "done" || row.state === "stopped")) {
      shown = row.version;
      await show(`/api/jobs/${id}/preview`);
    }
    if (row.state === "done" || row.state === "stopped") {
      await offer(id);
      if (keep) remember(id);
    }
    if (row.state === "failed") say(row.error);
  }
});

function report(row) {
  const running = row.state === "running" || row.state === "queued";
  $("progress").hidden = !running;
  $("progress").classList.toggle("waiting", running && !row.steps);
  $("bar").style.width = row.steps ? `${(100 * row.step) / row.steps}%` : "";
  $("cancel").hidden = !(running && row.steps > 1);
  $("refine").hidden = running || [...state.styles.values()].some((style) => style.name);
  const text = {
    queued: "Waiting…", running: row.steps > 1 ? `Step ${row.step} of ${row.steps}` : "Painting…", failed: "Not painted",
    cancelled: "Cancelled", done: row.size ? `${row.size[0]} × ${row.size[1]}, ${row.seconds.toFixed(1)} s` : "",
    stopped: "Stopped; this is the picture so far",
  };
  $("status").textContent = text[row.state];
}

async function show(path) {
  const url = await picture(path);
  const image = new Image();
  image.src = url;
  await image.decode();
  $("after").src = url;
  $("after").classList.remove("empty");
}

async function offer(id) {
  const link = $("download");
  link.href = await picture(`/api/jobs/${id}/result`);
  link.download = `impasto-${id}.png`;
  link.hidden = false;
}

function remember(id) {
  const item = document.createElement("li"), button = document.createElement("button"), image = new Image();
  image.src = $("after").src;
  image.alt = `Painting ${$("history").children.length + 1}`;
  button.append(image);
  button.onclick = attempt(async () => {
    state.job = id;
    mark(button);
    await show(`/api/jobs/${id}/preview`);
    await offer(id);
  });
  item.append(button);
  $("history").append(item);
  mark(button);
  item.scrollIntoView({ inline: "end", block: "nearest" });
}
const mark = (current) => $("history").querySelectorAll("button").forEach((b) => b.setAttribute("aria-current", b === current));

// Every style on a sheet

const showSheet = attempt(async () => {
  $("gallery").showModal();
  $("cells").replaceChildren();
  for (const name of state.names) {
    if (!$("gallery").open) return;
    const button = document.createElement("button"), image = new Image(), text = document.createElement("span");
    text.textContent = name.replaceAll("-", " ");
    button.append(image, text);
    button.onclick = () => { $("gallery").close(); choose(name, false); };
    $("cells").append(button);
    const job = await json("POST", "/api/jobs", { content: state.content, styles: [{ name }], size: { size: 320 }, live: false });
    for await (const row of events(job.id)) if (row.state === "done") image.src = await picture(`/api/jobs/${job.id}/preview`);
  }
});

// Every option, from the same definitions as the command line

async function showOptions() {
  const { groups } = await json("GET", "/api/options");
  $("all").replaceChildren(...groups.map((group) => {
    const set = document.createElement("fieldset"), legend = document.createElement("legend");
    legend.textContent = group.about.split(/[.\n]/)[0];
    set.append(legend, ...group.options.map((option) => field(group.group, option)));
    return set;
  }));
}

function field(group, option) {
  const label = document.createElement("label"), text = document.createElement("span");
  text.textContent = option.name.replaceAll("_", " ");
  label.title = option.help;
  let input;
  if (option.choices) {
    input = document.createElement("select");
    for (const name of option.choices) input.append(new Option(name, name, false, name === option.default));
  } else {
    input = document.createElement("input");
    if (typeof option.default === "boolean") Object.assign(input, { type: "checkbox", checked: option.default });
    else input.value = Array.isArray(option.default) ? option.default.join(", ") : option.default ?? "";
  }
  input.onchange = () => { set(group, option, input); paint(); };
  label.append(text, input);
  return label;
}

function set(group, option, input) {
  const parse = (word) => (word.trim() !== "" && !Number.isNaN(Number(word)) ? Number(word) : word.trim());
  let value = input.type === "checkbox" ? input.checked : input.value;
  if (Array.isArray(option.default)) value = value.split(",").map(parse).filter((word) => word !== "");
  else if (typeof value === "string" && !option.choices) value = value === "" ? option.default : parse(value);
  (state.changes[group] ??= {})[option.name] = value;
}

// Controls

function showValues() {
  $("strength-value").textContent = Number($("strength").value);
  $("size-value").textContent = `${$("size").value} px`;
}
for (const id of ["strength", "size"]) {
  $(id).oninput = () => { showValues(); if (id === "strength") paint({ live: true }); };
  $(id).onchange = () => paint();
}
$("keep").onchange = () => paint();
$("choose").onclick = $("open").onclick = () => $("file").click();
$("file").onchange = (event) => event.target.files[0] && openContent(event.target.files[0]);
$("style-file").onchange = (event) => event.target.files[0] && addStyle(event.target.files[0], event.target.files[0].name);
$("cancel").onclick = attempt(() => request("DELETE", `/api/jobs/${state.job}`));
$("refine").onclick = () => paint({ refine: true });
$("zoom").onclick = viewer.toggleZoom;
$("full").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen());
$("sheet").onclick = showSheet;
$("ungallery").onclick = () => $("gallery").close();
for (const input of document.getElementsByName("view")) input.onchange = () => viewer.setMode(input.value);

$("masked").onchange = () => {
  $("brush").hidden = !$("masked").checked;
  if ($("masked").checked) mask.open(...state.size);
  else { mask.close(); if (state.mask) { state.mask = null; paint(); } }
};
$("undo").onclick = mask.undo;
$("clear").onclick = mask.clear;
$("apply").onclick = attempt(async () => {
  if (mask.empty()) throw new Error("Brush over the part to paint first.");
  state.mask = (await json("PUT", "/api/pictures", await mask.blob())).id;
  mask.close();
  await paint();
  mask.open(...state.size);
});

// Drop, paste, camera

const isFile = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => { if (isFile(event)) { event.preventDefault(); $("drop").hidden = false; } });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").hidden = true; });
addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").hidden = true;
  const file = event.dataTransfer.files[0];
  if (!file) return;
  if (event.target.closest("aside") && state.content) addStyle(file, file.name);
  else openContent(file);
});
addEventListener("paste", (event) => {
  const item = [...event.clipboardData.items].find((entry) => entry.type.startsWith("image/"));
  if (item) openContent(item.getAsFile());
});

$("camera").onclick = attempt(async () => {
  if (!navigator.mediaDevices) throw new Error("This browser offers no camera here.");
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280 } }).catch(() => { throw new Error("No camera can be used."); });
  $("video").srcObject = stream;
  $("snap").showModal();
  $("snap").onclose = () => stream.getTracks().forEach((track) => track.stop());
});
$("unsnap").onclick = () => $("snap").close();
$("shoot").onclick = async () => {
  const frame = new OffscreenCanvas($("video").videoWidth, $("video").videoHeight);
  frame.getContext("2d").drawImage($("video"), 0, 0);
  $("snap").close();
  openContent(await frame.convertToBlob({ type: "image/png" }));
};

// Start: styles, options, and whatever was painted before a reload

attempt(async () => {
  showValues();
  ({ styles: state.names } = await json("GET", "/api/styles"));
  if (state.names.length) state.styles.set(state.names[0], { name: state.names[0], weight: 1 });
  showWall();
  showChosen();
  await showOptions();
  const sent = JSON.parse(sessionStorage.getItem("impasto-content"));
  if (!sent) return;
  await showContent(sent).catch(() => sessionStorage.removeItem("impasto-content"));  // from before a restart
  const { jobs } = await json("GET", "/api/jobs");
  const last = jobs.at(-1);
  if (!last || !state.content) return;
  state.job = last.id;
  await follow(last.id, { keep: true });
})();
