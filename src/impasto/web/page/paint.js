// From the controls to a job, and from its events to the picture.
import { blob, events, json, picture, request, save } from "./api.js";
import { $, announce, attempt, canOptimise, isPicture, method, state } from "./state.js";

const DRAFT_PX = [192, 512], DRAFT_S = 0.22;
let draftPx = 256;  // adapts to the speed of the machine, so that a moving slider repaints within 0.3 s

export function request_of({ draft = false, refine = false } = {}) {
  const size = Number($("size").value), chosen = refine ? "optimise" : method(), seed = Number($("seed").value);
  const foreign = new Set(Object.values(state.methods).flat().filter((group) => !state.methods[chosen]?.includes(group)));
  const body = Object.fromEntries(Object.entries(structuredClone(state.changes)).filter(([group]) => !foreign.has(group)));
  body.paint = { ...body.paint, strength: Number($("strength").value), method: refine ? "optimise" : $("method").value };
  if (state.masks.size) body.paint.feather = Number($("feather").value) / 100;
  body.size = { ...body.size, size: draft ? Math.min(draftPx, size) : size };
  if (draft) body.size = { size: body.size.size };
  if ($("keep").checked) body.colour = { keep_colours: "lab", ...body.colour };
  if (seed && chosen === "optimise") body.optimise = { ...body.optimise, seed };
  else if (seed) body.fast = { ...body.fast, noise_seed: seed };
  body.styles = [...state.styles].map(([key, style]) => ({ ...style, ...scale(key), ...mask(key) }));
  return body;
}
const scale = (key) => (isPicture(key) ? { scale: Number((2 ** Number($("scale").value)).toFixed(3)) } : {});
const mask = (key) => (state.masks.has(key) ? { mask: state.masks.get(key) } : state.masks.has("all") ? { mask: state.masks.get("all") } : {});

export const ready = () => state.content && state.styles.size > 0;

// While a slider moves: one small painting at a time; of the changes in between only the last one is painted.
let wanted = false, drafting = false;
export const drafted = attempt(async () => {
  wanted = true;
  if (drafting) return;
  drafting = true;
  try {
    while (wanted) {
      wanted = false;
      if (!ready()) return;
      const before = performance.now();
      const id = await start({ ...request_of({ draft: true }), content: state.content.id, live: true, draft: true });
      if (await follow(id)) {
        performance.measure("draft", { start: before });
        const ratio = (performance.now() - before) / 1000 / DRAFT_S;
        fitDrafts(draftPx / Math.sqrt(Math.min(2, Math.max(0.5, ratio))));
      }
    }
  } finally { drafting = false; }
});

// A slider repaints while it moves, and paints the full size when it is released; with arrow keys, after a pause.
export function slides(input, moved, { drafts = true } = {}) {
  let timer = null, by_keys = false;
  input.addEventListener("keydown", () => { by_keys = true; });
  input.addEventListener("pointerdown", () => { by_keys = false; });
  input.oninput = () => { moved(); if (drafts) drafted(); };
  input.onchange = () => { clearTimeout(timer); timer = setTimeout(paint, by_keys ? 700 : 0); };
}

function fitDrafts(px) {
  draftPx = Math.round(Math.min(DRAFT_PX[1], Math.max(DRAFT_PX[0], px)) / 16) * 16;
}

export const paint = attempt(async ({ refine = false } = {}) => {
  wanted = false;
  if (!ready()) return;
  await follow(await start({ ...request_of({ refine }), content: state.content.id, live: true }));
});

let sent = 0;
async function start(body) {
  const mine = ++sent, job = await json("POST", "/api/jobs", body);
  if (mine === sent) state.job = job.id;  // the answer for a draft may come after that for the painting which replaces it
  return job.id;
}

// Show the progress of a job; returns whether it was finished.
export async function follow(id) {
  let shown = 0;
  for await (const row of events(id)) {
    if (state.job !== id) return false;  // superseded
    report(row);
    if (row.previews > shown) {
      shown = row.previews;
      await show(`/api/jobs/${id}/preview`, id);
    }
    if (row.state === "failed") throw new Error(sentence(row.error));
    if (row.state === "done" && !row.draft && row.steps <= 1) {  // a draft also takes time outside of the network
      fitDrafts(Math.max(...row.size) * Math.sqrt((0.7 * DRAFT_S) / row.seconds));
    }
    if ((row.state === "done" || row.state === "stopped") && !row.draft) {
      state.result = row;
      $("download").hidden = false;
      announce("painted");
    }
    if (row.state === "done") return true;
  }
  return false;
}
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replaceAll("`", "");

function report(row) {
  const running = row.state === "running" || row.state === "queued", part = row.steps ? row.step / row.steps : 0;
  $("progress").hidden = !running || row.draft;
  $("progress").classList.toggle("waiting", running && !row.steps);
  $("bar").style.width = row.steps ? `${100 * part}%` : "";
  if (row.steps) $("progress").setAttribute("aria-valuenow", Math.round(100 * part)); else $("progress").removeAttribute("aria-valuenow");
  $("cancel").hidden = !(running && row.steps > 1);
  showRefine(running && !row.draft);
  const text = {
    queued: "Waiting…", running: row.steps > 1 ? `Step ${row.step} of ${row.steps}` : "Painting…", failed: "Not painted",
    cancelled: "Cancelled", done: row.size ? `${row.size[0]} × ${row.size[1]} · ${row.seconds.toFixed(1)} s` : "",
    stopped: row.error ? "Time limit reached; this is the picture so far" : `Stopped at step ${row.step} of ${row.steps}`,
  };
  if (!row.draft || row.state === "done") $("status").textContent = row.draft ? "Draft" : text[row.state];
}

export function showRefine(running = false) {
  $("refine").hidden = running || !canOptimise() || Boolean(state.film);
  $("paint-film").hidden = !state.film || !state.styles.size;
}

export async function show(path, id = state.job) {
  const url = await picture(path), image = new Image();
  image.src = url;
  await image.decode();
  if (id !== state.job) return;
  const old = $("after").src;
  $("after").src = url;
  $("after").classList.remove("empty");
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
}

$("cancel").onclick = attempt(() => request("DELETE", `/api/jobs/${state.job}`));
$("download").onclick = attempt(async () => {
  const { id, kind } = state.result;
  save(await blob(`/api/jobs/${id}/result`), `impasto-${id}.${kind === "film" ? "mp4" : "png"}`);
});
