// SPDX-License-Identifier: Apache-2.0
//
// Variants that are views of one model: each answers as it does alone, whatever
// the others have beside it in a step.
//   node views.mjs AIO CONFIG
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { serve } from "./server.mjs";

const [aio, config] = process.argv.slice(2);
let server;
before(async () => {
  server = await serve(aio, config);
});

const ask = async (model, i, fields = {}) => {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model,
      messages: [{ role: "user", content: `What is ${i} + 15? Say why.` }],
      max_tokens: 60,
      temperature: 1,
      seed: i,
      ...fields,
    }),
  });
  const { status, headers } = response;
  return { status, headers, body: await response.json() };
};
const textOf = ({ status, body }) => {
  assert.equal(status, 200, JSON.stringify(body));
  return body.choices[0].message.content;
};
async function metric(name) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Object.fromEntries(
    [...text.matchAll(new RegExp(`^${name}\\{(.*?)\\} (.*)$`, "gm"))].map(
      ([, labels, value]) => [labels.match(/variant="(.*?)"/)[1], +value],
    ),
  );
}

test("a view's answer is the same alone and beside the others", async () => {
  const views = ["nano@8", "nano@4"];
  const alone = {};
  for (const view of views) {
    alone[view] = [];
    for (let i = 0; i < 8; ++i) alone[view].push(textOf(await ask(view, i)));
  }
  assert.notDeepEqual(alone["nano@8"], alone["nano@4"]);
  const all = ["nano@8", "nano@4", "nano@auto"].flatMap((view) =>
    Array.from({ length: 8 }, (_, i) => ({ view, i })),
  );
  const answers = await Promise.all(all.map(({ view, i }) => ask(view, i)));
  answers.forEach((answer, n) => {
    const { view, i } = all[n];
    const text = textOf(answer);
    if (view !== "nano@auto") assert.equal(text, alone[view][i], `${view} ${i}`);
  });
});

test("auto alone is the view of 4 bits, and says what it does not promise", async () => {
  for (let i = 10; i < 14; ++i) {
    const auto = await ask("auto", i);
    assert.equal(auto.headers.get("x-aio-variant"), "nano@auto");
    assert.equal(auto.headers.get("x-aio-deterministic"), "false");
    const four = await ask("nano@4", i);
    assert.equal(four.headers.get("x-aio-deterministic"), null);
    assert.equal(textOf(auto), textOf(four));
    assert.notEqual(auto.body.system_fingerprint, four.body.system_fingerprint);
  }
});

test("who wants a deterministic answer gets none from auto", async () => {
  const aio = { deterministic: true };
  const refused = await ask("nano@auto", 1, { aio });
  assert.equal(refused.status, 400);
  assert.equal(refused.body.error.param, "aio.deterministic");
  // The policy's choice is passed over, not the request.
  const routed = await ask("auto", 1, { aio });
  assert.equal(textOf(routed), textOf(await ask("nano@8", 1)));
  assert.equal(routed.headers.get("x-aio-variant"), "nano@8");
});

test("a step at 4 bits reads little more than half of one at 8", async () => {
  const perStep = async (view) => {
    const before = await metric("aio_engine_weight_bytes_total");
    const steps = await metric("aio_engine_steps_total");
    await ask(view, 99);
    const bytes = await metric("aio_engine_weight_bytes_total");
    const done = await metric("aio_engine_steps_total");
    return (bytes[view] - before[view]) / (done[view] - steps[view]);
  };
  const four = await perStep("nano@4");
  const eight = await perStep("nano@8");
  assert(four > 1e6);
  // 0.5625 of 1.0625 bytes a weight; vectors are read whole.
  assert(Math.abs(four / eight - 0.5625 / 1.0625) < 0.02, `${four / eight}`);
});
