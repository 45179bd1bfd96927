// Background jobs: films, trainings, sheets. Each has a line with its progress and a stop button.
import { blob, events, json, picture, request, save } from "./api.js";
import { $, announce, attempt, make, say, spelt, state } from "./state.js";

const NAMES = { film: (row) => `Clip in ${spelt(row.title)}`, learn: (row) => `Learning ${spelt(row.title)}`, sheet: () => "Sheet of every style" };
let watched = null, finished = { film: async () => {} };

export const filmsFinishWith = (work) => { finished.film = work; };

export const watch = attempt(async (job, { open = false } = {}) => {
  const line = lineOf(job);
  $("queue").append(line.item);
  $("queue").hidden = false;
  if (open) openWatch(job);
  let shown = 0, last = job;
  try {
    for await (const row of events(job.id)) {
      last = row;
      line.show(row);
      if (row.previews > shown && watched === job.id) { shown = row.previews; await showWatched(row); }
      else if (watched === job.id) stateOf(row);
    }
  } finally {
    line.end(last);
  }
  if (last.state === "failed") say(`${NAMES[job.kind](job)}: ${last.error}`);
  else if (last.state !== "cancelled") await end(last);
});

async function end(row) {
  if (row.kind === "learn") {
    const { request: { name, picture: id } } = await json("GET", `/api/jobs/${row.id}`);
    state.learned = { name, picture: id };
    announce("learned");
    $("status").textContent = `The style ${spelt(row.title)} is ready`;
  } else if (row.kind === "sheet") save(await blob(`/api/jobs/${row.id}/result`), "impasto-sheet.png");
  else await finished.film(row);
}

function lineOf(job) {
  const name = make("span", { textContent: NAMES[job.kind](job) }), note = make("small", { textContent: "Waiting…" });
  const bar = make("progress", { max: 1, attributes: { "aria-label": name.textContent } });
  const stop = make("button", { textContent: "Stop", className: "quiet", attributes: { "aria-label": `Stop: ${name.textContent}` } });
  stop.onclick = attempt(() => request("DELETE", `/api/jobs/${job.id}`));
  const item = make("li", {}, name, stop, bar, note);
  if (job.kind !== "sheet") {
    const look = make("button", { textContent: "Watch", className: "quiet", attributes: { "aria-label": `Watch: ${name.textContent}` }, onclick: () => openWatch(last) });
    stop.before(look);
  }
  let last = job, first = null;
  return {
    item,
    show(row) {
      last = row;
      if (row.steps) bar.value = row.step / row.steps;
      if (row.step) first ??= { step: row.step, at: performance.now() };  // what comes before takes a time of its own
      note.textContent = row.state === "queued" ? "Waiting…" : row.steps ? `${row.step} of ${row.steps}${left(row, first)}` : "Starting…";
    },
    end() {
      item.remove();
      $("queue").hidden = !$("queue").children.length;
    },
  };
}

function left(row, first) {
  if (!first || row.step === first.step || row.step === row.steps) return "";
  const seconds = ((performance.now() - first.at) / 1000 / (row.step - first.step)) * (row.steps - row.step);
  return seconds < 90 ? `, about ${Math.ceil(seconds / 5) * 5} s left` : `, about ${Math.ceil(seconds / 60)} min left`;
}

// Watching a job

function openWatch(job) {
  watched = job.id;
  $("h-watch").textContent = NAMES[job.kind](job);
  $("watched").removeAttribute("src");
  $("watch-state").textContent = "The first picture appears in about half a minute…";
  if (!$("watching").open) $("watching").showModal();
  if (job.previews) showWatched(job).catch(() => {});
  else stateOf(job);
}

async function showWatched(row) {
  $("watched").src = await picture(`/api/jobs/${row.id}/preview`);
  stateOf(row);
}

function stateOf(row) {
  if (row.steps) $("watch-state").textContent = `${row.kind === "film" ? "Frame" : "Step"} ${row.step} of ${row.steps}`;
  if (row.state === "done") $("watch-state").textContent = "Finished";
  if (row.state === "stopped") $("watch-state").textContent = "Stopped; the work so far is kept";
}
$("unwatch").onclick = () => $("watching").close();
$("watching").onclose = () => { watched = null; };
