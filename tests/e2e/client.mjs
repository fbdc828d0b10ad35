// SPDX-License-Identifier: Apache-2.0
//
// The official OpenAI client against `aio serve`:
//   node client.mjs AIO CONFIG KEYS
// CONFIG has the variants `small` and `large`; KEYS is a file of API keys whose
// first line is a key.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import OpenAI from "openai";
import { serve } from "./server.mjs";

const [aio, config, keys] = process.argv.slice(2);
const STORY = "Once upon a time, there was a little girl named Lily.";
const messages = [{ role: "user", content: STORY }];

let server;
let client;
before(async () => {
  server = await serve(aio, config);
  client = new OpenAI({
    baseURL: `${server.url}/v1`,
    apiKey: "none",
    maxRetries: 0,
    timeout: 60_000,
  });
});

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
const textOf = (chunks, index = 0) =>
  chunks
    .flatMap((chunk) => chunk.choices)
    .filter((choice) => choice.index === index)
    .map((choice) => choice.delta?.content ?? choice.text ?? "")
    .join("");
const finishOf = (chunks, index = 0) =>
  chunks
    .flatMap((chunk) => chunk.choices)
    .filter((choice) => choice.index === index && choice.finish_reason)
    .map((choice) => choice.finish_reason);

test("drafts change the usage, not the answer", async () => {
  const ask = async (speculation) => {
    const { data, response } = await client.chat.completions
      .create({
        model: "large",
        messages: [{ role: "user", content: `${STORY} ${STORY} ${STORY}` }],
        max_tokens: 200,
        temperature: 0,
        aio: { speculation },
      })
      .withResponse();
    return {
      text: data.choices[0].message.content,
      kept: data.usage.completion_tokens_details.accepted_prediction_tokens,
      strategy: response.headers.get("x-aio-strategy"),
    };
  };
  const plain = await ask("off");
  assert.equal(plain.strategy, "plain");
  assert.equal(plain.kept, 0);
  const drafted = await ask("lookup");
  assert.equal(drafted.strategy, "lookup");
  assert.equal(drafted.text, plain.text);
  // No variant there has a draft model.
  await assert.rejects(ask("draft"), { status: 400, param: "aio.speculation" });
});

test("a plain chat says who answered and why", async () => {
  const { data, response } = await client.chat.completions
    .create({ model: "auto", messages, max_tokens: 24, temperature: 0 })
    .withResponse();
  assert.equal(data.object, "chat.completion");
  assert.equal(data.choices[0].message.role, "assistant");
  assert(data.choices[0].message.content.length > 0);
  assert.equal(data.choices[0].finish_reason, "length");
  assert.equal(data.usage.completion_tokens, 24);
  assert(data.usage.prompt_tokens > 0);
  assert(["small", "large"].includes(data.model));
  assert(data.system_fingerprint);
  assert.equal(response.headers.get("x-aio-variant"), data.model);
  for (const name of ["intent", "strategy", "reason", "seed"]) {
    assert(response.headers.get(`x-aio-${name}`), name);
  }
  assert.equal(
    data.id,
    `chatcmpl-${response.headers.get("x-request-id")}`,
  );
});

test("a stream is the plain answer in pieces", async () => {
  for (const model of ["small", "large"]) {
    const ask = { model, messages, max_tokens: 40, temperature: 0 };
    const plain = await client.chat.completions.create(ask);
    const chunks = await collect(
      await client.chat.completions.create({ ...ask, stream: true }),
    );
    assert.equal(textOf(chunks), plain.choices[0].message.content);
    assert.deepEqual(finishOf(chunks), [plain.choices[0].finish_reason]);
    assert.equal(chunks[0].choices[0].delta.role, "assistant");
    assert(chunks.length > 10, "it came in pieces");
    assert(chunks.every((chunk) => chunk.model === model));
    assert(chunks.every((chunk) => !chunk.usage));
  }
});

test("usage comes last when it is asked for", async () => {
  const chunks = await collect(
    await client.chat.completions.create({
      model: "small",
      messages,
      max_tokens: 5,
      stream: true,
      stream_options: { include_usage: true },
    }),
  );
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.completion_tokens, 5);
  assert.equal(
    last.usage.total_tokens,
    last.usage.prompt_tokens + last.usage.completion_tokens,
  );
  assert(chunks.every((chunk) => chunk.usage === null));
});

test("a sampled answer comes again with its seed, and n differ", async () => {
  const ask = { model: "small", messages, max_tokens: 30, n: 2, seed: 11 };
  const [one, two] = await Promise.all([
    client.chat.completions.create(ask),
    client.chat.completions.create(ask),
  ]);
  assert.equal(one.choices.length, 2);
  assert.deepEqual(one.choices, two.choices);
  const [a, b] = one.choices.map((choice) => choice.message.content);
  assert.notEqual(a, b);
  const chunks = await collect(
    await client.chat.completions.create({ ...ask, stream: true }),
  );
  assert.equal(textOf(chunks, 0), a);
  assert.equal(textOf(chunks, 1), b);
});

test("the seed of a header gives the same answer", async () => {
  const ask = { model: "small", messages, max_tokens: 30 };
  const { data, response } = await client.chat.completions
    .create(ask)
    .withResponse();
  const seed = response.headers.get("x-aio-seed");
  // Larger than a double counts exactly, so it goes as text.
  const body = JSON.stringify(ask).replace("{", `{"seed":${seed},`);
  const again = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  assert.deepEqual((await again.json()).choices, data.choices);
});

test("stop strings end the text before them", async () => {
  const ask = { model: "large", messages, max_tokens: 80, temperature: 0 };
  const whole = (await client.chat.completions.create(ask)).choices[0].message
    .content;
  const words = whole.trim().split(" ");
  assert(words.length > 6, whole);
  const stop = `${words[4]} ${words[5]}`; // across tokens, not at the start
  const cut = await client.chat.completions.create({ ...ask, stop });
  assert.equal(cut.choices[0].finish_reason, "stop");
  assert.equal(
    cut.choices[0].message.content,
    whole.slice(0, whole.indexOf(stop)),
  );
  const chunks = await collect(
    await client.chat.completions.create({
      ...ask,
      stop: ["never in a story", stop],
      stream: true,
    }),
  );
  assert.equal(textOf(chunks), whole.slice(0, whole.indexOf(stop)));
  assert.deepEqual(finishOf(chunks), ["stop"]);
});

test("log probabilities of a chat add up to its text", async () => {
  const answer = await client.chat.completions.create({
    model: "large",
    messages,
    max_tokens: 12,
    temperature: 0,
    logprobs: true,
    top_logprobs: 3,
  });
  const tokens = answer.choices[0].logprobs.content;
  assert.equal(tokens.length, 12);
  assert.equal(
    Buffer.from(tokens.flatMap((token) => token.bytes)).toString(),
    answer.choices[0].message.content,
  );
  for (const token of tokens) {
    assert(token.logprob <= 0);
    assert.equal(token.top_logprobs.length, 3);
    // Greedy: the token is the best of its alternatives, and they are sorted.
    assert.equal(token.top_logprobs[0].token, token.token);
    const values = token.top_logprobs.map((top) => top.logprob);
    assert.deepEqual(values, [...values].sort((a, b) => b - a));
    assert(values.reduce((sum, value) => sum + Math.exp(value), 0) <= 1.001);
  }
});

test("text completions: plain, streamed, log probabilities", async () => {
  const ask = {
    model: "large",
    prompt: "Once upon a time",
    max_tokens: 16,
    temperature: 0,
    logprobs: 2,
  };
  const plain = await client.completions.create(ask);
  assert.equal(plain.object, "text_completion");
  const { text, logprobs } = plain.choices[0];
  assert.equal(logprobs.tokens.join(""), text);
  assert.equal(logprobs.token_logprobs.length, 16);
  assert.equal(logprobs.text_offset[0], 0);
  assert.equal(Object.keys(logprobs.top_logprobs[0]).length, 2);
  const chunks = await collect(
    await client.completions.create({ ...ask, stream: true }),
  );
  assert.equal(textOf(chunks), text);
  const offsets = chunks
    .flatMap((chunk) => chunk.choices)
    .flatMap((choice) => choice.logprobs?.text_offset ?? []);
  assert.deepEqual(offsets, logprobs.text_offset);
});

test("content parts, developer and max_completion_tokens are taken", async () => {
  const answer = await client.chat.completions.create({
    model: "small",
    max_completion_tokens: 3,
    messages: [
      { role: "developer", content: "Tell a story." },
      {
        role: "user",
        content: [
          { type: "text", text: "Once upon" },
          { type: "text", text: "a time" },
        ],
      },
    ],
  });
  assert.equal(answer.usage.completion_tokens, 3);
});

test("errors are the client's own classes and name the parameter", async () => {
  const create = (fields) =>
    client.chat.completions.create({ model: "auto", messages, ...fields });
  const bad = (fields, param) =>
    assert.rejects(create(fields), (error) => {
      assert(error instanceof OpenAI.BadRequestError, String(error));
      assert.equal(error.status, 400);
      assert.equal(error.param, param);
      assert.equal(error.type, "invalid_request_error");
      return true;
    });
  await bad({ temperature: 7 }, "temperature");
  await bad({ messages: [] }, "messages");
  await bad({ tools: [{ type: "function", function: { name: "f" } }] }, "tools");
  await bad({ response_format: { type: "json_object" } }, "response_format");
  await bad({ logit_bias: { 1: 1 } }, "logit_bias");
  await bad({ unheard_of: 1 }, "unheard_of");
  await bad(
    {
      messages: [
        {
          role: "user",
          content: [{ type: "image_url", image_url: { url: "data:," } }],
        },
      ],
    },
    "messages[0].content[0]",
  );
  await bad({ temperature: 7, stream: true }, "temperature");
  await assert.rejects(create({ model: "smal" }), (error) => {
    assert(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    assert.match(error.message, /did you mean 'small'/);
    return true;
  });
});

test("a prompt longer than the context is refused", async () => {
  const long = [{ role: "user", content: STORY.repeat(500) }];
  for (const stream of [false, true]) {
    await assert.rejects(
      client.chat.completions.create({
        model: "small",
        messages: long,
        stream,
      }),
      (error) => {
        assert(error instanceof OpenAI.BadRequestError, String(error));
        assert.match(error.message, /context/);
        return true;
      },
    );
  }
});

test("models are listed and found", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.deepEqual(names.sort(), ["auto", "large", "small"]);
  assert.equal((await client.models.retrieve("small")).id, "small");
  await assert.rejects(
    client.models.retrieve("huge"),
    (error) => error instanceof OpenAI.NotFoundError,
  );
});

test("a route is explained as it would be served", async () => {
  const body = { model: "auto", messages, temperature: 0, max_tokens: 1 };
  const route = await client.post("/route", { body });
  const sum = Object.values(route.intent.probabilities).reduce((a, b) => a + b);
  assert(Math.abs(sum - 1) < 1e-6);
  assert(route.intent.label in route.intent.probabilities);
  assert(route.intent.entropy >= 0 && route.reason && route.probe);
  assert.deepEqual(
    route.candidates.map((candidate) => candidate.variant).sort(),
    ["large", "small"],
  );
  assert(route.candidates.every((candidate) => candidate.why));
  const { response } = await client.chat.completions
    .create(body)
    .withResponse();
  assert.equal(response.headers.get("x-aio-variant"), route.variant);
  assert.equal(response.headers.get("x-aio-reason"), route.reason);
  const pinned = await client.post("/route", {
    body: { ...body, aio: { intent: "code" } },
  });
  assert.equal(pinned.intent.label, "code");
  assert.equal(pinned.probe, "pinned");
});

test("32 clients at once get what each would get alone", async () => {
  const asks = Array.from({ length: 32 }, (_, i) => ({
    model: i % 2 ? "small" : "large",
    messages: [{ role: "user", content: `Story ${i}: a dog` }],
    max_tokens: 24,
    seed: i,
    stream: true,
  }));
  const run = async (ask) =>
    textOf(await collect(await client.chat.completions.create(ask)));
  const together = await Promise.all(asks.map(run));
  for (const i of [0, 1, 15, 31]) {
    assert.equal(await run(asks[i]), together[i], `client ${i}`);
  }
  assert(together.every((text) => text.length > 0));
  await server.idle();
});

test("an aborted stream gives its pages back at once", async () => {
  const before = await server.metrics();
  const disconnects = "aio_http_disconnects_total";
  // Several with several choices each, so that they still run when they end.
  await Promise.all(
    Array.from({ length: 6 }, async (_, i) => {
      const stream = await client.chat.completions.create({
        model: "large",
        messages,
        max_tokens: 400,
        n: 4,
        seed: i,
        logprobs: true,
        top_logprobs: 20,
        stream: true,
      });
      let chunks = 0;
      for await (const _chunk of stream) {
        if (++chunks === 3) stream.controller.abort();
      }
    }),
  );
  const after = await server.idle();
  assert(
    (after[disconnects] ?? 0) > (before[disconnects] ?? 0),
    "some were noticed while they ran",
  );
  const answer = await client.chat.completions.create({
    model: "large",
    messages,
    max_tokens: 2,
  });
  assert.equal(answer.usage.completion_tokens, 2);
});

test("keys: wrong ones are told, right ones served", async () => {
  const guarded = await serve(aio, config, [`server.api_keys=${keys}`]);
  const ask = { model: "small", messages, max_tokens: 1 };
  const as = (apiKey) =>
    new OpenAI({ baseURL: `${guarded.url}/v1`, apiKey, maxRetries: 0 });
  await assert.rejects(
    as("wrong").chat.completions.create(ask),
    (error) =>
      error instanceof OpenAI.AuthenticationError &&
      error.code === "invalid_api_key",
  );
  const key = readFileSync(keys, "utf8").split("\n")[0];
  const answer = await as(key).chat.completions.create(ask);
  assert.equal(answer.choices.length, 1);
  assert.equal((await guarded.get("/health")).status, 200);
});

test("a running stream ends well when the server is told to stop", async () => {
  const ending = await serve(aio, config);
  const stream = await new OpenAI({
    baseURL: `${ending.url}/v1`,
    apiKey: "none",
    maxRetries: 0,
  }).chat.completions.create({
    model: "large",
    messages,
    max_tokens: 200,
    n: 8,
    stream: true,
  });
  const chunks = [];
  let stopped;
  for await (const chunk of stream) {
    chunks.push(chunk);
    stopped ??= ending.stop();
  }
  for (let i = 0; i < 8; ++i) assert.equal(finishOf(chunks, i).length, 1);
  assert.equal(await stopped, 0);
});
