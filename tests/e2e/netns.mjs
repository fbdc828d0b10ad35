// SPDX-License-Identifier: Apache-2.0
//
// A gateway and three replicas, each in a network namespace of its own: one is
// cut off so that its packets vanish, comes back, and is slow for a while. What
// runs there ends with an error within seconds, nothing else fails, and its
// share of the requests goes and returns.
//   node netns.mjs AIO
// Needs root and `ip netns`; else it is skipped.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ask, isError, isWhole, sleep, startUpstream, sumOf } from "./load.mjs";
import { serve } from "./server.mjs";

const [aio] = process.argv.slice(2);

const ip = (...words) => execFileSync("ip", words, { stdio: "pipe" });
const prefix = `aio${process.pid}`; // of namespaces and interfaces
const REPLICAS = ["r0", "r1", "r2"];
const nameOf = (i) => `${prefix}n${i}`;
// Of the addresses for tests of networks (RFC 2544), four for each pair.
const addressOf = (i, side) =>
  `198.18.${process.pid % 256}.${4 * i + (side === "host" ? 1 : 2)}`;

const made = [];
function remove() {
  for (const name of made.splice(0)) {
    // Its interface goes with it, and so does that one's other end.
    spawnSync("ip", ["netns", "del", name]);
  }
}
process.on("exit", remove);
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => process.exit(1));
}

function connect(i) {
  const name = nameOf(i);
  const outer = `${prefix}h${i}`;
  ip("netns", "add", name);
  made.push(name);
  const peer = ["peer", "name", "up0", "netns", name];
  ip("link", "add", outer, "type", "veth", ...peer);
  ip("addr", "add", `${addressOf(i, "host")}/30`, "dev", outer);
  ip("link", "set", outer, "up");
  ip("-n", name, "addr", "add", `${addressOf(i, "far")}/30`, "dev", "up0");
  ip("-n", name, "link", "set", "up0", "up");
}
try {
  REPLICAS.forEach((_, i) => connect(i));
} catch (error) {
  console.log(`skipped: no network namespaces here: ${error.message}`);
  process.exit(77);
}
// No goodbye: what is sent into a link that is down is lost.
const setLink = (i, state) =>
  ip("-n", nameOf(i), "link", "set", "up0", state);

// ---- The gateway ------------------------------------------------------------

const PORT = 9000;
const replicaOf = (i) => `${addressOf(i, "far")}:${PORT}`;
const folder = mkdtempSync(join(tmpdir(), "aio-netns-"));
let upstreams;
let gateway; // static
let marginal;

function config(name, policy) {
  const file = join(folder, `${name}.yaml`);
  const urls = REPLICAS.map((_, i) => `"http://${replicaOf(i)}/v1"`);
  writeFileSync(
    file,
    `variants:
  fleet: { upstream: [${urls.join(", ")}], model: m, connect_timeout: 1s,
           health_every: 1s }
policy: ${policy}
log: { level: error }
`,
  );
  return file;
}

before(async () => {
  upstreams = await Promise.all(
    REPLICAS.map((name, i) =>
      startUpstream(name, "0.0.0.0", PORT, ["ip", "netns", "exec", nameOf(i)]),
    ),
  );
  const table = join(folder, "table.json");
  const labels = ["code", "math", "qa", "chat", "summarize", "extract"];
  const quality = labels.map((label) => [
    label,
    { quality: 0.9, low: 0.8, high: 1, n: 100 },
  ]);
  const variants = { fleet: Object.fromEntries(quality) };
  writeFileSync(table, JSON.stringify({ format: 1, variants, source: {} }));
  gateway = await serve(aio, config("static", '{ kind: "static:fleet" }'));
  marginal = await serve(
    aio,
    config("marginal", `{ kind: marginal, quality_table: "${table}" }`),
  );
});
after(() => {
  for (const upstream of upstreams ?? []) upstream.kill();
  rmSync(folder, { recursive: true });
});

// ---- The load ---------------------------------------------------------------

const asked = new Map(); // gateway -> how many requests
function send(to, fields) {
  asked.set(to, (asked.get(to) ?? 0) + 1);
  return ask(to.url, fields);
}

// A request every 50 ms until `stop`; every other one is no stream.
function keepAsking(to, t) {
  const all = [];
  const pending = [];
  const timer = setInterval(() => {
    const answer = send(to, { tokens: 3, streamed: pending.length % 2 === 0 });
    pending.push(answer.then((seen) => all.push(seen)));
  }, 50);
  t.after(() => clearInterval(timer));
  return {
    // Of the answers that begin from now on, until there are `count`: the share
    // of r0.
    async share(count) {
      const from = Date.now();
      const fresh = () => all.filter((seen) => seen.begun >= from);
      while (fresh().length < count) await sleep(20);
      return fresh().filter((s) => s.from === "r0").length / fresh().length;
    },
    // Until a share is as `good` says, for at most 30 s.
    async until(what, good) {
      const end = Date.now() + 30_000;
      let share = await this.share(60);
      while (!good(share)) {
        assert(Date.now() < end, `${what}: its share is ${share}`);
        share = await this.share(60);
      }
      return share;
    },
    async stop() {
      clearInterval(timer);
      await Promise.all(pending);
      return all;
    },
  };
}

const stateOf = async (i) =>
  JSON.parse((await gateway.get("/v1/fleet")).body).places.find(
    (place) => place.replica === replicaOf(i),
  ).state;
const sentTo = async (i) =>
  sumOf(await gateway.metrics(), "aio_upstream_requests_total", replicaOf(i));
const succeeded = (answers) =>
  assert.deepEqual(answers.filter((seen) => !isWhole(seen)), []);

test("a replica is cut off under a hundred streams", async (t) => {
  const streams = Array.from({ length: 100 }, () =>
    send(gateway, { tokens: 200 }),
  );
  await sleep(500);
  const others = keepAsking(gateway, t);
  const before = await others.share(40);
  assert(before > 0.1 && before < 0.6, `a third at first, not ${before}`);
  const cut = Date.now();
  t.after(() => setLink(0, "up"));
  setLink(0, "down");
  const answers = await Promise.all(streams);
  const ended = answers.filter((seen) => seen.from === "r0");
  const late = Math.max(...ended.map((seen) => seen.ended - cut));
  t.diagnostic(`${ended.length} streams were cut, the last after ${late} ms`);
  assert(ended.length > 20 && ended.length < 50, `${ended.length} were there`);
  assert(ended.every(isError), "each says that it is cut");
  assert(late < 10_000, `the last one after ${late} ms`);
  succeeded(answers.filter((seen) => seen.from !== "r0"));

  assert.equal(await stateOf(0), "unhealthy");
  const sent = await sentTo(0);
  assert.equal(await others.share(60), 0);
  assert.equal(await sentTo(0), sent);

  const up = Date.now();
  setLink(0, "up");
  await others.until("it gets requests again", (share) => share > 0);
  t.diagnostic(`requests again within ${Date.now() - up} ms`);
  const after = await others.until("a third again", (s) => s > 0.2 && s < 0.45);
  t.diagnostic(`then its share is ${after}`);
  assert.equal(await stateOf(0), "ready");
  const answered = await others.stop();
  t.diagnostic(`${answered.length} other requests`);
  // What r0 had begun to answer when it was cut ends as its streams did: a retry
  // is before the first byte.
  const begun = (seen) =>
    seen.from === "r0" && seen.begun <= cut + 100 && isError(seen);
  succeeded(answered.filter((seen) => !begun(seen)));
});

// Slow as a network would make it; not every kernel has netem.
test("a replica is slow for a while, policy static", async (t) => {
  const others = keepAsking(gateway, t);
  const before = await others.share(100);
  upstreams[0].tell({ delay: 200 });
  await others.until("it gets less", (share) => share < 0.25);
  const slow = await others.share(100);
  upstreams[0].tell({ delay: 0 });
  const after = await others.until("its share returns", (s) => s > 0.25);
  t.diagnostic(`its share: ${before}, slow ${slow}, then ${after}`);
  succeeded(await others.stop());
});

// Prices follow what each replica's own answers took, and one request in fifty
// goes to any of them: its share falls, and returns by itself.
test("a replica is slow for a while, policy marginal", async (t) => {
  const others = keepAsking(marginal, t);
  const before = await others.share(100);
  assert(before > 0.2 && before < 0.5, `a third at first, not ${before}`);
  upstreams[0].tell({ delay: 200 });
  const slow = await others.until("it gets less", (share) => share < 0.15);
  upstreams[0].tell({ delay: 0 });
  const after = await others.until("its share returns", (s) => s > 0.25);
  t.diagnostic(`its share: ${before}, slow ${slow}, then ${after}`);
  succeeded(await others.stop());
});

test("every request was counted once, and nothing is left", async () => {
  for (const [to, count] of asked) {
    const metrics = await to.until(
      "nothing in flight",
      (m) => sumOf(m, "aio_upstream_in_flight") === 0,
    );
    assert.equal(sumOf(metrics, "aio_requests_total"), count);
  }
});
