// Clips: preview on three frames, painting in the background, and playback beside the source.
import { blob, events, json, picture, upload } from "./api.js";
import { $, attempt, make, say, state } from "./state.js";
import { changed } from "./options.js";
import { paint, request_of } from "./paint.js";
import { filmsFinishWith, watch } from "./jobs.js";
import * as viewer from "./viewer.js";

let show_content = async () => {}, originals = new Map(), rounds = 0;
export const framesShownBy = (work) => { show_content = work; };

export const openFilm = attempt(async (file) => {
  const sent = await upload("/api/films", file, (part) => { $("status").textContent = part < 1 ? `Uploading, ${Math.round(100 * part)} %` : "Reading the clip…"; });
  originals.set(sent.id, file);
  await showFilm(sent);
});

export async function showFilm(film) {
  state.film = film;
  sessionStorage.setItem("impasto-film", JSON.stringify(film));
  const buttons = await Promise.all(film.frames.map(async (id, index) => {
    const image = make("img", { alt: "", src: await picture(`/api/pictures/${id}`) });
    return make("button", { onclick: () => showFrame(index), dataset: { frame: index }, attributes: { "aria-label": `Frame ${index + 1} of ${film.frames.length}` } }, image);
  }));
  $("frames").replaceChildren(...buttons);
  $("frames").hidden = false;
  document.querySelector(".tag.left").textContent = "Clip";
  await showFrame(Math.min(1, film.frames.length - 1));
}

export function closeFilm() {
  state.film = null;
  sessionStorage.removeItem("impasto-film");
  $("frames").hidden = true;
  document.querySelector(".tag.left").textContent = "Photo";
  closePlayer();
}

const showFrame = attempt(async (index) => {
  closePlayer();
  const { frames, width, height, duration_s, fps } = state.film;
  for (const button of $("frames").children) button.setAttribute("aria-pressed", Number(button.dataset.frame) === index);
  await show_content({ id: frames[index], width, height });
  $("status").textContent = `${width} × ${height} · ${duration_s.toFixed(1)} s · ${fps.toFixed(0)} frames a second`;
  await paint();
});

// Small previews of the other frames, once the visible one is painted.
export const previewFrames = attempt(async () => {
  if (!state.film) return;
  rounds += 1;
  const mine = rounds, look = request_of();
  look.size = { size: 320 };
  for (const [index, id] of state.film.frames.entries()) {
    const image = $("frames").children[index]?.firstChild;
    if (id === state.content.id) { image.src = $("after").src; continue; }
    const job = await json("POST", "/api/jobs", { ...look, content: id });
    for await (const row of events(job.id)) {
      if (mine !== rounds || !state.film) return;
      if (row.state === "done") image.src = await picture(`/api/jobs/${job.id}/preview`);
    }
  }
});

$("paint-film").onclick = attempt(async () => {
  const look = request_of();
  const job = await json("POST", "/api/jobs", { ...look, ...changed(state.film_changes), film: state.film.id });
  watch({ ...job, film: state.film.id });
  $("status").textContent = "Painting the clip in the background";
});

// Playback

filmsFinishWith(attempt(async (row) => {
  const { request } = await json("GET", `/api/jobs/${row.id}`);
  await play(row, request.film);
}));

export async function play(row, film) {
  const [before, after] = [$("before-film"), $("after-film")];
  after.src = URL.createObjectURL(await blob(`/api/jobs/${row.id}/result`));
  const original = originals.get(film) ?? await blob(`/api/films/${film}`).catch(() => null);
  before.onerror = () => say("This browser cannot play the original clip. Only the painted one is played.");
  if (original) before.src = URL.createObjectURL(original);
  for (const element of [before, after]) element.hidden = false;
  for (const element of [$("before"), $("after")]) element.hidden = true;
  state.result = row;
  state.job = row.id;
  $("play").hidden = $("download").hidden = false;
  $("status").textContent = `${row.size.join(" × ")} · ${row.steps} frames · ${row.seconds.toFixed(0)} s`;
  viewer.setMode("side");
  await setPlaying(true);
}

async function setPlaying(playing) {
  const films = [$("before-film"), $("after-film")];
  $("play").textContent = playing ? "Pause" : "Play";
  $("play").setAttribute("aria-pressed", playing);
  if (playing) { films[0].currentTime = films[1].currentTime; await Promise.all(films.map((film) => film.play().catch(() => {}))); }
  else films.forEach((film) => film.pause());
}
$("play").onclick = () => setPlaying($("after-film").paused);
$("after-film").ontimeupdate = () => {
  const [before, after] = [$("before-film"), $("after-film")];
  if (Math.abs(before.currentTime - after.currentTime) > 0.12) before.currentTime = after.currentTime;
};

function closePlayer() {
  if ($("after-film").hidden) return;
  for (const film of [$("before-film"), $("after-film")]) { film.pause(); film.removeAttribute("src"); film.hidden = true; }
  for (const image of [$("before"), $("after")]) image.hidden = false;
  $("play").hidden = true;
}
export { closePlayer };
