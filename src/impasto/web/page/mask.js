// A brush that marks where to paint: white on transparent, over the photo.
const $ = (id) => document.getElementById(id);
const canvas = $("mask"), pen = canvas.getContext("2d");
let strokes = [], stroke = null;

export function open(width, height) {
  const ratio = Math.min(1, 1024 / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  strokes = [];
  canvas.hidden = false;
}
export const close = () => { canvas.hidden = true; };
export const empty = () => strokes.length === 0;
export function undo() { strokes.pop(); draw(); }
export function clear() { strokes = []; draw(); }

// The place of a pointer on the canvas, which object-fit centres in its box.
function place(event) {
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  return {
    x: (event.clientX - box.left - (box.width - canvas.width * scale) / 2) / scale,
    y: (event.clientY - box.top - (box.height - canvas.height * scale) / 2) / scale,
    size: Number($("brush-size").value) / scale,
  };
}

function draw(colour = "#ff7a3c") {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = colour;
  for (const points of strokes) {
    pen.lineWidth = points[0].size;
    pen.beginPath();
    pen.moveTo(points[0].x, points[0].y);
    for (const point of points) pen.lineTo(point.x + 0.01, point.y);
    pen.stroke();
  }
}

export function blob() {
  draw("#fff");
  const flat = new OffscreenCanvas(canvas.width, canvas.height), target = flat.getContext("2d");
  target.fillRect(0, 0, flat.width, flat.height);
  target.drawImage(canvas, 0, 0);
  draw();
  return flat.convertToBlob({ type: "image/png" });
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  strokes.push((stroke = [place(event)]));
  draw();
});
canvas.addEventListener("pointermove", (event) => {
  if (!stroke) return;
  stroke.push(place(event));
  draw();
});
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { stroke = null; });
