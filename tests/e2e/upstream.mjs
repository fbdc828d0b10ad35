// SPDX-License-Identifier: Apache-2.0
//
// An A-IO whose only variant is another A-IO: what clients see must be the same
// through one more hop, and what they give up must be given up there too.
//   node upstream.mjs AIO CONFIG
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { serve } from "./server.mjs";

const [aio, config] = process.argv.slice(2);
const upstreamConfig = fileURLToPath(new URL("upstream.yaml", import.meta.url));

let far; // runs the models
let near; // has none
before(async () => {
  far = await serve(aio, config);
  near = await serve(aio, upstreamConfig, [
    `variants.remote.upstream=${far.url}/v1`,
  ]);
});

function ask(server, model, fields, signal, route = "chat/completions") {
  const what =
    route === "completions"
      ? { prompt: "Once upon a time" }
      : { messages: [{ role: "user", content: "Once upon a time" }] };
  return fetch(`${server.url}/v1/${route}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, ...what, ...fields }),
    signal,
  });
}

// The chunks of a stream, without its end mark.
async function chunks(response) {
  assert.equal(response.status, 200);
  const events = (await response.text()).split("\n\n").filter(Boolean);
  assert.equal(events.pop(), "data: [DONE]");
  return events.map((event) => JSON.parse(event.replace(/^data: /, "")));
}

// Without what depends on the server or the moment and not on the answer: who
// asks second finds the prompt cached, and drafts go by what pays at the moment.
function answerOf({ choices, usage, system_fingerprint }) {
  const { prompt_tokens_details, completion_tokens_details, ...tokens } = usage;
  assert(completion_tokens_details.accepted_prediction_tokens >= 0);
  assert(prompt_tokens_details.cached_tokens < usage.prompt_tokens);
  return { choices, tokens, system_fingerprint };
}

const cases = {
  greedy: { temperature: 0, max_tokens: 20 },
  sampled: { temperature: 1, seed: 7, max_tokens: 20 },
  "two choices": { temperature: 1, seed: 7, n: 2, max_tokens: 10 },
  "a stop string": { temperature: 0, stop: ["girl"], max_tokens: 40 },
  logprobs: { temperature: 0, logprobs: true, top_logprobs: 3, max_tokens: 5 },
};

for (const [name, fields] of Object.entries(cases)) {
  test(`the same answer through one more hop: ${name}`, async () => {
    const direct = await ask(far, "large", fields);
    const through = await ask(near, "auto", fields);
    assert.equal(through.status, 200);
    assert.equal(through.headers.get("x-aio-variant"), "remote");
    assert.deepEqual(
      answerOf(await through.json()),
      answerOf(await direct.json()),
    );
  });

  test(`the same stream through one more hop: ${name}`, async () => {
    const streamed = {
      ...fields,
      stream: true,
      stream_options: { include_usage: true },
    };
    const text = (list) =>
      list
        .flatMap((chunk) => chunk.choices)
        .filter((choice) => choice.index === 0)
        .map((choice) => choice.delta.content ?? "")
        .join("");
    const direct = await chunks(await ask(far, "large", streamed));
    const through = await chunks(await ask(near, "auto", streamed));
    assert(text(direct).length > 0);
    assert.equal(text(through), text(direct));
    assert.deepEqual(through.at(-1).usage, direct.at(-1).usage);
  });
}

test("completions go through as well", async () => {
  const fields = { temperature: 0, max_tokens: 8, logprobs: 2 };
  const direct = await ask(far, "large", fields, undefined, "completions");
  const through = await ask(near, "auto", fields, undefined, "completions");
  assert.deepEqual(
    answerOf(await through.json()),
    answerOf(await direct.json()),
  );
});

test("what the far server refuses is the client's to mend", async () => {
  const long = "word ".repeat(2000);
  const response = await ask(near, "auto", {
    messages: [{ role: "user", content: long }],
  });
  assert.equal(response.status, 400);
  assert.match((await response.json()).error.message, /context|tokens/);
});

test("a client that leaves is dropped at the far end", async () => {
  const leaving = new AbortController();
  const response = await ask(
    near,
    "auto",
    // Long enough that it cannot have ended before the client leaves.
    { stream: true, temperature: 1, n: 8, max_tokens: 400 },
    leaving.signal,
  );
  await response.body.getReader().read();
  leaving.abort();
  await far.idle();
});

test("a far server that is gone is a 503 and nothing worse", async () => {
  await far.stop();
  const response = await ask(near, "auto", { max_tokens: 1 });
  assert.equal(response.status, 503);
  const { error } = await response.json();
  assert.doesNotMatch(error.message, /127\.0\.0\.1/);
  assert.equal((await near.get("/health")).status, 200);
});
