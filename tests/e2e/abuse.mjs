// SPDX-License-Identifier: Apache-2.0
//
// Clients that no library would be: raw bytes against `aio serve`.
//   node abuse.mjs AIO CONFIG
// After each, the server must still answer and hold nothing back.
import assert from "node:assert/strict";
import net from "node:net";
import { afterEach, before, test } from "node:test";
import { serve } from "./server.mjs";

const [aio, config] = process.argv.slice(2);
const chat = (fields = {}) =>
  JSON.stringify({
    model: "small",
    messages: [{ role: "user", content: "Once upon a time" }],
    max_tokens: 4,
    ...fields,
  });

let server;
before(async () => {
  server = await serve(aio, config, [
    "server.header_timeout=500ms",
    "server.body_timeout=500ms",
    "server.write_timeout=2s",
    "server.write_buffer_bytes_max=16KiB",
  ]);
});
afterEach(async () => {
  assert.equal((await server.get("/health")).status, 200);
  await server.idle();
});

function connect() {
  return new Promise((resolve, reject) => {
    const socket = net.connect(server.port, server.host, () => resolve(socket));
    socket.on("error", reject);
  });
}

// Everything the server says until it hangs up, or until `enough`.
function listen(socket, enough = () => false) {
  return new Promise((resolve) => {
    let text = "";
    const end = () => resolve(text);
    socket.on("data", (data) => {
      text += data.toString("latin1");
      if (enough(text)) end();
    });
    socket.on("close", end);
    socket.on("error", end);
  });
}

const head = (body, fields = "") =>
  `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${fields}` +
  `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`;

// The status and the JSON of one POST with exactly these bytes.
async function post(body, fields = "") {
  const socket = await connect();
  const answer = listen(socket);
  socket.write(head(body, `Connection: close\r\n${fields}`));
  socket.write(body);
  const text = await answer;
  socket.destroy();
  const [top, json] = text.split("\r\n\r\n");
  return { status: Number(top.split(" ")[1]), error: JSON.parse(json).error };
}

test("wrong JSON", async () => {
  for (const body of ["", "{", "nonsense", "[]", "null", chat() + "x"]) {
    const { status, error } = await post(body);
    assert.equal(status, 400, body);
    assert.equal(error.type, "invalid_request_error");
    assert(error.message);
  }
  const deep = await post(`{"model":${"[".repeat(50_000)}`);
  assert.equal(deep.status, 400);
});

test("a 9 MiB body", async () => {
  const { status } = await post(chat({ user: "x".repeat(9 << 20) }));
  assert.equal(status, 413);
});

test("an 8 MB body that means nothing", async () => {
  const { status, error } = await post(
    JSON.stringify({ model: "small", prompt: Array(2_000_000).fill(1) }),
  );
  assert.equal(status, 400);
  assert.equal(error.param, "messages");
});

test("an unknown model", async () => {
  const { status, error } = await post(chat({ model: "gpt-9" }));
  assert.equal(status, 404);
  assert.equal(error.code, "model_not_found");
});

test("empty messages", async () => {
  const { status, error } = await post(chat({ messages: [] }));
  assert.equal(status, 400);
  assert.equal(error.param, "messages");
});

test("a context that is too long", async () => {
  const content = "word ".repeat(100_000);
  const { status, error } = await post(
    chat({ messages: [{ role: "user", content }] }),
  );
  assert.equal(status, 400);
  assert.match(error.message, /context/);
});

test("invalid UTF-8", async () => {
  const body = Buffer.from(chat().replace("Once", "On\x01\x01"), "latin1");
  body.set([0xc3, 0x28], body.indexOf("On") + 2);
  const { status, error } = await post(body);
  assert.equal(status, 400);
  assert.match(error.message, /UTF-8/);
});

test("text that is hard to print comes through whole", async () => {
  const content = "\u0000\u0001\ud83d\ude00\u202e\"\\</script>\n\r\t\u2028";
  const { status } = await post(
    chat({ messages: [{ role: "user", content }], stop: [content] }),
  );
  assert.equal(status, 200);
});

test("a client that sends a byte a minute", async () => {
  for (const start of ["GET /hea", head(chat()) + "{"]) {
    const socket = await connect();
    const answer = listen(socket);
    const begun = Date.now();
    socket.write(start);
    await answer;
    assert(Date.now() - begun < 10_000, "it was cut");
    socket.destroy();
  }
  const metrics = await server.metrics();
  assert(metrics['aio_http_timeouts_total{kind="header"}'] >= 1);
  assert(metrics['aio_http_timeouts_total{kind="body"}'] >= 1);
});

test("a client that stops reading", async () => {
  const body = chat({
    model: "large",
    max_tokens: 400,
    n: 8,
    stream: true,
    logprobs: true,
    top_logprobs: 20,
  });
  const socket = await connect();
  socket.pause(); // never reads
  socket.write(head(body) + body);
  await server.until(
    "the slow client is counted",
    (metrics) => metrics.aio_http_slow_clients_total >= 1,
  );
  socket.destroy();
});

test("a client that is killed in the middle", async () => {
  const before = await server.metrics();
  for (const stream of [true, false]) {
    const body = chat({ model: "large", max_tokens: 400, n: 8, stream });
    const sockets = await Promise.all([connect(), connect(), connect()]);
    for (const socket of sockets) socket.write(head(body) + body);
    if (stream) {
      await listen(sockets[0], (text) => text.includes("data: "));
    }
    for (const socket of sockets) socket.resetAndDestroy();
  }
  const name = "aio_http_disconnects_total";
  await server.until(
    "they are noticed",
    (metrics) => metrics[name] > (before[name] ?? 0),
  );
});

test("half a request, then nobody", async () => {
  for (const text of ["P", "POST /v1/chat", head(chat()), head(chat()) + "{"]) {
    const socket = await connect();
    socket.write(text);
    socket.destroy();
  }
});

test("pipelined garbage behind a good request", async () => {
  const socket = await connect();
  const answer = listen(socket);
  const body = chat();
  socket.write(
    head(body) + body + "\x00\x01\x02 garbage \xff\r\n\r\n" + "x".repeat(4096),
    "latin1",
  );
  const text = await answer;
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.match(text, /HTTP\/1\.1 400 /);
});

test("a hundred requests in one write are answered in order", async () => {
  const socket = await connect();
  let text = "";
  for (let i = 0; i < 100; ++i) {
    const last = i === 99 ? "Connection: close\r\n" : "";
    text += `GET /v1/models/none-${i} HTTP/1.1\r\nHost: x\r\n${last}\r\n`;
  }
  const answer = listen(socket);
  socket.write(text);
  const found = [...(await answer).matchAll(/unknown model 'none-(\d+)'/g)];
  assert.deepEqual(
    found.map((match) => Number(match[1])),
    Array.from({ length: 100 }, (_, i) => i),
  );
});

test("huge headers", async () => {
  const big = await post(chat(), `X-Big: ${"x".repeat(100_000)}\r\n`);
  assert.equal(big.status, 431);
  const many = await post(chat(), "X: y\r\n".repeat(20_000));
  assert.equal(many.status, 431);
});

test("requests smuggled by two lengths", async () => {
  for (const fields of [
    "Content-Length: 4\r\nContent-Length: 40\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Content-Length: -1\r\n",
    "Content-Length: 99999999999999999999\r\n",
  ]) {
    const socket = await connect();
    const answer = listen(socket);
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${fields}\r\n` +
        "0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    const text = await answer;
    assert.match(text, /^HTTP\/1\.1 4\d\d /, fields);
    assert.doesNotMatch(text, /"object":"list"/, fields);
    socket.destroy();
  }
});
