// SPDX-License-Identifier: Apache-2.0
//
// A gateway in front of two engines, a real llama.cpp and an A-IO: the official
// OpenAI client must get through it what it gets from them directly, and what
// it gives up must be given up there.
//   node fleet.mjs AIO CONFIG MODEL PEER_SOURCE PEER_FOLDER GATEWAY_CONFIG
// CONFIG has the variant `large`; PEER_FOLDER is where tests/peer/install put
// llama.cpp, which gets MODEL.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { get, listening, serve } from "./server.mjs";

const [aio, config, model, peerSource, peer, gatewayConfig] =
  process.argv.slice(2);
if (!existsSync(join(peer, "node"))) {
  console.log("skipped: llama.cpp is not installed; peer_install says why");
  process.exit(77);
}

const SEQUENCES = 16; // that llama.cpp runs at once; others wait
const STREAMS = 64;

// Node.js finds packages beside the program, so the program goes there.
async function serveLlama() {
  for (const file of ["generate.mjs", "openai_server.mjs"]) {
    copyFileSync(join(peerSource, file), join(peer, file));
  }
  const child = spawn(join(peer, "node"), [
    join(peer, "openai_server.mjs"),
    model,
    ...["--name", "nano", "--sequences", String(SEQUENCES)],
  ]);
  const { host, port } = await listening(child);
  return {
    stop: () => child.kill(),
    url: `http://${host}:${port}`,
    async counts() {
      return JSON.parse((await get(host, port, "/debug/running")).body);
    },
    // Asks until nothing runs nor waits; fails after 20 s.
    async idle() {
      const end = Date.now() + 20_000;
      for (;;) {
        const counts = await this.counts();
        if (counts.running + counts.waiting === 0) return counts;
        assert(Date.now() < end, JSON.stringify(counts));
      }
    },
  };
}

// `direct` asks the engine itself by its own name for the model, `through` the
// gateway.
let engines;
let llama;
let far;
before(async () => {
  llama = await serveLlama();
  far = await serve(aio, config);
  const gateway = await serve(aio, gatewayConfig, [
    `variants.llama.upstream=${llama.url}/v1`,
    `variants.aio.upstream=${far.url}/v1`,
  ]);
  const client = (url) =>
    new OpenAI({
      baseURL: `${url}/v1`,
      apiKey: "none",
      maxRetries: 0,
      timeout: 120_000,
    });
  engines = {
    llama: [client(llama.url), "nano"],
    aio: [client(far.url), "large"],
  };
  for (const [name, [direct, itsName]] of Object.entries(engines)) {
    engines[name] = {
      direct: { client: direct, model: itsName },
      through: { client: client(gateway.url), model: name },
    };
  }
});

after(() => llama?.stop());

const asks = {
  chat: {
    create: ({ chat }) => chat.completions,
    prompt: (text) => ({ messages: [{ role: "user", content: text }] }),
    textOf: (choice) => (choice.message ?? choice.delta).content ?? "",
  },
  completions: {
    create: ({ completions }) => completions,
    prompt: (text) => ({ prompt: text }),
    textOf: (choice) => choice.text,
  },
};

// The answer to `prompt` of one kind, whole or put together from its stream.
async function ask({ client, model }, kind, prompt, fields = {}) {
  const { create, prompt: bodyOf, textOf } = asks[kind];
  const body = { model, ...bodyOf(prompt), ...fields };
  if (fields.stream) body.stream_options = { include_usage: true };
  const answer = await create(client).create(body);
  const result = { text: "", finish: [], pieces: 0 };
  const take = ({ choices, usage }) => {
    for (const choice of choices) {
      const text = textOf(choice);
      result.text += text;
      result.pieces += text.length > 0;
      if (choice.finish_reason) result.finish.push(choice.finish_reason);
    }
    const { prompt_tokens, completion_tokens } = usage ?? {};
    if (usage) result.usage = { prompt_tokens, completion_tokens };
  };
  if (!fields.stream) take(answer);
  else for await (const chunk of answer) take(chunk);
  return result;
}

const complete = ({ finish, usage }, what) => {
  assert.equal(finish.length, 1, what);
  assert(["stop", "length"].includes(finish[0]), what);
  assert(usage?.completion_tokens > 0, what);
};

// As a completion by nano-s it never ends by itself; a test sees to that.
const ENDLESS = "List all numbers.";
const GREEDY = { temperature: 0, max_tokens: 40 };
const PROMPTS = {
  task: ENDLESS,
  story: "Once upon a time, there was a little girl named Lily.",
  "other scripts": "Translate: 日本語, Ελληνικά, naïve 🙂",
};

for (const engine of ["llama", "aio"]) {
  for (const kind of Object.keys(asks)) {
    for (const [name, prompt] of Object.entries(PROMPTS)) {
      const what = `${engine}, ${kind}, ${name}`;
      test(`${what}: the same text through the gateway`, async () => {
        const { direct, through } = engines[engine];
        const expected = await ask(direct, kind, prompt, GREEDY);
        complete(expected);
        assert(expected.text.length > 0);
        const whole = await ask(through, kind, prompt, GREEDY);
        assert.deepEqual(whole, expected);
        const streamed = { ...GREEDY, stream: true };
        const stream = await ask(through, kind, prompt, streamed);
        const theirs = await ask(direct, kind, prompt, streamed);
        for (const got of [theirs, stream]) {
          assert.equal(got.text, expected.text);
          assert.deepEqual(got.finish, expected.finish);
          assert.deepEqual(got.usage, expected.usage);
        }
        assert(stream.pieces > 3, "it came in pieces");
      });
    }
  }

  test(`${engine}: a stop string ends the text before it`, async () => {
    const { direct, through } = engines[engine];
    const { text } = await ask(direct, "chat", PROMPTS.story, GREEDY);
    const words = text.trim().split(" ");
    const stop = words.slice(2, 4).join(" ");
    const cut = text.slice(0, text.indexOf(stop));
    for (const side of [direct, through]) {
      for (const stream of [false, true]) {
        const fields = { ...GREEDY, stop: [stop], stream };
        const got = await ask(side, "chat", PROMPTS.story, fields);
        assert.equal(got.text, cut);
        assert.deepEqual(got.finish, ["stop"]);
      }
    }
  });

  test(`${engine}: log probabilities come through as they are`, async () => {
    const create = async ({ client, model }) => {
      const { choices } = await client.chat.completions.create({
        model,
        messages: [{ role: "user", content: ENDLESS }],
        logprobs: true,
        top_logprobs: 3,
        ...GREEDY,
      });
      // Digits behind those of a float are noise, and not passed on.
      const rounded = (key, value) =>
        key === "logprob" ? Math.fround(value) : value;
      const { content } = choices[0].logprobs;
      return JSON.parse(JSON.stringify(content), rounded);
    };
    const { direct, through } = engines[engine];
    const expected = await create(direct);
    assert(expected.length > 3);
    assert(expected.every((token) => token.top_logprobs.length === 3));
    assert.deepEqual(await create(through), expected);
  });
}

test("letters of several tokens come whole from llama.cpp", async () => {
  const { direct, through } = engines.llama;
  for (const side of [direct, through]) {
    for (const stream of [false, true]) {
      const fields = { ...GREEDY, stream };
      const prompt = "What is Austria called in Chinese?";
      const { text } = await ask(side, "chat", prompt, fields);
      assert.match(text, /^[\u4e00-\u9fff]+$/);
    }
  }
});

test("a seed draws the same through the gateway", async () => {
  for (const { direct, through } of Object.values(engines)) {
    const texts = [];
    for (const seed of [7, 8]) {
      const fields = { temperature: 1.5, max_tokens: 60, seed };
      const expected = await ask(direct, "completions", ENDLESS, fields);
      const got = await ask(through, "completions", ENDLESS, fields);
      assert.deepEqual(got, expected);
      texts.push(got.text);
    }
    assert.notEqual(texts[0], texts[1]);
  }
});

test("what llama.cpp's server refuses is a 400 that names it", async () => {
  const { through } = engines.llama;
  await assert.rejects(
    ask(through, "chat", "Hello", { n: 2 }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === "n",
  );
});

const promptsOf = (prompt) =>
  Array.from({ length: STREAMS }, (_, i) => prompt(i));

test(`${STREAMS} streams at once are what each is alone`, async () => {
  const { through } = engines.aio;
  const fields = { ...GREEDY, stream: true };
  const prompts = promptsOf((i) => `Story ${i}: a dog`);
  const together = await Promise.all(
    prompts.map((prompt) => ask(through, "chat", prompt, fields)),
  );
  for (const [i, prompt] of prompts.entries()) {
    complete(together[i], prompt);
    const alone = await ask(engines.aio.direct, "chat", prompt, fields);
    assert.equal(together[i].text, alone.text, prompt);
  }
  await far.idle();
});

// Sums of a step depend on what else is in it there, so texts may differ.
test(`${STREAMS} streams of llama.cpp at once all come to an end`, async () => {
  const { through } = engines.llama;
  const prompts = promptsOf((i) => `What is ${i} + 15?`);
  const before = await llama.counts();
  const answers = await Promise.all(
    prompts.map((prompt) =>
      ask(through, "chat", prompt, { ...GREEDY, stream: true }),
    ),
  );
  for (const [i, answer] of answers.entries()) complete(answer, prompts[i]);
  const counts = await llama.idle();
  assert.equal(counts.finished - before.finished, STREAMS);
  assert.equal(counts.cancelled, before.cancelled);
});

// Starts `count` requests, waits until the engine has them, and leaves.
async function startAndLeave(count, { engine, kind, fields, running }) {
  const { client, model } = engines[engine].through;
  const { create, prompt } = asks[kind];
  const leaving = new AbortController();
  const answers = Array.from({ length: count }, () =>
    create(client).create(
      { model, ...prompt(ENDLESS), ...fields },
      { signal: leaving.signal },
    ),
  );
  const ended = Promise.allSettled(
    answers.map(async (answer) => {
      for await (const chunk of await answer) assert(chunk);
    }),
  );
  await running();
  leaving.abort();
  await ended;
}

for (const stream of [true, false]) {
  const how = stream ? "in mid-stream" : "before a plain answer";
  test(`a client that leaves ${how} is dropped at llama.cpp`, async () => {
    const endless = { temperature: 0, max_tokens: 2000, stream };
    const count = SEQUENCES + 4; // some wait
    const before = await llama.counts();
    await startAndLeave(count, {
      engine: "llama",
      kind: "completions",
      fields: endless,
      running: async () => {
        let counts;
        do counts = await llama.counts();
        while (counts.running + counts.waiting < count);
      },
    });
    const counts = await llama.idle();
    const cancelled = counts.cancelled - before.cancelled;
    assert(cancelled >= SEQUENCES, "those that ran were given up");
    assert.equal(counts.finished - before.finished, cancelled);
    const { through } = engines.llama;
    complete(await ask(through, "chat", "Hello", { max_tokens: 2 }));
  });

  test(`a client that leaves ${how} is dropped at A-IO`, async () => {
    const name = "aio_http_disconnects_total";
    const before = await far.metrics();
    await startAndLeave(4, {
      engine: "aio",
      kind: "chat",
      fields: { temperature: 1, n: 8, max_tokens: 400, stream },
      running: () =>
        far.until("they run", (metrics) =>
          Object.keys(metrics).some(
            (key) =>
              key.startsWith("aio_kv_pages_free") &&
              metrics[key] < metrics[key.replace("_free", "_total")],
          ),
        ),
    });
    const metrics = await far.idle();
    assert(metrics[name] > (before[name] ?? 0), "they were noticed");
  });
}

test("who does not leave gets more than anyone waits for", async () => {
  const { direct } = engines.llama;
  const fields = { temperature: 0, max_tokens: 2000 };
  const answer = await ask(direct, "completions", ENDLESS, fields);
  assert.deepEqual(answer.finish, ["length"]);
  assert(answer.usage.completion_tokens > 900);
});
