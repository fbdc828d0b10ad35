// SPDX-License-Identifier: Apache-2.0
//
// For the tests that put load on a gateway: fake upstreams as processes, and
// requests whose every end is told apart.
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const program = join(
  dirname(fileURLToPath(import.meta.url)),
  "fake_upstream.mjs",
);

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// `inside`: what the command line begins with, to run it somewhere else.
export function startUpstream(name, host, port, inside = []) {
  const [command, ...before] = [...inside, process.execPath];
  const child = spawn(command, [...before, program, host, String(port), name], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.on("error", () => {}); // it may have been killed
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`${name} ended: ${code}`)));
    child.stdout.once("data", (data) =>
      resolve({
        name,
        port: Number(/:(\d+)\s*$/.exec(data)[1]),
        tell: (set) => child.stdin.write(`${JSON.stringify(set)}\n`),
        kill: () => child.kill("SIGKILL"),
      }),
    );
  });
}

// Every word is the name of the one upstream that said it.
function read(seen, text) {
  const words = text.split(" ").slice(0, -1);
  seen.words += words.length;
  for (const word of words) {
    seen.from ??= word;
    if (word !== seen.from) seen.wrong = `${seen.from}, then ${word}`;
  }
}

function hear(seen, event) {
  if (!event.startsWith("data:")) return; // a comment
  const data = event.slice("data: ".length);
  if (data === "[DONE]") {
    ++seen.done;
    return;
  }
  const { error, choices } = JSON.parse(data);
  if (error) seen.errors.push(error);
  else read(seen, choices[0]?.delta?.content ?? "");
}

// Asks for `tokens` words. `leaving`: a signal at which the client goes away.
// Never rejects; what came and how it ended is in
// {status, words, from, done, errors, wrong, begun, ended}.
export async function ask(url, { tokens, streamed = true, key, leaving }) {
  const seen = { streamed, tokens, words: 0, done: 0, errors: [] };
  seen.begun = Date.now();
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      signal: leaving,
      headers: key ? { authorization: `Bearer ${key}` } : {},
      body: JSON.stringify({
        model: "auto",
        stream: streamed,
        max_tokens: tokens,
        messages: [{ role: "user", content: "hi" }],
      }),
    });
    seen.status = response.status;
    const type = response.headers.get("content-type");
    if (type.startsWith("text/event-stream")) {
      let rest = "";
      for await (const data of response.body.pipeThrough(
        new TextDecoderStream(),
      )) {
        const events = (rest + data).split("\n\n");
        rest = events.pop();
        for (const event of events) hear(seen, event);
      }
    } else {
      const { error, choices } = await response.json();
      if (error) seen.errors.push(error);
      if (choices) ++seen.done;
      if (choices) read(seen, choices[0].message.content);
    }
  } catch (error) {
    seen.wrong = leaving?.aborted ? undefined : String(error.cause ?? error);
    seen.left = leaving?.aborted;
  }
  seen.ended = Date.now();
  return seen;
}

export const isWhole = (seen) =>
  !seen.wrong &&
  seen.status === 200 &&
  seen.done === 1 &&
  seen.errors.length === 0 &&
  seen.words === seen.tokens;

// It failed, and said so as OpenAI would: an error event, or a status of its
// own with an error in the body.
export const isError = (seen) =>
  !seen.wrong &&
  seen.done === 0 &&
  seen.errors.length === 1 &&
  typeof seen.errors[0].message === "string" &&
  typeof seen.errors[0].type === "string" &&
  "param" in seen.errors[0] &&
  "code" in seen.errors[0] &&
  (seen.status >= 400 || seen.streamed);

// Of all series of that name, those that `labels` (text of them) match.
export const sumOf = (metrics, name, labels = "") =>
  Object.entries(metrics)
    .filter(([s]) => s.startsWith(name + "{") && s.includes(labels))
    .reduce((total, [, value]) => total + value, 0);
