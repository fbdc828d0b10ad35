// SPDX-License-Identifier: Apache-2.0
//
// Our drafts beside llama.cpp's own lookup, one sequence, on the same file and
// recorded texts: both programs are made to say the text's tokens (ours by
// `aio bench spec --force-output`, theirs by a bias on the next one), so that
// on random weights of a real shape matching, acceptance and steps are real,
// for that text. Blocks of pairs of each program in turns.
//
//   node against_peer.mjs AIO MODEL.gguf TEXTS.jsonl [KIND,KIND...]
//
// The peer is node-llama-cpp's InputLookupTokenPredictor with its defaults, 3
// tokens at most (with 8 it was slower than without). Times are from the first
// token to the last.
import {execFileSync} from "node:child_process";
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {
  getLlama,
  InputLookupTokenPredictor,
  LlamaLogLevel,
  TokenBias,
} from "node-llama-cpp";

const [aio, path, textsPath, kinds] = process.argv.slice(2);
const THREADS = 2, TOKENS = 64, CONTEXT = 1024, BLOCKS = 2, PAIRS = 10;

const llama = await getLlama({
  gpu: false,
  build: "never",
  logLevel: LlamaLogLevel.fatal,
  maxThreads: THREADS,
});
const model = await llama.loadModel({modelPath: path, gpuLayers: 0});

// Tokens a second of one text, said by the peer. Nothing if it is too short or
// too long.
async function theirs(text, lookup, flash) {
  const prompt = [model.tokens.bos ?? 1, ...model.tokenize(text.prompt)];
  const output = [...model.tokenize(text.output)].slice(0, TOKENS);
  if (output.length < 8 || prompt.length + output.length > CONTEXT) return;
  const context = await model.createContext({
    contextSize: CONTEXT + 64,
    batchSize: 512,
    threads: THREADS,
    flashAttention: flash,
  });
  const predictor = lookup ? new InputLookupTokenPredictor() : undefined;
  const sequence = context.getSequence(
      predictor ? {tokenPredictor: predictor} : {});
  await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(0, -1));
  predictor?.updateInputTokens(prompt);
  // The sampler asks for each position of a step in turn; the first is that
  // behind all tokens said so far.
  let said = 0, asked = 0;
  const tokenBias = () => {
    const next = output[Math.min(said + asked++, output.length - 1)];
    return TokenBias.for(model).set(next, {logit: 1e4});
  };
  let begin;
  for await (const token of sequence.evaluate(prompt.slice(-1),
                                              {tokenBias, temperature: 0})) {
    if (token !== output[said]) throw new Error("it said something else");
    if (said === 0) begin = performance.now();
    ++said;
    asked = 0;
    if (said === output.length) break;
  }
  const seconds = (performance.now() - begin) / 1e3;
  await context.dispose();
  return output.length / seconds;
}

// Pairs without and with lookup, text by text.
async function theirBlock(texts, flash) {
  const rates = {plain: [], lookup: []};
  for (let i = 0; rates.plain.length < PAIRS; ++i) {
    for (const lookup of [i % 2 === 0, i % 2 !== 0]) {
      const rate = await theirs(texts[i % texts.length], lookup, flash);
      if (rate) rates[lookup ? "lookup" : "plain"].push(rate);
    }
  }
  return rates;
}

async function isFlashFaster(texts) {
  const rates = {true: [], false: []};
  for (const text of texts.slice(0, 2)) {
    for (const flash of [true, false]) {
      rates[flash].push(await theirs(text, true, flash) ?? 0);
    }
  }
  return Math.max(...rates.true) > Math.max(...rates.false);
}

function ourBlock(texts) {
  const folder = mkdtempSync(join(tmpdir(), "spec-"));
  const file = join(folder, "texts.jsonl");
  writeFileSync(file, texts.map((t) => JSON.stringify(t)).join("\n") + "\n");
  const said = execFileSync(
      aio,
      ["bench", "spec", "--model", path, "--force-output", file, "--threads",
       THREADS, "--batch", 1, "--tokens", TOKENS, "--context", CONTEXT,
       "--runs", PAIRS, "--json"],
      {stdio: ["ignore", "pipe", "ignore"]});
  rmSync(folder, {recursive: true});
  const [row] = JSON.parse(said).rows;
  return {plain: row.plain_rates, auto: row.rates};
}

const sorted = (list) => [...list].sort((a, b) => a - b);
const median = (list) => sorted(list)[Math.floor(list.length / 2)];
// 95 % interval of the ratio of medians, by bootstrap of both.
function ratio(a, b) {
  let state = 1;  // a fixed seed
  const draw = (list) => list.map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return list[Math.floor(state / 2 ** 32 * list.length)];
  });
  const all = sorted(
      Array.from({length: 2000}, () => median(draw(a)) / median(draw(b))));
  return `${(median(a) / median(b)).toFixed(2)} ` +
         `[${all[50].toFixed(2)}-${all[1949].toFixed(2)}]`;
}

const texts = readFileSync(textsPath, "utf8").trim().split("\n").map(JSON.parse);
const wanted = kinds?.split(",") ?? [...new Set(texts.map((t) => t.kind))];
console.log(`${THREADS} threads, ${BLOCKS * PAIRS} pairs, tokens a second; ` +
            "ratios of medians with 95 % intervals");
for (const kind of wanted) {
  const some = texts.filter((t) => t.kind === kind);
  const flash = await isFlashFaster(some);
  const our = {plain: [], auto: []}, their = {plain: [], lookup: []};
  for (let block = 0; block < BLOCKS; ++block) {
    const rotated = [...some.slice(block * PAIRS),
                     ...some.slice(0, block * PAIRS)];
    const here = await theirBlock(rotated, flash);
    for (const way in here) their[way].push(...here[way]);
    const mine = ourBlock(rotated);
    for (const way in mine) our[way].push(...mine[way]);
  }
  const shown = (rates) => Object.entries(rates)
      .map(([way, list]) => `${way} ${median(list).toFixed(1)}`).join(", ");
  console.log(`${kind}: ours: ${shown(our)}; llama.cpp: ${shown(their)}`);
  console.log(`  ours over theirs: plain ${ratio(our.plain, their.plain)}, ` +
              `with drafts ${ratio(our.auto, their.lookup)}; theirs with ` +
              `lookup over plain ${ratio(their.lookup, their.plain)}`);
}
await llama.dispose();
