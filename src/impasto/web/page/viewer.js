// The picture before and after: fit, zoom, pan, divider.
const $ = (id) => document.getElementById(id);
const viewer = $("viewer"), canvas = $("canvas");
const view = { scale: 1, x: 0, y: 0, cut: 0.5 };
const pointers = new Map();
let dragging = null;

export function setMode(mode) {
  viewer.classList.toggle("slide", mode === "slide");
  viewer.classList.toggle("side", mode === "side");
  draw();
}

export function fit() {
  Object.assign(view, { scale: 1, x: 0, y: 0 });
  draw();
}

export function toggleZoom() {
  const image = $("before");
  const shown = Math.min(canvas.clientWidth / image.naturalWidth, canvas.clientHeight / image.naturalHeight);
  if (view.scale !== 1) return fit();
  zoomAt(Math.max(1.5, 1 / shown), viewer.clientWidth / 2, viewer.clientHeight / 2);
}

function zoomAt(scale, px, py) {
  scale = Math.min(12, Math.max(1, scale));
  const ratio = scale / view.scale, left = canvas.offsetLeft, top = canvas.offsetTop;
  view.x = px - left - (px - left - view.x) * ratio;
  view.y = py - top - (py - top - view.y) * ratio;
  view.scale = scale;
  if (scale === 1) view.x = view.y = 0;
  draw();
}

export function draw() {
  canvas.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  viewer.style.setProperty("--cut", `${view.cut * 100}%`);
  const inside = (view.cut * viewer.clientWidth - canvas.offsetLeft - view.x) / view.scale;
  viewer.style.setProperty("--cut-image", `${Math.min(100, Math.max(0, (inside / canvas.clientWidth) * 100))}%`);
  $("zoom").textContent = view.scale === 1 ? "Fit" : `${Math.round(view.scale * 100)} %`;
}

viewer.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomAt(view.scale * Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
}, { passive: false });

viewer.addEventListener("pointerdown", (event) => {
  if (event.target.id === "mask") return;
  viewer.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  const slides = viewer.classList.contains("slide");
  const near = Math.abs(event.clientX - viewer.getBoundingClientRect().left - view.cut * viewer.clientWidth) < 28;
  dragging = pointers.size === 2 ? "pinch" : slides && (near || view.scale === 1) ? "cut" : "pan";
});

viewer.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (!last) return;
  if (dragging === "cut") {
    const box = viewer.getBoundingClientRect();
    view.cut = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  } else if (dragging === "pan" && view.scale > 1) {
    view.x += event.clientX - last.clientX;
    view.y += event.clientY - last.clientY;
  } else if (dragging === "pinch" && pointers.size === 2) {
    const [a, b] = [...pointers.values()];
    const before = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    pointers.set(event.pointerId, event);
    const [c, d] = [...pointers.values()];
    const box = viewer.getBoundingClientRect();
    zoomAt(view.scale * Math.hypot(c.clientX - d.clientX, c.clientY - d.clientY) / before,
      (c.clientX + d.clientX) / 2 - box.left, (c.clientY + d.clientY) / 2 - box.top);
  }
  pointers.set(event.pointerId, event);
  draw();
});
for (const end of ["pointerup", "pointercancel"]) viewer.addEventListener(end, (event) => pointers.delete(event.pointerId));

viewer.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
  if (step) view.cut = Math.min(1, Math.max(0, view.cut + step));
  else if (event.key === "+") zoomAt(view.scale * 1.25, viewer.clientWidth / 2, viewer.clientHeight / 2);
  else if (event.key === "-") zoomAt(view.scale / 1.25, viewer.clientWidth / 2, viewer.clientHeight / 2);
  else return;
  event.preventDefault();
  draw();
});
new ResizeObserver(draw).observe(viewer);
