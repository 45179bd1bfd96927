// The paintings of this session: thumbnails, step back, and their settings.
import { picture } from "./api.js";
import { $, attempt, make, on, state } from "./state.js";
import { show } from "./paint.js";

const items = [];  // {row, request, content, button}
let at = -1, bring = async () => {};

export const restoresWith = (work) => { bring = work; };

export async function remember(row, request, { content, film } = {}) {
  if (items.some((item) => item.row.id === row.id)) return;
  const image = make("img", { src: await picture(`/api/jobs/${row.id}/preview`), alt: `Painting ${items.length + 1}: ${row.title}` });
  const item = { row, request, content, film };
  item.button = make("button", { title: row.title, onclick: () => goTo(items.indexOf(item)) }, image);
  $("history").append(make("li", {}, item.button));
  items.push(item);
  mark(items.length - 1);
  item.button.scrollIntoView({ inline: "end", block: "nearest" });
}

function mark(index) {
  at = index;
  items.forEach((item, i) => item.button.setAttribute("aria-current", i === at));
  $("back").disabled = at < 1;
}

const goTo = attempt(async (index) => {
  const item = items[index];
  if (!item) return;
  state.job = item.row.id;
  state.result = item.row;
  mark(index);
  await bring(item);
  await show(`/api/jobs/${item.row.id}/preview`);
  $("download").hidden = false;
  $("status").textContent = `${item.row.size.join(" × ")} · painting ${index + 1} of ${items.length}`;
});

export const stepBack = () => goTo(at - 1);
$("back").onclick = stepBack;
addEventListener("keydown", (event) => {
  const writes = event.target.matches("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select");
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !writes && at > 0) { event.preventDefault(); stepBack(); }
});
