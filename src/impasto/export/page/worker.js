// The worker, which is appended to ONNX Runtime Web. Messages are handled one at a time, in order.
const SIDE = 64;  // of the trial picture
const KEPT = 3;  // sessions, so that a previous size starts at once
const sessions = new Map();
let models = {}, provider = "wasm", queue = Promise.resolve();

const tasks = { start, paint, learn };
onmessage = ({ data }) => {
  queue = queue.then(async () => {
    try {
      const answer = await tasks[data.kind](data);
      postMessage({ id: data.id, ...answer }, Object.values(answer).map((value) => value.buffer).filter(Boolean));
    } catch (error) {
      postMessage({ id: data.id, error: String(error?.message ?? error) });
    }
  });
};

async function start(data) {
  ({ models, provider } = data);
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1;  // a page from a file cannot share memory between threads
  ort.env.wasm.wasmBinary = data.binary;
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([data.loader], { type: "text/javascript" })) };
  const { levels } = await paint({ ...data.trial, pixels: pattern(), width: SIDE, height: SIDE });  // fails here if the engine does not work
  return { levels };
}

// A picture of slopes and edges, as RGBA bytes.
function pattern() {
  const pixels = new Uint8Array(4 * SIDE * SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) pixels.set([4 * (i % SIDE), 4 * Math.floor(i / SIDE), (i % 24 < 12) * 200, 255], 4 * i);
  return pixels;
}

// A session for one size: operations that depend on the size only, as the noise, are folded.
async function session(model, width, height) {
  const key = `${model} ${width} ${height}`;
  let made = sessions.get(key);
  sessions.delete(key);
  made ??= await ort.InferenceSession.create(new Uint8Array(models[model]), {
    executionProviders: provider === "wasm" ? ["wasm"] : [provider, "wasm"],
    freeDimensionOverrides: { height, width },
    logSeverityLevel: 3,
  });
  sessions.set(key, made);
  for (const [old, unused] of sessions) {
    if (sessions.size <= KEPT) break;
    sessions.delete(old);
    await unused.release();
  }
  return made;
}

async function paint({ painter, row, pixels, width, height }) {
  const model = await session(`painter-${painter}`, width, height);
  const began = performance.now();
  const inputs = { image: planes(pixels, width, height) };
  if (row.length) inputs.style = new ort.Tensor("float32", row, [1, row.length]);
  const { painted } = await model.run(inputs);
  const levels = bytes(await painted.getData(), width * height);
  return { levels, ms: performance.now() - began };
}

async function learn({ pixels, width, height }) {
  const { style } = await (await session("learner", width, height)).run({ picture: planes(pixels, width, height) });
  return { row: Float32Array.from(await style.getData()) };
}

// RGBA bytes to (1, 3, h, w) in [0, 1], and back.
function planes(pixels, width, height) {
  const places = width * height, values = new Float32Array(3 * places);
  for (let i = 0; i < places; i++) {
    for (let c = 0; c < 3; c++) values[c * places + i] = pixels[4 * i + c] / 255;
  }
  return new ort.Tensor("float32", values, [1, 3, height, width]);
}

function bytes(values, places) {
  const levels = new Uint8ClampedArray(4 * places).fill(255);  // it rounds to the nearest
  for (let i = 0; i < places; i++) {
    for (let c = 0; c < 3; c++) levels[4 * i + c] = values[c * places + i] * 255;
  }
  return levels;
}
