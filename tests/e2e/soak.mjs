// SPDX-License-Identifier: Apache-2.0
//
// A gateway under load for a while, before upstreams that fail in every way,
// one after another and together: whoever meets no failure is answered whole,
// who does is told so, and nothing is left behind at the end.
//   SOAK_MINUTES=30 SOAK_SEED=2 node soak.mjs AIO
import assert from "node:assert/strict";
import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ask, isError, isWhole, sleep, startUpstream, sumOf } from "./load.mjs";
import { serve } from "./server.mjs";

const [aio] = process.argv.slice(2);
const SOAK_MS = Number(process.env.SOAK_MINUTES ?? 1) * 60_000;
const SEED = Number(process.env.SOAK_SEED ?? 1);
const CLIENTS = 16;
const KEYS = ["sk-soak-one", "sk-soak-two"];
const UPSTREAMS = ["u0", "u1", "u2", "u3"];
const KILLED = 3; // the one that is also killed and started again

// Numbers in [0, 1) from a seed (mulberry32).
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

const folder = mkdtempSync(join(tmpdir(), "aio-soak-"));
let upstreams;
let gateway;
before(async () => {
  upstreams = await Promise.all(
    UPSTREAMS.map((name) => startUpstream(name, "127.0.0.1", 0)),
  );
  for (const upstream of upstreams) upstream.tell({ pace: 20 });
  const file = join(folder, "soak.yaml");
  const keys = join(folder, "keys.txt");
  writeFileSync(keys, `${KEYS[0]} name=one\n${KEYS[1]} name=two weight=2\n`);
  const urls = upstreams.map(({ port }) => `"http://127.0.0.1:${port}/v1"`);
  writeFileSync(
    file,
    `server: { api_keys: "${keys}" }
variants:
  fleet: { upstream: [${urls.join(", ")}], model: m, connect_timeout: 1s,
           first_byte_timeout: 2s, idle_timeout: 2s, total_timeout: 6s,
           health_every: 1s }
policy: { kind: "static:fleet" }
log: { level: "off" }
`,
  );
  gateway = await serve(aio, file);
});
after(() => {
  for (const upstream of upstreams ?? []) upstream.kill();
  rmSync(folder, { recursive: true });
});

// ---- Faults -----------------------------------------------------------------

// When any upstream was not well: [{from, to}], the last may be open.
const troubles = [];
const PAUSE_MS = 6000;

const faults = {
  stall: { fault: "stall" },
  hush: { fault: "hush" },
  reset: { fault: "reset" },
  cut: { fault: "cut" },
  500: { fault: "500" },
  429: { fault: "429" },
  slow: { pace: 150, delay: 300 },
};
const well = { fault: "", pace: 20, delay: 0 };

async function breakAndMend(i, fault, ms) {
  if (fault === "kill") {
    const { name, port, kill } = upstreams[i];
    kill();
    await sleep(ms);
    upstreams[i] = await startUpstream(name, "127.0.0.1", port);
  } else {
    upstreams[i].tell(faults[fault]);
    await sleep(ms);
  }
  upstreams[i].tell(well);
}

// One upstream or all but one, for a few seconds; then time to recover, so that
// there are requests which meet no failure.
async function trouble(random, until) {
  const kinds = [...Object.keys(faults), "kill"];
  const counts = {};
  await sleep(2000);
  for (let round = 0; Date.now() < until; ++round) {
    const fault = kinds[round % kinds.length];
    const first = fault === "kill" ? KILLED : Math.floor(random() * 4);
    const many = fault !== "kill" && random() < 0.3 ? 3 : 1;
    const ms = 300 + random() * 2500;
    counts[fault] = (counts[fault] ?? 0) + many;
    const entry = { from: Date.now(), to: Infinity };
    troubles.push(entry);
    await Promise.all(
      Array.from({ length: many }, (_, k) =>
        breakAndMend((first + k) % 4, fault, ms),
      ),
    );
    entry.to = Date.now();
    if (round % 2 === 1) await sleep(PAUSE_MS + 1500 * random());
  }
  return counts;
}

const metTrouble = (seen) =>
  troubles.some(({ from, to }) => seen.begun <= to && seen.ended >= from);

// ---- Clients ----------------------------------------------------------------

const tally = { asked: 0, whole: 0, error: 0, left: 0, calm: 0, ejected: 0 };
const wrong = []; // what must not be

// Replicas that have failed time and again are ejected for up to five seconds, well
// or not; when all are, nobody is asked (docs/fleet.md, limits).
const allEjected = ({ status, errors }) =>
  status === 503 && errors[0]?.message === "unhealthy";

function judge(seen) {
  if (seen.left) {
    ++tally.left;
    return;
  }
  const calm = !metTrouble(seen);
  if (calm && isError(seen) && allEjected(seen)) {
    ++tally.ejected;
    return;
  }
  tally.calm += calm;
  if (isWhole(seen)) ++tally.whole;
  else if (isError(seen) && !calm) ++tally.error;
  else wrong.push({ calm, ...seen });
}

async function client(random, until) {
  while (Date.now() < until) {
    const stays = random() < 0.85;
    const patience = 50 + Math.floor(random() * 350); // ms; it has been heard
    ++tally.asked;
    const request = {
      tokens: 1 + Math.floor(random() * 20),
      streamed: random() < 0.6,
      key: KEYS[Math.floor(random() * KEYS.length)],
      leaving: stays ? undefined : AbortSignal.timeout(patience),
    };
    judge(await ask(gateway.url, request));
    await sleep(random() * 100);
  }
}

// ---- The process ------------------------------------------------------------

const descriptors = () => readdirSync(`/proc/${gateway.pid}/fd`).length;
const residentKb = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.pid}/status`))[1]);
// Of the gateway without a client: what it keeps.
async function whenIdle() {
  const metrics = await gateway.until(
    "nothing in flight",
    (m) =>
      sumOf(m, "aio_upstream_in_flight") === 0 &&
      m.aio_http_requests_in_flight === 1, // this one
  );
  return { metrics, kb: residentKb() };
}

test(`${SOAK_MS / 1000} s of load and faults`, async (t) => {
  const random = numbers(SEED);
  const clients = (until) =>
    Promise.all(
      Array.from({ length: CLIENTS }, () =>
        client(numbers(Math.floor(random() * 2 ** 32)), until),
      ),
    );
  await clients(Date.now() + 10_000);
  const early = { ...(await whenIdle()), descriptors: descriptors() };

  const until = Date.now() + SOAK_MS;
  const [counts] = await Promise.all([
    trouble(random, until - 10_000),
    clients(until),
  ]);
  const { metrics, kb } = await whenIdle();
  t.diagnostic(`faults: ${JSON.stringify(counts)}`);
  t.diagnostic(`requests: ${JSON.stringify(tally)}`);
  t.diagnostic(`RSS ${early.kb} kB, then ${kb} kB`);

  assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} are wrong`);
  assert(tally.calm > tally.asked / 20, "some met no failure");
  assert(tally.error > 0, "some met one");
  assert(kb < early.kb * 1.2, `RSS ${early.kb} kB, then ${kb} kB`);
  assert.equal(sumOf(metrics, "aio_requests_total"), tally.asked);
  // Connections that are kept for the next request are closed in time.
  const end = Date.now() + 90_000;
  while (descriptors() > early.descriptors && Date.now() < end) {
    await sleep(200);
  }
  t.diagnostic(`descriptors ${early.descriptors}, then ${descriptors()}`);
  assert(descriptors() <= early.descriptors, `${descriptors()} descriptors`);
});
