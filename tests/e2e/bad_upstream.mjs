// SPDX-License-Identifier: Apache-2.0
//
// A gateway in front of a server that misbehaves in every way we could think
// of: for each the client sees what the table says, in a stream and in one
// body, a good request behind it is answered, and at the end every request has
// been counted once and nothing is in flight.
//   node bad_upstream.mjs AIO
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import tls from "node:tls";
import { serve } from "./server.mjs";

const [aio] = process.argv.slice(2);

// ---- What a good server says ------------------------------------------------

const TEXT = "Hello, wörld";
const chunk = (choice) =>
  `data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", created: 1, model: "m", choices: [choice] })}\n\n`;
const WORDS = ["Hello", ", ", "wörld"].map((content) =>
  chunk({ index: 0, delta: { content }, finish_reason: null }),
);
const FINISH = chunk({ index: 0, delta: {}, finish_reason: "stop" });
const USAGE = `data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6}}\n\n`;
const DONE = "data: [DONE]\n\n";
const STREAM = WORDS.join("") + FINISH + USAGE + DONE;
const BODY = JSON.stringify({
  id: "x",
  object: "chat.completion",
  created: 1,
  model: "m",
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: TEXT },
      finish_reason: "stop",
    },
  ],
  usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 },
});
const head = (fields = {}, status = "200 OK") =>
  `HTTP/1.1 ${status}\r\n` +
  Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("") +
  "\r\n";
const EVENTS = { "Content-Type": "text/event-stream" };
const whole = (body, status = "200 OK", more = {}) =>
  head(
    {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(body),
      ...more,
    },
    status,
  ) + body;

// ---- The bad server ---------------------------------------------------------

// Of each connection's request: whether it wants a stream. `behave` answers.
let behave;
const good = (socket, streamed) =>
  socket.end(streamed ? head(EVENTS) + STREAM : whole(BODY));

function accept(socket) {
  let seen = Buffer.alloc(0);
  socket.on("error", () => {});
  socket.on("data", (data) => {
    seen = Buffer.concat([seen, data]);
    const text = seen.toString("latin1");
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
    if (seen.length < end + 4 + length) return;
    const body = text.slice(end + 4, end + 4 + length);
    seen = seen.subarray(end + 4 + length);
    const request = JSON.parse(body);
    const say = request.user === "good" ? good : behave;
    say(socket, request.stream === true);
  });
}

async function listen(server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server.address().port;
}

// ---- The gateway ------------------------------------------------------------

const folder = mkdtempSync(join(tmpdir(), "aio-bad-upstream-"));
const config = (name, url, more = "") => {
  const file = join(folder, `${name}.yaml`);
  writeFileSync(
    file,
    `variants:
  bad: { upstream: "${url}", model: m, health: off, connect_timeout: 1s,
         first_byte_timeout: 1s, idle_timeout: 1s, total_timeout: 3s${more} }
policy: { kind: "static:bad" }
log: { level: error }
`,
  );
  return file;
};

let server;
let gateway;
let asked = 0; // of the gateway
before(async () => {
  server = net.createServer(accept);
  const port = await listen(server);
  gateway = await serve(aio, config("bad", `http://127.0.0.1:${port}/v1`));
});
after(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

// What the client saw: {status, text, done, error}.
async function ask(streamed, user = "bad", to = gateway) {
  if (to === gateway) ++asked;
  const response = await fetch(`${to.url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({
      model: "auto",
      stream: streamed,
      user,
      messages: [{ role: "user", content: "hi" }],
    }),
  });
  const body = await response.text();
  const seen = {
    status: response.status,
    retryAfter: response.headers.get("retry-after"),
    text: "",
    done: 0,
    error: null,
  };
  if (!response.headers.get("content-type").startsWith("text/event-stream")) {
    const answer = JSON.parse(body);
    seen.error = answer.error ?? null;
    seen.text = answer.choices?.[0].message.content ?? "";
    seen.done = answer.choices ? 1 : 0;
    return seen;
  }
  for (const event of body.split("\n\n").filter((e) => e.startsWith("data:"))) {
    const data = event.slice("data: ".length);
    if (data === "[DONE]") {
      ++seen.done;
    } else if (JSON.parse(data).error) {
      seen.error = JSON.parse(data).error;
    } else {
      seen.text += JSON.parse(data).choices[0]?.delta?.content ?? "";
    }
  }
  return seen;
}

// An answer is whole, or there is an error: never neither, never both.
function isWhole(seen) {
  assert.equal(seen.status, 200);
  assert.equal(seen.error, null);
  assert.equal(seen.done, 1);
  assert.equal(seen.text, TEXT);
}
function isError(seen, status) {
  assert(seen.error, `no error: ${JSON.stringify(seen)}`);
  assert.equal(seen.done, 0);
  assert(TEXT.startsWith(seen.text), seen.text);
  if (seen.text === "") assert.equal(seen.status, status);
  // Where we look is nobody else's business.
  assert(!seen.error.message.includes("127.0.0.1"), seen.error.message);
}

// Until a good request is answered, for at most ten seconds.
async function servesAgain() {
  const end = Date.now() + 10_000;
  let seen = await ask(true, "good");
  while (seen.error && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    seen = await ask(true, "good");
  }
  isWhole(seen);
}

// Successes in between, so that no row of failures, and no half of all, ejects
// the only server.
async function stillServes() {
  for (let i = 0; i < 4; ++i) isWhole(await ask(i % 2 === 0, "good"));
}

// name: [what the server does, what is seen]; "whole" or the error's status.
const table = {
  "closes without a word": [(s) => s.end(), 503],
  "resets": [(s) => s.resetAndDestroy(), 503],
  "accepts and says nothing": [() => {}, 504],
  "is not HTTP": [(s) => s.end("SSH-2.0-OpenSSH_9.2\r\n\r\n"), 502],
  "says rubbish in the body": [
    (s, streamed) =>
      s.end(streamed ? head(EVENTS) + "data: <html>\n\n" : whole("<html>")),
    502,
  ],
  "has the wrong content type": [
    (s) => s.end(head({ "Content-Type": "text/html" }) + "<html>"),
    502,
  ],
  "says 500": [(s) => s.end(whole("{}", "500 Internal Server Error")), 503],
  "says 503": [(s) => s.end(whole("", "503 Service Unavailable")), 503],
  "says 302": [(s) => s.end(head({ Location: "/" }, "302 Found")), 503],
  "blames the request": [
    (s) =>
      s.end(
        whole('{"error":{"message":"no","param":"top_p"}}', "400 Bad Request"),
      ),
    400,
  ],
  "refuses our key": [
    (s) => s.end(whole('{"error":{"message":"who?"}}', "401 Unauthorized")),
    503,
  ],
  "has an endless header": [
    (s) => s.write("HTTP/1.1 200 OK\r\nX: " + "x".repeat(100_000)),
    502,
  ],
  "stops in its header": [(s) => s.write("HTTP/1.1 200 OK\r\nContent-"), 504],
  "stops in its body": [
    (s, streamed) =>
      s.write(
        streamed ? head(EVENTS) + WORDS[0] : whole(BODY).slice(0, -20),
      ),
    504,
  ],
  "sends less than it says": [
    (s, streamed) =>
      s.end(streamed ? head(EVENTS) + WORDS[0] : whole(BODY).slice(0, -20)),
    503,
  ],
  "has no size for its chunk": [
    (s) =>
      s.end(head({ ...EVENTS, "Transfer-Encoding": "chunked" }) + "zzz\r\nx"),
    502,
  ],
  "ends without a finish reason": [
    (s, streamed) =>
      s.end(
        streamed
          ? head(EVENTS) + WORDS.join("") + DONE
          : whole(BODY.replace('"finish_reason":"stop"', '"x":1')),
      ),
    502,
  ],
  "ends in the middle": [
    (s, streamed) =>
      s.end(
        streamed
          ? head(EVENTS) + WORDS.join("")
          : whole(BODY).slice(0, -20),
      ),
    503,
  ],
  "sends an error in the middle": [
    (s, streamed) =>
      s.end(
        streamed
          ? head(EVENTS) + WORDS[0] + 'data: {"error":{"message":"oh"}}\n\n'
          : whole('{"error":{"message":"oh"}}'),
      ),
    503,
  ],
  "answers a choice nobody asked for": [
    (s, streamed) =>
      s.end(
        streamed
          ? head(EVENTS) + chunk({ index: 7, delta: { content: "x" } })
          : whole(BODY.replace('"index":0', '"index":7')),
      ),
    502,
  ],
  "answers a byte at a time": [
    async (s, streamed) => {
      const all = Buffer.from(streamed ? head(EVENTS) + STREAM : whole(BODY));
      s.setNoDelay(true);
      for (let i = 0; i < all.length; ++i) {
        s.write(all.subarray(i, i + 1));
        if (i % 8 === 0) await new Promise(setImmediate);
      }
      s.end();
    },
    "whole",
  ],
  "says [DONE] twice": [
    (s, streamed) =>
      streamed ? s.end(head(EVENTS) + STREAM + DONE) : good(s, false),
    "whole",
  ],
  "says no [DONE]": [
    (s, streamed) =>
      streamed
        ? s.end(head(EVENTS) + STREAM.slice(0, -DONE.length))
        : good(s, false),
    "whole",
  ],
  "goes on after [DONE]": [
    (s, streamed) =>
      streamed
        ? s.write(head(EVENTS) + STREAM + "x".repeat(1 << 20))
        : s.write(whole(BODY) + "HTTP/1.1 200 OK\r\n\r\n"),
    "whole",
  ],
  "does not stream": [(s) => s.end(whole(BODY)), "whole"],
};

for (const [name, [what, expected]] of Object.entries(table)) {
  test(`a server that ${name}`, async () => {
    behave = what;
    for (const streamed of [true, false]) {
      const seen = await ask(streamed);
      if (expected === "whole") {
        isWhole(seen);
      } else {
        isError(seen, expected);
      }
    }
    await stillServes();
  });
}

test("a stream cut at every byte", async () => {
  const all = Buffer.from(head(EVENTS) + STREAM);
  const last = all.indexOf(FINISH) + Buffer.byteLength(FINISH);
  for (let at = 0; at <= all.length; at += 1) {
    behave = (s) => s.end(all.subarray(0, at));
    const seen = await ask(true);
    // Once all is said, nothing is missing.
    if (at >= last) isWhole(seen);
    else isError(seen, 503);
    if (at < last) await stillServes();
  }
});

test("a hundred megabytes without a line", async () => {
  const rss = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.pid}/status`))[1]);
  const before = rss();
  const megabyte = Buffer.alloc(1 << 20, "x");
  for (const streamed of [true, false]) {
    behave = async (s) => {
      s.write(
        streamed
          ? head(EVENTS) + "data: "
          : head({
              "Content-Type": "application/json",
              "Content-Length": 100 << 20,
            }),
      );
      for (let i = 0; i < 100 && !s.destroyed; ++i) {
        if (!s.write(megabyte)) {
          await new Promise((go) => {
            s.once("drain", go);
            s.once("close", go);
          });
        }
      }
      s.end();
    };
    isError(await ask(streamed), 502);
  }
  // At most the 64 MiB that an answer in one body may have, and its copies are
  // given back.
  assert(rss() - before < 200_000, `${before} kB, then ${rss()} kB`);
  await stillServes();
});

test("a busy server is left alone for as long as it says", async () => {
  behave = (s) =>
    s.end(
      whole('{"error":{"message":"slow down"}}', "429 Too Many Requests", {
        "Retry-After": "1",
      }),
    );
  isError(await ask(true), 429);
  const begun = Date.now();
  isWhole(await ask(true, "good"));
  assert(Date.now() - begun > 900, "it was not asked before");
});

test("a flood of 4xx ejects nobody", async () => {
  behave = (s) => s.end(whole('{"error":{"message":"no"}}', "422 No"));
  for (let i = 0; i < 50; ++i) isError(await ask(i % 2 === 0), 400);
  await stillServes();
});

test("a burst of 500s ejects for a second, and then it is tried", async () => {
  let reached = 0;
  behave = (s) => {
    ++reached;
    s.end(whole("{}", "500 Internal Server Error"));
  };
  for (let i = 0; i < 20; ++i) isError(await ask(i % 2 === 0), 503);
  assert.equal(reached, 5, "the rest is told at once");
  await servesAgain();
  await stillServes();
});

test("nobody listens", async () => {
  const free = net.createServer();
  const port = await listen(free);
  await new Promise((resolve) => free.close(resolve));
  const lonely = await serve(
    aio,
    config("lonely", `http://127.0.0.1:${port}/v1`),
  );
  for (const streamed of [true, false]) {
    isError(await ask(streamed, "bad", lonely), 503);
  }
});

test("TLS: to a server without, with a strange certificate, and with ours", async () => {
  const key = join(folder, "key.pem");
  const cert = join(folder, "cert.pem");
  execFileSync("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"],
    ...["-keyout", key, "-out", cert, "-subj", "/CN=localhost"],
    ...["-addext", "subjectAltName=DNS:localhost"],
  ], { stdio: "ignore" });
  const secure = tls.createServer(
    { key: readFileSync(key), cert: readFileSync(cert) },
    accept,
  );
  secure.on("tlsClientError", () => {});
  const port = await listen(secure);
  const plain = server.address().port;
  const ca = `, tls_ca: "${cert}"`;
  const url = (p, host = "localhost") => `https://${host}:${p}/v1`;
  const to = async (name, where, more) =>
    ask(true, "good", await serve(aio, config(name, where, more)));
  isError(await to("no-tls", url(plain), ""), 503);
  isError(await to("strange", url(port), ""), 503);
  isError(await to("other-name", url(port, "127.0.0.1"), ca), 503);
  isWhole(await to("ours", url(port), ca));
  secure.close();
});

test("every request was counted once, and nothing is left", async () => {
  const metrics = await gateway.until(
    "nothing in flight",
    (m) =>
      m['aio_upstream_in_flight{replica="' +
        `127.0.0.1:${server.address().port}` +
        '",variant="bad"}'] === 0,
  );
  const sum = (name) =>
    Object.entries(metrics)
      .filter(([series]) => series.startsWith(name + "{"))
      .reduce((total, [, value]) => total + value, 0);
  assert.equal(sum("aio_requests_total"), asked);
});
