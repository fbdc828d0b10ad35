// SPDX-License-Identifier: Apache-2.0
//
// The quality guard beside real engines: answers of the small variant are asked
// again of the large one, and nobody's request is counted twice.
//   node guard.mjs AIO CONFIG
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { serve } from "./server.mjs";

const [aio, config] = process.argv.slice(2);
let server;
before(async () => {
  server = await serve(aio, config, [
    "policy.kind=static:small",
    "policy.guard_share=1",
  ]);
});

const ask = async (model, i) => {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model,
      messages: [{ role: "user", content: `What is ${i} + 15?` }],
      max_tokens: 60,
    }),
  });
  assert.equal(response.status, 200);
  return response.json();
};
// The sum of the series of `name` whose labels have `part`.
const sum = (metrics, name, part = "") =>
  Object.entries(metrics)
    .filter(([key]) => key.startsWith(`${name}{`) && key.includes(part))
    .reduce((total, [, value]) => total + value, 0);

test("every answer of the small variant is compared once or gives way", async () => {
  const requests = 12;
  for (let i = 0; i < requests; ++i) await ask("auto", i);
  await ask("small", 99); // named: not sampled
  const metrics = await server.until(
    "all samples are over",
    (m) => sum(m, "aio_guard_samples_total") === requests,
  );
  const compared = sum(metrics, "aio_guard_samples_total", '"compared"');
  const gaveWay = sum(metrics, "aio_guard_samples_total", '"gave_way"');
  assert(compared > 0, "none was compared");
  assert.equal(compared + gaveWay, requests);
  assert.equal(sum(metrics, "aio_guard_agreement_count"), compared);
  assert(sum(metrics, "aio_guard_seconds_total") >= 0);
  // The guard's runs are no requests, and leave nothing behind.
  assert.equal(sum(metrics, "aio_requests_total"), requests + 3); // and warm-ups
  assert.equal(sum(metrics, "aio_requests_total", '"large"'), 1);
  await server.idle();
});
