// SPDX-License-Identifier: Apache-2.0
//
// API keys with limits, beside real engines: a key that has no more is told
// when to come back, others are not held up, and the file of keys is read again
// under a running stream.
//   node limits.mjs AIO CONFIG
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { serve } from "./server.mjs";

const [aio, config] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "aio-limits-"));
const keys = join(folder, "keys.txt");
after(() => rmSync(folder, { recursive: true }));

let server;
before(async () => {
  writeFileSync(
    keys,
    "sk-limited name=limited requests=2/h tokens=6000/h variants=small\n" +
      "sk-free name=free\n" +
      "sk-admin name=admin admin=yes\n",
  );
  server = await serve(aio, config, [
    `server.api_keys=${keys}`,
    // A stream that nobody reads may wait for as long as the test wants.
    "server.write_buffer_bytes_max=64MiB",
    "server.write_timeout=10m",
  ]);
});

const headers = (key) => ({
  authorization: `Bearer ${key}`,
  "content-type": "application/json",
});
const ask = (key, fields = {}) =>
  fetch(`${server.url}/v1/completions`, {
    method: "POST",
    headers: headers(key),
    body: JSON.stringify({
      model: "auto",
      prompt: "Once upon a time",
      max_tokens: 8,
      ...fields,
    }),
  });
const models = (key) =>
  fetch(`${server.url}/v1/models`, { headers: headers(key) });

test("only an admin's key drains a variant, and what is drained gets nothing", async () => {
  const drain = (key, drained) =>
    fetch(`${server.url}/v1/fleet/drain`, {
      method: "POST",
      headers: headers(key),
      body: JSON.stringify({ variant: "large", drained }),
    });
  const refused = await drain("sk-free", true);
  assert.equal(refused.status, 403);
  assert.equal((await refused.json()).error.code, "not_allowed");

  const { places } = await (await drain("sk-admin", true)).json();
  const large = places.find((place) => place.variant === "large");
  assert.equal(large.state, "drained");
  const gone = await ask("sk-free", { model: "large" });
  assert.equal(gone.status, 503);
  assert.match((await gone.json()).error.message, /drained/);

  assert.equal((await drain("sk-admin", false)).status, 200);
  const back = await ask("sk-free", { model: "large" });
  assert.equal(back.status, 200);
  await back.json();
});

test("a key that has no more is told when to come back", async () => {
  const first = await ask("sk-limited");
  assert.equal(first.status, 200);
  assert.equal(first.headers.get("x-ratelimit-limit-requests"), "1");
  assert.equal(first.headers.get("x-ratelimit-remaining-requests"), "0");
  assert.equal(first.headers.get("x-ratelimit-limit-tokens"), "100");
  assert.equal(first.headers.get("x-ratelimit-remaining-tokens"), "88");
  assert.match(first.headers.get("x-ratelimit-reset-requests"), /^30m0s$/);
  const { usage } = await first.json();

  const refused = await ask("sk-limited");
  assert.equal(refused.status, 429);
  const seconds = Number(refused.headers.get("retry-after"));
  assert(seconds > 1700 && seconds <= 1800, `retry after ${seconds} s`);
  const { error } = await refused.json();
  assert.equal(error.code, "rate_limit_exceeded");
  assert.equal(error.type, "rate_limit_error");
  assert.match(error.message, /2 requests per hour: retry in \d+ seconds$/);

  const free = await ask("sk-free");
  assert.equal(free.status, 200);
  assert.equal(free.headers.get("x-ratelimit-limit-requests"), null);
  await free.json();

  const metrics = await server.until(
    "the tokens are counted",
    (m) => m['aio_key_tokens_total{key="free"}'] > 0,
  );
  assert.equal(
    metrics['aio_key_tokens_total{key="limited"}'],
    usage.total_tokens,
  );
  assert.equal(
    metrics['aio_limited_total{key="limited",limit="requests"}'],
    1,
  );
  const text = (await server.get("/metrics")).body;
  assert(!text.includes("sk-"), "a key is in the metrics");
});

test("a key sees and names only its variants", async () => {
  const names = async (key) =>
    (await (await models(key)).json()).data.map((model) => model.id);
  assert.deepEqual(await names("sk-limited"), ["auto", "small"]);
  assert.deepEqual(await names("sk-free"), ["auto", "small", "large"]);
});

// The stream is held by not reading it, so that it runs for sure.
function heldStream(key) {
  const body = JSON.stringify({
    model: "large",
    prompt: "Once upon a time",
    max_tokens: 400,
    n: 8,
    stream: true,
    logprobs: 5,
  });
  return new Promise((resolve, reject) => {
    const request = http.request(
      `${server.url}/v1/completions`,
      { method: "POST", headers: headers(key), agent: false },
      resolve,
    );
    request.on("error", reject);
    request.end(body);
  });
}

async function rest(response) {
  let text = "";
  for await (const data of response) text += data;
  return text;
}

test("SIGHUP changes limits and keys under a running stream", async () => {
  const stream = await heldStream("sk-free");
  assert.equal(stream.statusCode, 200);
  assert.equal((await ask("sk-limited")).status, 429);
  writeFileSync(
    keys,
    "sk-limited name=limited requests=100/s variants=small,large\n" +
      "sk-new name=new variants=small\n",
  );
  server.hangUp();
  const end = Date.now() + 20_000;
  while ((await models("sk-new")).status !== 200) {
    assert(Date.now() < end, "the keys were not read again");
  }
  assert.equal((await ask("sk-free")).status, 401, "it is gone");
  const denied = await ask("sk-new", { model: "large" });
  assert.equal(denied.status, 403);
  assert.equal((await denied.json()).error.param, "model");
  let now = await ask("sk-limited", { model: "large" });
  while (now.status === 429) now = await ask("sk-limited", { model: "large" });
  assert.equal(now.status, 200);
  assert.equal(now.headers.get("x-ratelimit-limit-requests"), "100");

  const metrics = await server.metrics();
  assert.equal(
    metrics.aio_http_requests_in_flight,
    2,
    "the stream, and this question",
  );
  const text = await rest(stream);
  assert(text.endsWith("data: [DONE]\n\n"), "the stream is cut");
  const finished = text.match(/"finish_reason":"(length|stop)"/g);
  assert.equal(finished.length, 8, "each choice has its end");
  await server.idle();
});
