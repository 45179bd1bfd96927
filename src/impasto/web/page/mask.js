// A brush for the region of each style; the strokes of all styles share one undo history.
import { json } from "./api.js";
import { $, attempt, labelOf, make, on, state } from "./state.js";
import { drafted, paint } from "./paint.js";

const canvas = $("mask"), pen = canvas.getContext("2d");
const COLOURS = ["#ff7a3c", "#3ca0ff", "#5ac46a", "#c96bff", "#ffd23c", "#ff5c8a"];
let strokes = [], stroke = null, erase = false, region = "all", sent = 0;

function resize() {
  const { width, height } = state.content, ratio = Math.min(1, 1024 / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
}

export function reset() {
  strokes = [];
  state.masks.clear();
  $("masked").checked = false;
  $("brush").hidden = canvas.hidden = true;
}

function keys() {
  return state.styles.size > 1 ? [...state.styles.keys()] : ["all"];
}
const colour = (key) => COLOURS[Math.max(0, keys().indexOf(key)) % COLOURS.length];

export function showRegions() {
  if (!keys().includes(region)) region = keys()[0];
  $("regions").hidden = keys().length < 2;
  $("regions").replaceChildren(...keys().map((key) => {
    const input = make("input", { type: "radio", name: "region", value: key, checked: key === region, onchange: () => { region = key; } });
    const text = make("span", { textContent: key === "all" ? "All" : labelOf(key) });
    text.style.setProperty("--swatch", colour(key));
    return make("label", { className: "swatch" }, input, text);
  }));
  draw();
}

function shownScale() {
  const box = canvas.getBoundingClientRect();
  return Math.min(box.width / canvas.width, box.height / canvas.height);
}

// The position of a pointer on the canvas, which object-fit centres in its box.
function place(event) {
  const box = canvas.getBoundingClientRect(), scale = shownScale();
  return {
    x: (event.clientX - box.left - (box.width - canvas.width * scale) / 2) / scale,
    y: (event.clientY - box.top - (box.height - canvas.height * scale) / 2) / scale,
    size: Number($("brush-size").value) / scale,
  };
}

function drawStrokes(target, key, colourOf) {
  target.lineCap = target.lineJoin = "round";
  for (const { points, region: of, erase: erases } of strokes) {
    if (of !== key && !erases) continue;
    target.globalCompositeOperation = erases ? "destination-out" : "source-over";
    target.strokeStyle = colourOf;
    target.lineWidth = points[0].size;
    target.beginPath();
    target.moveTo(points[0].x, points[0].y);
    for (const point of points) target.lineTo(point.x + 0.01, point.y);
    target.stroke();
  }
  target.globalCompositeOperation = "source-over";
}

function layer(key, colourOf) {
  const made = new OffscreenCanvas(canvas.width, canvas.height);
  drawStrokes(made.getContext("2d"), key, colourOf);
  return made;
}

function draw() {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (canvas.hidden) return;
  for (const key of new Set(strokes.map((one) => one.region))) pen.drawImage(layer(key, colour(key)), 0, 0);
  if (canvas.matches(":focus-visible")) showCursor();
}

// The mask of a style: its strokes; without strokes, the area that no other style has marked.
async function uploaded(key, marked) {
  const flat = new OffscreenCanvas(canvas.width, canvas.height), target = flat.getContext("2d");
  target.fillRect(0, 0, flat.width, flat.height);
  if (marked.includes(key)) target.drawImage(layer(key, "#fff"), 0, 0);
  else {
    target.fillStyle = "#fff";
    target.fillRect(0, 0, flat.width, flat.height);
    for (const other of marked) target.drawImage(layer(other, "#000"), 0, 0);
  }
  return (await json("PUT", "/api/pictures", await flat.convertToBlob({ type: "image/png" }))).id;
}

// Send the masks, and paint, unless there was a newer stroke in between.
const apply = attempt(async () => {
  sent += 1;
  const mine = sent, marked = [...new Set(strokes.filter((one) => !one.erase).map((one) => one.region))].filter((key) => keys().includes(key));
  const masked = marked.length ? keys() : [], ids = await Promise.all(masked.map((key) => uploaded(key, marked)));
  if (mine !== sent) return;
  state.masks = new Map(masked.map((key, index) => [key, ids[index]]));
  await paint();
});

canvas.addEventListener("pointerdown", (event) => {
  event.stopPropagation();
  canvas.setPointerCapture(event.pointerId);
  strokes.push((stroke = { points: [place(event)], region, erase }));
  draw();
});
canvas.addEventListener("pointermove", (event) => {
  if (!stroke) return;
  stroke.points.push(place(event));
  draw();
});
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { if (stroke) finish(); });

function finish() {
  stroke = null;
  apply();
}

// By keys: arrows move the brush, Space paints while it is held, Enter starts and ends a stroke.
const cursor = { x: 0.5, y: 0.5 };
const at = () => ({ x: cursor.x * canvas.width, y: cursor.y * canvas.height, size: Number($("brush-size").value) / shownScale() });
canvas.addEventListener("keydown", (event) => {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
  const starts = (event.key === " " && !stroke) || event.key === "Enter";
  if (!dx && !dy && !starts && event.key !== " ") return;
  event.preventDefault();
  event.stopPropagation();
  const step = (event.shiftKey ? 0.1 : 0.02) * Math.max(canvas.width, canvas.height);
  cursor.x = Math.min(1, Math.max(0, cursor.x + (dx * step) / canvas.width));
  cursor.y = Math.min(1, Math.max(0, cursor.y + (dy * step) / canvas.height));
  if (event.key === "Enter" && stroke) finish();
  else if (starts && !event.repeat) strokes.push((stroke = { points: [at()], region, erase }));
  else if (stroke) stroke.points.push(at());
  draw();
});
canvas.addEventListener("keyup", (event) => { if (event.key === " " && stroke) finish(); });
canvas.addEventListener("focus", () => draw());
canvas.addEventListener("blur", () => { if (stroke) finish(); draw(); });

function showCursor() {
  const { x, y, size } = at();
  pen.lineWidth = size / 14;
  for (const [style, wider] of [["#000", pen.lineWidth / 2], ["#fff", 0]]) {
    pen.strokeStyle = style;
    pen.beginPath();
    pen.arc(x, y, size / 2 + wider, 0, 2 * Math.PI);
    pen.stroke();
  }
}

$("masked").onchange = () => {
  const open = $("masked").checked;
  $("brush").hidden = canvas.hidden = !open;
  if (open) { resize(); showRegions(); if (strokes.length) apply(); }
  else if (state.masks.size) { state.masks.clear(); paint(); }
};
$("erase").onclick = () => { erase = !erase; $("erase").setAttribute("aria-pressed", erase); };
$("undo").onclick = () => { if (strokes.pop()) { draw(); apply(); } };
$("clear").onclick = () => { strokes = []; draw(); apply(); };
$("brush-size").oninput = () => { $("brush-value").textContent = `${$("brush-size").value} px`; };
$("feather").oninput = () => { $("feather-value").textContent = `${$("feather").value} %`; if (state.masks.size) drafted(); };
$("feather").onchange = () => { if (state.masks.size) paint(); };
on("styles", () => { if (!canvas.hidden) showRegions(); });
