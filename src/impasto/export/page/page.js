// The page: photo or camera, style, strength, and the painting, which the worker computes.
const $ = (id) => document.getElementById(id);
const view = $("view"), video = $("video");
const state = { source: null, photo: null, painted: null, style: 0, engine: "", wanted: false, painting: false, camera: null, held: false };
const MOST_LEVELS = 4;  // between WebGPU and WebAssembly
const words = { webgpu: "WebGPU", wasm: "WebAssembly" };
const address = new URLSearchParams(location.hash.slice(1));  // "#engine=wasm&size=256"
let page, worker, calls = new Map(), count = 0;

// An embedded part of the page, decompressed.
async function part(id) {
  const packed = await fetch(`data:application/gzip;base64,${$(id).textContent}`);
  return new Response(packed.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

function ask(message, transfer = []) {
  return new Promise((resolve, reject) => {
    calls.set(++count, { resolve, reject });
    worker.postMessage({ ...message, id: count }, transfer);
  });
}

async function startEngine(kind) {
  const texts = await Promise.all([part(`${kind}-script`), part("worker")]);
  worker?.terminate();
  worker = new Worker(URL.createObjectURL(new Blob([texts[0], "\n", texts[1]], { type: "text/javascript" })));
  worker.onmessage = ({ data }) => {
    const call = calls.get(data.id);
    calls.delete(data.id);
    if (data.error) call.reject(new Error(data.error)); else call.resolve(data);
  };
  worker.onerror = (event) => calls.forEach((call) => call.reject(new Error(event.message)));
  const models = {};
  for (const block of document.querySelectorAll('[id^="painter-"], #learner')) models[block.id] = await part(block.id);
  const [loader, binary] = await Promise.all([part(`${kind}-loader`), part(`${kind}-binary`)]);
  const trial = { painter: page.styles[0].painter, row: row(page.styles[0]) };
  const { levels } = await ask({ kind: "start", provider: kind, models, loader, binary, trial }, [loader, binary]);
  state.engine = kind;
  return levels;
}

// WebGPU if the page and the browser have it and it paints a trial picture as WebAssembly does (some drivers do not),
// otherwise WebAssembly; "#engine=wasm" in the address overrides this.
async function start() {
  const asked = address.get("engine");
  const suspends = "Suspending" in WebAssembly;  // required by the WebGPU runtime
  const adapter = $("webgpu-script") && suspends && asked !== "wasm" && await navigator.gpu?.requestAdapter().catch(() => null);
  if (adapter) {
    const right = await startEngine("wasm");
    try {
      const levels = await startEngine("webgpu"), apart = levels.reduce((most, level, i) => Math.max(most, Math.abs(level - right[i])), 0);
      if (apart > MOST_LEVELS) throw new Error(`the picture is ${apart} of 255 levels from WebAssembly's`);
    } catch (error) {
      if (asked === "webgpu") throw error;
      console.warn(`WebGPU does not work (${error.message}); WebAssembly paints.`);
      state.engine = "";
    }
  } else if (asked === "webgpu") throw new Error("This browser does not support WebGPU with JSPI.");
  if (!state.engine) await startEngine("wasm");
  if (state.engine === "webgpu" && !address.has("size")) setSize(640);
}

const row = (style) => style.values ??= new Float32Array(Uint8Array.from(atob(style.row), (c) => c.charCodeAt(0)).buffer);

function sized(width, height, long) {
  const unit = page.multiple_px, scale = Math.min(1, long / Math.max(width, height));
  return [width, height].map((side) => Math.max(unit * 2, Math.round((side * scale) / unit) * unit));
}

// The pixels of anything drawable, about `long` px on its long side.
function pixelsOf(source, long) {
  const [width, height] = sized(source.videoWidth ?? source.width, source.videoHeight ?? source.height, long);
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

// Paints ImageData with sides that are multiples of `multiple_px`; scripts call it as `impasto.painted`.
async function painted(photo, style) {
  const pixels = photo.data.slice();
  const { levels, ms } = await ask({
    kind: "paint", painter: style.painter, row: row(style), pixels, width: photo.width, height: photo.height,
  }, [pixels.buffer]);
  return { picture: new ImageData(levels, photo.width, photo.height), ms };
}

async function paint() {
  state.wanted = true;
  if (state.painting || !state.source) return;
  state.painting = true;
  $("busy").hidden = Boolean(state.camera);
  try {
    for (let began = performance.now(), rate = 0; state.wanted; ) {
      state.wanted = Boolean(state.camera);
      const photo = pixelsOf(state.source, Number($("size").value));
      const { picture, ms } = await painted(photo, page.styles[state.style]);
      Object.assign(state, { photo, painted: picture });
      draw();
      const now = performance.now();
      rate = rate ? 0.8 * rate + 0.2 * (now - began) : now - began;
      began = now;
      tell(photo, state.camera ? `${(1000 / rate).toFixed(1)} frames a second` : `${(ms / 1000).toFixed(2)} s`);
    }
  } catch (error) {
    problem(`The painting failed: ${error.message}`);
  } finally {
    state.painting = false;
    $("busy").hidden = true;
  }
}

function tell(photo, speed) {
  $("status").textContent = `${words[state.engine]} · ${photo.width} × ${photo.height} px · ${speed}`;
}

function draw() {
  const { photo, painted: picture, held } = state, strength = Number($("strength").value);
  if (!picture) return;
  const shown = new ImageData(photo.data.slice(), photo.width, photo.height);
  if (!held) for (let i = 0; i < shown.data.length; i++) shown.data[i] += strength * (picture.data[i] - photo.data[i]);
  view.width = photo.width;
  view.height = photo.height;
  view.getContext("2d").putImageData(shown, 0, 0);
  $("download").hidden = false;
}

function problem(text) {
  $("problem").textContent = text;
  $("problem").hidden = false;
  clearTimeout(problem.timer);
  problem.timer = setTimeout(() => ($("problem").hidden = true), 8000);
}

async function opened(file) {
  if (!file) return;
  try {
    const photo = await createImageBitmap(file);  // upright by EXIF
    stopCamera();
    state.source = photo;
    await paint();
  } catch {
    problem(`${file.name ?? "This"} is not a picture that this browser can read. Use JPEG, PNG or WebP.`);
  }
}

// A style picture chosen by the visitor, which the encoder turns into style parameters.
async function learned(file) {
  if (!file) return;
  $("busy").hidden = false;
  try {
    const picture = await createImageBitmap(file), photo = pixelsOf(picture, page.any.style_px);
    const { row: values } = await ask({ kind: "learn", pixels: photo.data, width: photo.width, height: photo.height });
    const name = file.name.replace(/\.[^.]*$/, "");
    page.styles.push({ name, painter: page.any.painter, values, thumbnail: URL.createObjectURL(file) });
    fillWall();
    choose(page.styles.length - 1);
  } catch (error) {
    problem(`${file.name} cannot be used as a style: ${error.message}`);
  } finally {
    $("busy").hidden = true;
  }
}

function fillWall() {
  $("wall").replaceChildren(...page.styles.map((style, index) => {
    const button = Object.assign(document.createElement("button"), { type: "button", title: style.name });
    button.setAttribute("role", "radio");
    button.append(Object.assign(document.createElement("img"), { src: style.thumbnail, alt: "" }),
      Object.assign(document.createElement("span"), { textContent: style.name.replace(/[-_]/g, " ") }));
    button.onclick = () => choose(index);
    return button;
  }));
  if (page.any) {
    const add = Object.assign(document.createElement("button"), { type: "button", className: "add", innerHTML: "<b>+</b>own style" });
    add.onclick = () => $("style-file").click();
    $("wall").append(add);
  }
  mark();
}

function mark() {
  [...$("wall").querySelectorAll("[role=radio]")].forEach((button, index) => {
    button.setAttribute("aria-checked", index === state.style);
    button.tabIndex = index === state.style ? 0 : -1;
  });
}

function choose(index) {
  state.style = index;
  mark();
  return paint();
}

async function startCamera() {
  try {
    state.camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: 1280 } });
  } catch {
    return problem("No camera is available, or the browser denies access to it.");
  }
  video.srcObject = state.camera;
  await video.play();
  state.source = video;
  if (state.engine === "wasm") setSize(256);
  $("camera").textContent = "Stop camera";
  $("camera").setAttribute("aria-pressed", true);
  paint();
}

// The last frame stays as the photo.
function stopCamera() {
  if (!state.camera) return;
  state.source = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  state.source.getContext("2d").drawImage(video, 0, 0);
  state.camera.getTracks().forEach((track) => track.stop());
  state.camera = null;
  $("camera").textContent = "Camera";
  $("camera").removeAttribute("aria-pressed");
}

function setSize(px) {
  $("size").value = px;
  $("size-value").textContent = `${$("size").value} px`;
}

function hold(held) {
  state.held = held;
  draw();
}

function listen() {
  $("open").onclick = () => $("file").click();
  $("file").onchange = ({ target }) => opened(target.files[0]);
  $("style-file").onchange = ({ target }) => learned(target.files[0]);
  $("camera").onclick = () => (state.camera ? stopCamera() : startCamera());
  $("strength").oninput = ({ target }) => { $("strength-value").textContent = Number(target.value); draw(); };
  $("size").oninput = () => setSize($("size").value);
  $("size").onchange = paint;
  $("download").onclick = (event) => {
    if ($("download").href.startsWith("blob:")) return URL.revokeObjectURL.bind(URL, $("download").href);
    event.preventDefault();
    view.toBlob((file) => {
      $("download").href = URL.createObjectURL(file);
      $("download").download = `painted-${page.styles[state.style].name}.png`;
      $("download").click();
      setTimeout(() => { URL.revokeObjectURL($("download").href); $("download").removeAttribute("href"); }, 1000);
    });
  };
  view.onpointerdown = () => hold(true);
  view.onpointerup = view.onpointerleave = view.onpointercancel = () => hold(false);
  view.onkeydown = (event) => { if (event.key === " ") { event.preventDefault(); hold(true); } };
  view.onkeyup = view.onblur = () => hold(false);
  $("wall").onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose((state.style + step + page.styles.length) % page.styles.length);
    $("wall").children[state.style].focus();
  };
  addEventListener("paste", (event) => opened([...event.clipboardData.files][0]));
  addEventListener("dragover", (event) => { event.preventDefault(); $("drop").hidden = false; });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").hidden = true; });
  addEventListener("drop", (event) => { event.preventDefault(); $("drop").hidden = true; opened(event.dataTransfer.files[0]); });
}

async function open() {
  page = JSON.parse(new TextDecoder().decode(await part("description")));
  fillWall();
  listen();
  setSize(address.get("size") ?? $("size").value);
  const licences = new Set(page.styles.map((style) => style.licence));
  $("styles-licence").textContent = `Styles and networks: ${[...licences].join(", ")} licence.`;
  state.source = await createImageBitmap(await (await fetch(page.sample)).blob());
  const photo = pixelsOf(state.source, Number($("size").value));
  Object.assign(state, { photo, painted: photo });
  draw();
  await start();
  await paint();
}

globalThis.impasto = { state, painted, choose, ready: open(), get page() { return page; } };
impasto.ready.catch((error) => {
  $("status").textContent = "Not started";
  problem(`The network does not start: ${error.message}`);
});
