// The HTTP API as functions. The token comes in the address behind "#", and is kept for reloads of this tab.
const key = "impasto-token";
if (location.hash.length > 1) {
  sessionStorage.setItem(key, location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
const headers = { "X-Impasto-Token": sessionStorage.getItem(key) ?? "" };

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
    throw new Error("The studio does not answer. Start it again: impasto studio");
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(sentence(told.error ?? `The studio answered ${answer.status}.`));
  }
  return answer;
}

export const json = async (method, path, body) => (await request(method, path, body)).json();
export const picture = async (path) => URL.createObjectURL(await (await request("GET", path)).blob());
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// Rows of a job until it has ended. EventSource cannot send the token, so the stream is read by hand.
export async function* events(id) {
  const answer = await request("GET", `/api/jobs/${id}/events`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield JSON.parse(part.slice(6));
  }
}
