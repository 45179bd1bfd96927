// The studio: input of pictures, controls, and restoring the session after a reload.
import { events, json, picture } from "./api.js";
import { $, attempt, make, on, say, spelt, state } from "./state.js";
import { fields, fill } from "./options.js";
import { follow, paint, slides } from "./paint.js";
import { addOwn, addStyles, choose, isSavedStyle, loadStyles, restoreOwn, showChosen, showLearningOptions } from "./styles.js";
import { remember, restoresWith } from "./history.js";
import { closeFilm, closePlayer, framesShownBy, openFilm, previewFrames, showFilm } from "./films.js";
import { watch } from "./jobs.js";
import * as mask from "./mask.js";
import * as viewer from "./viewer.js";

// Pictures in

const open = attempt(async (files) => {
  const before = $("status").textContent;
  try {
    await opened(files);
  } catch (error) {
    $("status").textContent = before;
    throw error;
  }
});

async function opened([file, ...more]) {
  if (!file) return;
  if (file.type.startsWith("video/")) { await openFilm(file); return; }
  if (isSavedStyle(file)) { await addStyles([file, ...more]); return; }
  $("status").textContent = "Opening…";
  const sent = await json("PUT", "/api/pictures", file);
  if (sent.painted) await bringBack(await json("GET", `/api/pictures/${sent.id}/recipe`), sent);
  else {
    closeFilm();
    await showContent(sent);
    if (more.length) await addStyles(more);
    else await paint();
  }
}

async function showContent(sent) {
  const url = await picture(`/api/pictures/${sent.id}`), image = new Image();
  image.src = url;
  await image.decode();
  $("before").src = url;
  $("after").removeAttribute("src");
  $("after").classList.add("empty");
  if (state.content?.id !== sent.id) mask.reset();
  state.content = sent;
  sessionStorage.setItem("impasto-content", JSON.stringify(sent));
  $("welcome").hidden = true;
  for (const id of ["viewer", "tools", "masking"]) $(id).hidden = false;
  $("sheet").disabled = false;
  $("keep").nextElementSibling.textContent = state.film ? "Keep the clip's colours" : "Keep the photo's colours";
  $("status").textContent = `${sent.width} × ${sent.height}`;
  viewer.fit();
}
framesShownBy(showContent);

// A finished picture restores its settings, and its photo if that is still stored.
async function bringBack(recipe, painting) {
  await settings({ ...recipe.options, styles: recipe.styles });
  if (recipe.content) {
    const { id } = painting;
    closeFilm();
    await showContent(await sizeOf(recipe.content));
    $("after").src = await picture(`/api/pictures/${id}`);
    $("after").classList.remove("empty");
    $("status").textContent = "Restored the settings of this painting";
  } else if (state.content) {
    say("The settings of that painting are restored, and applied to your photo.");
    await paint();
  } else {
    await showContent(painting);
    say("The settings of this painting are restored. Open its photo, or another one, to paint with them.");
  }
}

async function sizeOf(id) {
  const image = new Image();
  image.src = await picture(`/api/pictures/${id}`);
  await image.decode();
  return { id, width: image.naturalWidth, height: image.naturalHeight };
}

// Put the settings of a request, or of a recipe, into the controls.
async function settings(request) {
  const styles = request.styles.filter((style) => style.name || style.picture || style.saved), lost = request.styles.length - styles.length;
  state.styles.clear();
  state.masks.clear();
  for (const { name, picture: id, saved, weight = 1, mask: region } of styles) {
    const key = name ?? await (saved ? addOwn(saved, "saved style", "saved") : addOwn(id, "your picture"));
    state.styles.set(key, { ...(name ? { name } : saved ? { saved } : { picture: id }), weight });
    if (region) state.masks.set(styles.length > 1 ? key : "all", region);
  }
  if (lost) say("A style picture is no longer stored. Add it again.");
  const { paint: look = {}, size = {}, colour = {} } = request;
  $("strength").value = look.strength ?? 1;
  $("method").value = look.method ?? "auto";
  if (size.size) $("size").value = size.size;
  const scale = styles.find((style) => style.scale)?.scale ?? 1;
  $("scale").value = Math.log2(scale);
  $("keep").checked = Boolean(colour.keep_colours && colour.keep_colours !== "no");
  $("seed").value = request.optimise?.seed ?? request.fast?.noise_seed ?? 0;
  $("feather").value = 100 * (look.feather ?? 0.02);
  fill($("all"), state.groups, { values: rest(request), changes: state.changes });
  showValues();
  showChosen();
}

// The values of options without a control of their own.
function rest(request) {
  const values = structuredClone(Object.fromEntries(state.groups.map(({ group }) => [group, request[group] ?? {}])));
  for (const [group, names] of Object.entries(OWN)) for (const name of names) delete values[group]?.[name];
  return values;
}
const OWN = { paint: ["strength", "method", "feather"], size: ["size"], colour: ["keep_colours"], optimise: ["seed"], fast: ["noise_seed"] };

restoresWith(async ({ request, content, film }) => {
  closePlayer();
  if (film) return;
  if (content && content.id !== state.content?.id) await showContent(content);
  await settings(request);
});
on("painted", attempt(async () => {
  const row = state.result, { request } = await json("GET", `/api/jobs/${row.id}`);
  await remember(row, request, { content: state.content });
  await previewFrames();
}));
on("learned", attempt(async () => {
  const { name, picture: id } = state.learned;
  await loadStyles();
  showChosen();
  const [chosen, ...others] = state.styles.values();
  if (chosen?.picture === id && !others.length) choose(name, false);  // the painting makes room for what was learned from it
  $("wall").querySelector(`[data-key="${CSS.escape(name)}"]`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
}));

// Controls

function showValues() {
  $("strength-value").textContent = Number($("strength").value);
  $("size-value").textContent = `${$("size").value} px`;
  $("scale-value").textContent = `${(2 ** Number($("scale").value)).toFixed(2).replace(/\.?0+$/, "")} ×`;
  $("feather-value").textContent = `${Math.round($("feather").value)} %`;
}
for (const id of ["strength", "size", "scale"]) slides($(id), showValues, { drafts: id !== "size" });
for (const id of ["keep", "method", "seed"]) $(id).onchange = () => paint();
$("dice").onclick = () => { $("seed").value = 1 + Math.floor(Math.random() * 9999); paint(); };
$("refine").onclick = () => paint({ refine: true });
$("choose").onclick = $("open").onclick = () => $("file").click();
for (const [id, work] of [["file", open], ["photo-file", open], ["style-file", addStyles]]) {
  $(id).onchange = async (event) => { const files = [...event.target.files]; event.target.value = ""; if (files.length) await work(files); };
}

// Every style on a sheet

$("sheet").onclick = attempt(async () => {
  $("gallery").showModal();
  $("cells").replaceChildren();
  const names = [...state.known.keys()];
  const cells = names.map((name) => {
    const image = make("img", { alt: "" });
    const button = make("button", { onclick: () => { $("gallery").close(); choose(name, false); } }, image, make("span", { textContent: spelt(name) }));
    $("cells").append(button);
    return image;
  });
  for (const [index, name] of names.entries()) {
    if (!$("gallery").open) return;
    const job = await json("POST", "/api/jobs", { content: state.content.id, styles: [{ name }], size: { size: 320 }, draft: true });
    for await (const row of events(job.id)) if (row.state === "done") cells[index].src = await picture(`/api/jobs/${job.id}/preview`);
  }
});
$("ungallery").onclick = () => $("gallery").close();
$("save-sheet").onclick = attempt(async () => {
  watch(await json("POST", "/api/sheets", { content: state.content.id, size: 480 }));
  $("gallery").close();
});

// Drop, paste, camera

const isFile = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!isFile(event)) return;
  event.preventDefault();
  $("drop").hidden = false;
  $("drop").firstChild.textContent = state.content && event.clientX > $("stage").getBoundingClientRect().right ? "Drop it as a style" : "Drop it";
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").hidden = true; });
addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").hidden = true;
  const files = [...event.dataTransfer.files];
  if (event.target.closest("aside") && state.content) addStyles(files);
  else open(files);
});
addEventListener("paste", (event) => {
  const files = [...event.clipboardData.items].filter((entry) => entry.type.startsWith("image/")).map((entry) => entry.getAsFile());
  if (files.length) open(files);
});

$("camera").onclick = attempt(async () => {
  if (!navigator.mediaDevices) { $("photo-file").click(); return; }  // phones open their camera
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280 } }).catch(() => { throw new Error("No camera is available. Allow camera access in the browser, or choose a photo."); });
  $("video").srcObject = stream;
  $("snap").showModal();
  $("snap").onclose = () => stream.getTracks().forEach((track) => track.stop());
});
$("unsnap").onclick = () => $("snap").close();
$("shoot").onclick = async () => {
  const frame = new OffscreenCanvas($("video").videoWidth, $("video").videoHeight);
  frame.getContext("2d").drawImage($("video"), 0, 0);
  $("snap").close();
  await open([await frame.convertToBlob({ type: "image/png" })]);
};

// Start: styles, options, and the session before a reload

async function showOptions() {
  const { groups, film, learn, methods } = await json("GET", "/api/options");
  state.methods = methods;
  state.groups = groups.map(({ group, about, options }) => ({ group, about, options: options.filter(({ name }) => !OWN[group]?.includes(name)) }))
    .filter(({ options }) => options.length);
  const choices = groups.flatMap(({ group, options }) => (group === "paint" ? options : [])).find(({ name }) => name === "method").choices;
  const labels = { auto: "Automatic", arbitrary: "One pass, any style", fast: "One pass, trained", optimise: "Optimisation" };
  $("method").replaceChildren(...choices.map((name) => new Option(labels[name] ?? name, name)));
  $("all").replaceChildren(...fields(state.groups, state.changes, () => paint()), ...fields(film, state.film_changes));
  showLearningOptions(learn);
}

async function goOn() {
  const { jobs } = await json("GET", "/api/jobs");
  for (const job of jobs) if (["queued", "running"].includes(job.state) && job.kind !== "paint") watch(job);
  const film = JSON.parse(sessionStorage.getItem("impasto-film")), sent = JSON.parse(sessionStorage.getItem("impasto-content"));
  const painted = jobs.filter((job) => job.kind === "paint" && !job.draft && job.live), last = painted.at(-1);
  for (const job of painted) if (["done", "stopped"].includes(job.state)) await remember(job, job.request, { content: await sizeOf(job.request.content).catch(() => null) });
  if (last) await settings(last.request);
  if (last?.request.paint?.method === "optimise") $("method").value = "auto";  // a refinement: the next photo is painted in one pass
  if (film) { await showFilm(film).catch(() => sessionStorage.removeItem("impasto-film")); return; }
  if (!sent) return;
  await showContent(sent).catch(() => sessionStorage.removeItem("impasto-content"));  // from before a restart of the studio
  if (!last || !state.content) return;
  state.job = last.id;
  await follow(last.id);
}

attempt(async () => {
  $("local").hidden = !["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);
  showValues();
  await Promise.all([loadStyles(), showOptions()]);
  const first = state.known.keys().next().value;
  if (first) state.styles.set(first, { name: first, weight: 1 });
  showChosen();
  await restoreOwn();
  await goOn();
  document.body.dataset.ready = "yes";
})();
