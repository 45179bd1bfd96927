// The photo and the painting: fit, zoom, pan, divider, and a tap to see the photo.
import { $, state } from "./state.js";

const viewer = $("viewer"), canvas = $("canvas");
const view = { scale: 1, x: 0, y: 0, cut: 0.5 };
const pointers = new Map();
let dragging = null, moved = 0, last_tap = 0;

export function setMode(mode) {
  viewer.classList.toggle("slide", mode === "slide");
  viewer.classList.toggle("side", mode === "side");
  viewer.classList.remove("original");
  for (const input of document.getElementsByName("view")) input.checked = input.value === mode;
  draw();
}

export function fit() {
  Object.assign(view, { scale: 1, x: 0, y: 0 });
  draw();
}

export function toggleZoom() {
  if (view.scale !== 1) return fit();
  const image = $("before"), parts = viewer.classList.contains("side") ? 2 : 1;
  const shown = Math.min(canvas.clientWidth / parts / image.naturalWidth, canvas.clientHeight / image.naturalHeight);
  return zoomAt(Math.max(2, 1 / shown), viewer.clientWidth / 2, viewer.clientHeight / 2);
}

// Both pictures move together; side by side, the same position in either is the same place of the picture.
function zoomAt(scale, px, py) {
  scale = Math.min(16, Math.max(1, scale));
  const ratio = scale / view.scale, width = canvas.clientWidth / (viewer.classList.contains("side") ? 2 : 1);
  const left = (px - canvas.offsetLeft) % width, top = py - canvas.offsetTop;
  view.x = left - (left - view.x) * ratio;
  view.y = top - (top - view.y) * ratio;
  view.scale = scale;
  draw();
}

function bounded() {
  const width = canvas.clientWidth / (viewer.classList.contains("side") ? 2 : 1), height = canvas.clientHeight;
  view.x = Math.min(0, Math.max(view.x, width * (1 - view.scale)));
  view.y = Math.min(0, Math.max(view.y, height * (1 - view.scale)));
}

export function draw() {
  bounded();
  const move = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  viewer.style.setProperty("--move", move);
  viewer.style.setProperty("--cut", `${view.cut * 100}%`);
  viewer.style.setProperty("--cut-pane", `${view.cut * viewer.clientWidth - canvas.offsetLeft}px`);
  placeTags();
  viewer.classList.toggle("zoomed", view.scale > 1);
  $("zoom").textContent = view.scale === 1 ? "Fit" : `${Math.round(view.scale * 100)} %`;
}

// The tags are in the upper corners of the pictures, or of the canvas once they are zoomed.
function placeTags() {
  if (!state.content) return;
  const wide = canvas.clientWidth / (viewer.classList.contains("side") ? 2 : 1), high = canvas.clientHeight;
  const scale = Math.min(wide / state.content.width, high / state.content.height);
  const margins = [wide - scale * state.content.width, high - scale * state.content.height];
  const [x, y] = margins.map((margin) => 10 + (view.scale > 1 ? 0 : Math.max(0, margin / 2)));
  viewer.style.setProperty("--tag-x", `${canvas.offsetLeft + x}px`);
  viewer.style.setProperty("--tag-y", `${canvas.offsetTop + y}px`);
}

export function toggleOriginal(shown = !viewer.classList.contains("original")) {
  if (viewer.classList.contains("slide") || viewer.classList.contains("side")) return;
  viewer.classList.toggle("original", shown);
}

viewer.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = viewer.getBoundingClientRect();
  zoomAt(view.scale * Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

viewer.addEventListener("pointerdown", (event) => {
  if (event.target.id === "mask") return;
  viewer.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  if (pointers.size === 1) moved = 0;
  const slides = viewer.classList.contains("slide");
  const near = Math.abs(event.clientX - viewer.getBoundingClientRect().left - view.cut * viewer.clientWidth) < 28;
  dragging = pointers.size === 2 ? "pinch" : slides && (near || view.scale === 1) ? "cut" : "pan";
});

viewer.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (!last) return;
  moved += Math.hypot(event.clientX - last.clientX, event.clientY - last.clientY);
  const box = viewer.getBoundingClientRect();
  if (dragging === "cut") view.cut = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  else if (dragging === "pan" && view.scale > 1) {
    view.x += event.clientX - last.clientX;
    view.y += event.clientY - last.clientY;
  } else if (dragging === "pinch" && pointers.size === 2) pinch(event, box);
  pointers.set(event.pointerId, event);
  draw();
});

function pinch(event, box) {
  const [a, b] = [...pointers.values()];
  const before = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  pointers.set(event.pointerId, event);
  const [c, d] = [...pointers.values()];
  view.x += (c.clientX + d.clientX - a.clientX - b.clientX) / 2;
  view.y += (c.clientY + d.clientY - a.clientY - b.clientY) / 2;
  zoomAt(view.scale * Math.hypot(c.clientX - d.clientX, c.clientY - d.clientY) / Math.max(1, before),
    (c.clientX + d.clientX) / 2 - box.left, (c.clientY + d.clientY) / 2 - box.top);
}

viewer.addEventListener("pointerup", (event) => {
  if (!pointers.delete(event.pointerId) || pointers.size || moved > 6) return;
  const now = performance.now(), again = now - last_tap < 300;
  last_tap = again ? 0 : now;
  if (again) { toggleOriginal(false); toggleZoom(); } else toggleOriginal();
});
viewer.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));

viewer.addEventListener("keydown", (event) => {
  if (event.target !== viewer) return;
  const middle = [viewer.clientWidth / 2, viewer.clientHeight / 2], step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], rise = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (step && view.scale > 1 && !event.shiftKey) view.x -= 40 * step;
  else if (step) view.cut = Math.min(1, Math.max(0, view.cut + 0.02 * step));
  else if (rise && view.scale > 1) view.y += 40 * rise;
  else if (event.key === "+" || event.key === "=") zoomAt(view.scale * 1.25, ...middle);
  else if (event.key === "-") zoomAt(view.scale / 1.25, ...middle);
  else if (event.key === "0") fit();
  else if (event.key === " ") toggleOriginal();
  else return;
  event.preventDefault();
  draw();
});

$("zoom").onclick = toggleZoom;
$("full").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen());
$("full").hidden = !document.fullscreenEnabled;
document.addEventListener("fullscreenchange", () => {
  const text = document.fullscreenElement ? "Leave full screen" : "Full screen";
  $("full").lastElementChild.textContent = text;
  $("full").setAttribute("aria-label", text);
});
for (const input of document.getElementsByName("view")) input.onchange = () => setMode(input.value);
new ResizeObserver(draw).observe(viewer);
