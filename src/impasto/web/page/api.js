// The HTTP API as functions. The token is in the fragment of the address, and is stored for reloads of this tab.
const key = "impasto-token";
if (location.hash.length > 1) {
  sessionStorage.setItem(key, location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
const headers = { "X-Impasto-Token": sessionStorage.getItem(key) ?? "" };
const AWAY = "The studio does not answer. Start it again (impasto studio), and reload this page.";

export async function request(method, path, body) {
  const options = { method, headers: { ...headers } };
  if (body instanceof Blob) options.body = body;
  else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error(AWAY);
  }
  if (!answer.ok) throw new Error(reason(answer.status, await answer.text()));
  return answer;
}

function reason(status, text) {
  let error = `the studio answered ${status}. Try again.`;
  try { error = JSON.parse(text).error ?? error; } catch { /* it is not JSON */ }
  return error.charAt(0).toUpperCase() + error.slice(1).replaceAll("`", "");
}

export const json = async (method, path, body) => (await request(method, path, body)).json();
export const blob = async (path) => (await request("GET", path)).blob();
export const picture = async (path) => URL.createObjectURL(await blob(path));

// An upload that reports its progress, from 0 to 1.
export function upload(path, file, progress) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest();
    sent.open("PUT", path);
    sent.setRequestHeader("X-Impasto-Token", headers["X-Impasto-Token"]);
    sent.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    sent.onload = () => (sent.status < 300 ? resolve(JSON.parse(sent.responseText)) : reject(new Error(reason(sent.status, sent.responseText))));
    sent.onerror = () => reject(new Error(AWAY));
    sent.send(file);
  });
}

export function save(data, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// Rows of a job until it has ended. EventSource cannot send the token, so the stream is parsed here, and requested
// again when it breaks off.
export async function* events(id) {
  for (let tries = 0; tries < 5; tries += 1) {
    try {
      for await (const row of stream(id)) {
        tries = 0;
        yield row;
        if (["done", "stopped", "failed", "cancelled"].includes(row.state)) return;
      }
    } catch (error) {
      if (error.message !== AWAY && !(error instanceof TypeError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 300 * 2 ** tries));
  }
  throw new Error(AWAY);
}

async function* stream(id) {
  const answer = await request("GET", `/api/jobs/${id}/events`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) if (part.startsWith("data: ")) yield JSON.parse(part.slice(6));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
