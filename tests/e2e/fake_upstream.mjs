// SPDX-License-Identifier: Apache-2.0
//
// A small OpenAI server that says as many words as max_tokens asks for, at a
// set pace, and fails as it is told to. Each word is its own name.
//   node fake_upstream.mjs HOST PORT NAME
// Lines on its standard input, each a JSON object, set what is below. What has
// begun goes on as it began, but for `reset`.
import http from "node:http";
import readline from "node:readline";

const [host, port, name] = process.argv.slice(2);
const set = {
  pace: 100, // ms between words
  delay: 0, // ms before the first byte of an answer
  // "500", "429", "reset" (at once), "stall" (no byte), "cut" (after half of
  // the words, or of the body) or "hush" (the same, but silent); "": none.
  fault: "",
};
const sockets = new Set();
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  Object.assign(set, JSON.parse(line));
  if (set.fault === "reset") {
    for (const socket of sockets) socket.resetAndDestroy();
  }
});
process.stdin.on("end", () => process.exit(0)); // who started it is gone

const about = { id: "x", created: 1, model: "m" };
const event = (value) => `data: ${JSON.stringify(value)}\n\n`;
const chunk = (choice) =>
  event({
    ...about,
    object: "chat.completion.chunk",
    choices: [{ index: 0, finish_reason: null, ...choice }],
  });
const usageOf = (tokens) => ({
  prompt_tokens: 3,
  completion_tokens: tokens,
  total_tokens: 3 + tokens,
});
const bodyOf = (tokens) =>
  JSON.stringify({
    ...about,
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: `${name} `.repeat(tokens) },
        finish_reason: "stop",
      },
    ],
    usage: usageOf(tokens),
  });

function stream(response, tokens, { pace, fault }) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  let said = 0;
  const say = () => {
    if (response.destroyed) return;
    if (said >= tokens / 2 && fault === "cut") return response.destroy();
    if (said >= tokens / 2 && fault === "hush") return;
    if (said++ < tokens) {
      response.write(chunk({ delta: { content: `${name} ` } }));
      setTimeout(say, pace);
      return;
    }
    response.write(chunk({ delta: {}, finish_reason: "stop" }));
    response.write(event({ choices: [], usage: usageOf(tokens) }));
    response.end("data: [DONE]\n\n");
  };
  say();
}

function answerWhole(response, tokens, { fault }) {
  const body = bodyOf(tokens);
  response.writeHead(200, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  if (fault !== "cut" && fault !== "hush") return response.end(body);
  response.write(body.slice(0, body.length / 2));
  if (fault === "cut") setTimeout(() => response.destroy(), 10);
}

const refusals = {
  429: { error: { message: "slow down" } },
  500: { error: { message: "oh" } },
};

function answer(request, response, body) {
  const now = { ...set };
  if (now.fault === "reset") return request.socket.resetAndDestroy();
  if (now.fault === "stall") return;
  if (refusals[now.fault]) {
    response.statusCode = Number(now.fault);
    response.setHeader("content-type", "application/json");
    return response.end(JSON.stringify(refusals[now.fault]));
  }
  const { stream: streamed, max_tokens: tokens } = JSON.parse(body);
  setTimeout(
    () =>
      streamed
        ? stream(response, tokens, now)
        : setTimeout(answerWhole, tokens * now.pace, response, tokens, now),
    now.delay,
  );
}

const server = http.createServer((request, response) => {
  if (request.method === "GET" && request.url !== "/health") {
    response.writeHead(404).end(); // it has no metrics
    return;
  }
  if (request.url === "/health") {
    return set.fault === "stall" ? undefined : response.end("{}");
  }
  let body = "";
  request.on("data", (data) => (body += data));
  request.on("end", () => answer(request, response, body));
});
server.keepAliveTimeout = 60_000;
server.on("connection", (socket) => {
  sockets.add(socket);
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
});
server.listen(Number(port), host, () =>
  console.log(`listening on ${host}:${server.address().port}`),
);
