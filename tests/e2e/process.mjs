// SPDX-License-Identifier: Apache-2.0
//
// A gateway that runs its engine itself: another `aio serve`, started before
// /ready says yes, started again when it is killed, ended with the gateway.
//   node process.mjs AIO CONFIG
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { serve } from "./server.mjs";

const [aio, config] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "aio-process-"));
after(() => rmSync(folder, { recursive: true }));

async function freePort() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

// Processes whose command line has `word` in it.
function pidsOf(word) {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return words.includes(word);
      } catch {
        return false; // it has just ended
      }
    })
    .map(Number);
}

async function until(what, good) {
  const end = Date.now() + 30_000;
  while (!(await good())) {
    assert(Date.now() < end, what);
    await new Promise((done) => setTimeout(done, 50));
  }
}

let gateway;
let listen; // of the engine, as its command line has it
before(async () => {
  const port = await freePort();
  listen = `127.0.0.1:${port}`;
  const file = join(folder, "gateway.yaml");
  writeFileSync(
    file,
    `variants:
  engine:
    model: large
    context_max: 512
    health_every: 200ms
    process:
      command: ["${resolve(aio)}", serve, --config, "${resolve(config)}", --listen, "127.0.0.1:{port}"]
      port: ${port}
      ready: /ready
policy: { kind: "static:engine" }
log: { level: warning }
`,
  );
  gateway = await serve(aio, file);
  await until("ready", async () => (await gateway.get("/ready")).status === 200);
});

async function ask() {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({
      model: "auto",
      max_tokens: 5,
      messages: [{ role: "user", content: "Once upon a time" }],
    }),
  });
  return { status: response.status, body: await response.json() };
}

test("is ready with its engine", async () => {
  const { status, body } = await ask();
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.choices.length, 1);
  assert.equal(body.model, "engine");
});

test("an engine that is killed is started again", async () => {
  const [first] = pidsOf(listen);
  assert(first, "the engine runs");
  process.kill(first, "SIGKILL");
  await until("another engine", () =>
    pidsOf(listen).some((pid) => pid !== first),
  );
  await until("answers again", async () => (await ask()).status === 200);
  const metrics = await gateway.metrics();
  assert.equal(metrics['aio_process_restarts_total{process="engine"}'], 1);
});

test("its engine ends with it", async () => {
  assert.equal(await gateway.stop(), 0);
  await until("no engine", () => pidsOf(listen).length === 0);
});

test("nor does it outlive a gateway that is killed", async () => {
  const other = await serve(aio, join(folder, "gateway.yaml"));
  await until("ready", async () => (await other.get("/ready")).status === 200);
  assert.equal(pidsOf(listen).length, 1);
  process.kill(other.pid, "SIGKILL");
  await until("no engine", () => pidsOf(listen).length === 0);
  other.forget();
});
