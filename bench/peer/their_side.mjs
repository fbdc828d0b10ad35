// SPDX-License-Identifier: Apache-2.0
//
// llama.cpp's side of `make bench-peer`: a prebuilt llama.cpp as npm's
// node-llama-cpp ships it, driven through that package's own binding, one call
// a step, so that its queues and sampling cost nothing here.
//
//   node their_side.mjs MODEL.gguf THREADS
//
// Each line on standard input is a job, each line on standard output its
// answer, {"error": text} where it failed:
//   {"do": "open", "name": n, "sequences": s, "context": c, "steps": k}
//     fills s sequences with c tokens each and finds the fastest settings for
//     k steps after them -> {"settings": text}
//   {"do": "open", "name": n, "prompt": p}
//     the same for a prompt of p tokens in an empty context
//   {"do": "run", "name": n}  -> {"seconds": s}
//   {"do": "about"}           -> {"version": text, "backend": text}
//
// ggml makes its threads anew for each step, so that nothing here spins while
// it waits for the next line.
import {readFileSync} from "node:fs";
import {dirname, join} from "node:path";
import {createInterface} from "node:readline";
import {fileURLToPath} from "node:url";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const [path, threadsText] = process.argv.slice(2);
const threads = Number(threadsText);
const llama = await getLlama({
  gpu: false,
  build: "never",
  logLevel: LlamaLogLevel.fatal,
  maxThreads: threads,
});
const model = await llama.loadModel({modelPath: path, gpuLayers: 0});
const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length;

const CHUNK = 512;  // columns of a step of a prompt
// Of each setting; the best counts. A prompt takes seconds, and so once.
const TRIALS = 3, PROMPT_TRIALS = 1;

const token = (i) => (i * 7919 + 13) % vocabulary;
const tokens = (first, count) =>
    Uint32Array.from({length: count}, (_, i) => token(first + i));
const NONE = new Uint32Array(0);
const FIRST = Uint32Array.of(0);

// One context with one setting of flash attention, and a job in it.
class Work {
  static async open(job, flash) {
    const work = new Work();
    work.job = job;
    work.flash = flash;
    work.chunk = CHUNK;
    const {sequences = 1, context = 0, steps = 0, prompt = 0} = job;
    work.context = await model.createContext({
      contextSize: context + steps + prompt,
      sequences,
      batchSize: CHUNK,
      threads,
      flashAttention: flash,
      experimentalKvCacheKeyType: "F16",
      experimentalKvCacheValueType: "F16",
    });
    work.raw = work.context._ctx;
    work.raw.setThreads(threads);
    if (work.raw.getThreads() !== threads) {
      throw new Error(`llama.cpp took ${work.raw.getThreads()} threads`);
    }
    for (let s = 0; s < sequences; ++s) await work.fill(s, context);
    return work;
  }

  async fill(sequence, count) {
    for (let at = 0; at < count; at += this.chunk) {
      const n = Math.min(this.chunk, count - at);
      const last = at + n === count;
      this.raw.initBatch(n);
      this.raw.addToBatch(sequence, at, tokens(at, n),
                          last ? Uint32Array.of(n - 1) : NONE);
      await this.raw.decodeBatch();
    }
  }

  forget(from) {
    for (let s = 0; s < (this.job.sequences ?? 1); ++s) {
      this.raw.removeTokenCellsFromSequence(s, from, -1);
    }
  }

  // Seconds of the job. What it wrote is forgotten outside of them.
  async run() {
    const begin = performance.now();
    if (this.job.prompt) {
      await this.fill(0, this.job.prompt);
    } else {
      await this.decode();
    }
    const seconds = (performance.now() - begin) / 1e3;
    this.forget(this.job.context ?? 0);
    return seconds;
  }

  // A token of each sequence a step.
  async decode() {
    const {sequences, context, steps} = this.job;
    for (let i = 0; i < steps; ++i) {
      this.raw.initBatch(sequences);
      for (let s = 0; s < sequences; ++s) {
        this.raw.addToBatch(s, context + i, Uint32Array.of(token(s + i)),
                            FIRST);
      }
      await this.raw.decodeBatch();
    }
  }

  async best() {
    let best = Infinity;
    const trials = this.job.prompt ? PROMPT_TRIALS : TRIALS;
    for (let i = 0; i < trials; ++i) best = Math.min(best, await this.run());
    return best;
  }

  settings() {
    const chunk = this.job.prompt ? `, batches of ${this.chunk}` : "";
    return `flash attention ${this.flash ? "on" : "off"}${chunk}`;
  }
}

// The fastest of the settings that there are to choose.
async function open(job) {
  let chosen, least = Infinity;
  for (const flash of [true, false]) {
    const work = await Work.open(job, flash);
    let better = false, chunkBest = CHUNK;
    for (const chunk of job.prompt ? [CHUNK, CHUNK / 2, CHUNK / 4] : [CHUNK]) {
      work.chunk = chunk;
      const seconds = await work.best();
      if (seconds >= least) continue;
      [least, better, chunkBest] = [seconds, true, chunk];
    }
    work.chunk = chunkBest;
    if (better) await chosen?.context.dispose();
    if (better) chosen = work;
    else await work.context.dispose();
  }
  return chosen;
}

// Which of the libraries beside the addon this process has mapped.
function backend() {
  const maps = readFileSync("/proc/self/maps", "utf8");
  return maps.match(/libggml-cpu-[\w.]+(?=\.so)/)?.[0] ?? "unknown backend";
}

function version() {
  const main = dirname(fileURLToPath(import.meta.resolve("node-llama-cpp")));
  const {version} =
      JSON.parse(readFileSync(join(main, "..", "package.json"), "utf8"));
  return `node-llama-cpp ${version}, llama.cpp ${llama.llamaCppRelease.release}`;
}

const works = new Map();
async function answer(job) {
  if (job.do === "about") return {version: version(), backend: backend()};
  if (job.do === "run") return {seconds: await works.get(job.name).run()};
  if (job.do !== "open") throw new Error(`no such job: ${job.do}`);
  works.set(job.name, await open(job));
  return {settings: works.get(job.name).settings()};
}

for await (const line of createInterface({input: process.stdin})) {
  let said;
  try {
    said = await answer(JSON.parse(line));
  } catch (error) {
    said = {error: String(error?.message ?? error)};
  }
  process.stdout.write(JSON.stringify(said) + "\n");
}
process.exit(0);
