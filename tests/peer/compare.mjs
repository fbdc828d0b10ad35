// SPDX-License-Identifier: Apache-2.0
//
// Our tokenizer and forward pass against a real llama.cpp on the same files:
// the same token ids, the same greedy text where the weights are F32, and
// logits whose difference, as root mean square over their standard deviation,
// stays under a limit that depends on the weights' type.
//
//   node compare.mjs OUR_SIDE MAKE_RANDOM_MODEL WIDEN MODELS FOLDER
//
// MODELS has the bundled models; files with random weights are made in FOLDER.
//
// Why they differ at all, with what three layers of random weights measure:
// - F32: the order of sums only. 2e-7, and each side is as far from the same
//   calculation in double precision.
// - F16 weights: llama.cpp rounds activations to F16 before the product, we do
//   not. 3e-4.
// - F16 KV: llama.cpp rounds queries and attention weights to F16 too. 7e-5.
// - Q8_0 and Q4_0: both sides round activations to int8 by one rule and agree to
//   1e-7, until a sum that differs in its last bit falls on the other side of a
//   rounding border. One code that flips moves its logits by 1e-3 and flips more
//   codes in every layer after it: 1e-7 to 7e-3 by luck of the seed. With F16 KV
//   the first rounding already differs and all codes are equally often off: 8e-3
//   whatever the seed.
// - The trained pair in Q8_0: what rounding activations costs depends on the
//   weights, and so is measured: each side against the same file widened to F32,
//   on which both agree. Ours must be as near to that as theirs.
import {execFileSync} from "node:child_process";
import {mkdirSync, readdirSync} from "node:fs";
import {basename, join} from "node:path";
import {answer, close, open, openTokenizer} from "./peer.mjs";

const FAMILIES = ["llama", "qwen2", "qwen3", "pangu-embedded"];
const TYPES = [
  {weights: "F32", kv: "f32", limit: 1e-4, greedy: true},
  {weights: "F32", kv: "f16", limit: 1e-3},
  {weights: "F16", kv: "f32", limit: 1e-3},
  {weights: "F16", kv: "f16", limit: 1e-3},
  {weights: "BF16", kv: "f32", limit: 1e-2},
  {weights: "Q8_0", kv: "f32", limit: 1e-2},
  {weights: "Q8_0", kv: "f16", limit: 1e-2},
  {weights: "Q4_0", kv: "f32", limit: 1e-2},
  {weights: "Q4_0", kv: "f16", limit: 1e-2},
];
// Types whose blocks the peer takes apart, too: the peer on the file against us
// on the same file widened to F32, and then both on the file itself, where
// activations are rounded by each one's own rule. A bit read from a wrong place
// would differ by about 1.
const DECODED = ["Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"];
const DECODED_LIMIT = 2e-2;
// What a file may say beyond its family, each a way to be wrong.
const VARIATIONS = [
  ["llama", "--tied"],
  ["llama", "--rope-divisors"],
  ["llama", "--rope-linear", "2"],
  ["qwen2", "--rope-yarn", "4"],
  ["qwen2", "--tied"],
  ["qwen3", "--head-dim", "64"],
  ["pangu-embedded", "--kv-heads", "1"],
];
const STORIES = [
  ["F32", {kv: "f32", limit: 1e-4, greedy: true}],
  ["F32", {kv: "f16", limit: 1e-3}],
  ["Q8_0", {kv: "f32", limit: 1e-2}],
  ["Q8_0", {kv: "f16", limit: 1e-2}],
];

const TEXTS = [
  "Once upon a time, there was a little girl named Lily.",
  " leading and  double   spaces\nand\n\nlines\t",
  "ids: 12345, 3.14; x=[1,2]; don't",
  "日本語 Ελληνικά 🙂 naïve",
  "<s>not special</s>",
  "",
];

// Two roundings of the same kind are not equally far from the exact result.
const SAME_NOISE = 1.1;

// More than a page of KV, so that blocks of attention are merged.
const LOGIT_TOKENS = 70;
const GREEDY_PROMPT = 8;
const GREEDY_COUNT = 64;

// Ids that differ and stay under `vocabulary`: a fixed linear congruence.
function someIds(count, vocabulary) {
  const ids = [];
  for (let x = 12345; ids.length < count;) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    ids.push(3 + (x >>> 8) % (vocabulary - 3));
  }
  return ids;
}

// Both are [position][vocabulary]. Each position is centred first, since a
// common constant changes no probability.
export function distance(ours, theirs) {
  let difference = 0, variance = 0, count = 0;
  for (const [i, row] of theirs.entries()) {
    if (ours[i].length !== row.length) throw new Error("vocabularies differ");
    const mean = (xs) => xs.reduce((a, b) => a + b, 0) / xs.length;
    const [ourMean, theirMean] = [mean(ours[i]), mean(row)];
    for (const [j, x] of row.entries()) {
      const centred = x - theirMean;
      difference += (ours[i][j] - ourMean - centred) ** 2;
      variance += centred ** 2;
      ++count;
    }
  }
  const result = Math.sqrt(difference / variance);
  if (!count || !Number.isFinite(result)) throw new Error("no finite logits");
  return result;
}

// How bytes that are no UTF-8 are replaced, and whether a space in front is
// dropped, is each program's own taste.
const comparable = (text) => text.replace(/\uFFFD+/g, "\uFFFD").trimStart();

const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function ask(program, path, kv, job) {
  return JSON.parse(execFileSync(program, [path, kv], {
    input: JSON.stringify(job),
    maxBuffer: 1 << 28,
    encoding: "utf8",
  }));
}

function judgeTokens(ours, theirs) {
  const misses = [];
  for (const [i, text] of TEXTS.entries()) {
    if (equal(ours.tokens[i], theirs.tokens[i])) continue;
    misses.push(`tokens of ${JSON.stringify(text)}: ours ` +
                `${ours.tokens[i]}, theirs ${theirs.tokens[i]}`);
  }
  return misses;
}

// Returns how far the logits are apart, how far they may be, and what is wrong,
// a line each. `exact`: logits to measure from instead of the peer's.
function judge(ours, theirs, {limit, greedy}, exact) {
  const misses = judgeTokens(ours, theirs);
  const ratio = distance(ours.logits, exact ?? theirs.logits);
  if (exact) limit = SAME_NOISE * distance(theirs.logits, exact);
  if (!(ratio <= limit)) misses.push(`logits differ by ${ratio} > ${limit}`);
  if (!greedy) return {ratio, limit, misses};
  if (!equal(ours.greedy.ids, theirs.greedy.ids)) {
    misses.push(`greedy ids: ours ${ours.greedy.ids}, ` +
                `theirs ${theirs.greedy.ids}`);
  }
  const [ourText, theirText] =
      [ours, theirs].map((side) => comparable(side.greedy.text));
  if (ourText !== theirText) {
    misses.push(`greedy text: ours ${JSON.stringify(ourText)}, ` +
                `theirs ${JSON.stringify(theirText)}`);
  }
  return {ratio, limit, misses};
}

async function compare(ourSide, path, expected) {
  const peer = await open(path, expected.kv);
  const vocabulary = peer.model.fileInfo.metadata.tokenizer.ggml.tokens.length;
  const ids = someIds(LOGIT_TOKENS, vocabulary);
  const job = {texts: TEXTS, logits: {tokens: ids}};
  if (expected.greedy) {
    job.greedy = {prompt: ids.slice(0, GREEDY_PROMPT), count: GREEDY_COUNT};
  }
  const theirs = await answer(peer, job);
  await close(peer);
  const exact = expected.widened &&
                ask(ourSide, expected.widened, "f32", job).logits;
  return judge(ask(ourSide, path, expected.kv, job), theirs, expected, exact);
}

// Whether the peer makes of `path` what we make of its weights in F32.
async function compareMeaning(ourSide, path, {widened, limit}) {
  const peer = await open(path, "f32");
  const vocabulary = peer.model.fileInfo.metadata.tokenizer.ggml.tokens.length;
  const job = {logits: {tokens: someIds(LOGIT_TOKENS, vocabulary)}};
  const theirs = await answer(peer, job);
  await close(peer);
  const ratio = distance(ask(ourSide, widened, "f32", job).logits,
                         theirs.logits);
  const misses = ratio <= limit ? [] : [`logits differ by ${ratio} > ${limit}`];
  return {ratio, limit, misses};
}

async function compareTokens(ourSide, path) {
  const peer = await openTokenizer(path);
  const job = {texts: TEXTS};
  const theirs = await answer(peer, job);
  await close(peer);
  return {misses: judgeTokens(ask(ourSide, path, "f32", job), theirs)};
}

function* allCases([, make, widen, models, folder]) {
  const stories = (type) => join(models, `stories260K-${type}.gguf`);
  const random = (family, {weights}, ...more) => {
    const name = [family, "-", weights, ...more].join("");
    const path = join(folder, `${name}.gguf`);
    execFileSync(make, [path, "--family", family, "--type", weights,
                        "--tokenizer", stories("F32"), ...more]);
    return path;
  };
  for (const family of FAMILIES) {
    for (const type of TYPES) {
      yield {path: random(family, type), expected: type};
    }
  }
  for (const weights of DECODED) {
    const path = random("llama", {weights});
    const widened = path.replace(/\.gguf$/, "-widened-F32.gguf");
    execFileSync(widen, [path, widened]);
    yield {path, meaning: {kv: "f32", widened, limit: DECODED_LIMIT}};
    yield {path, expected: {weights, kv: "f32", limit: DECODED_LIMIT}};
  }
  for (const [family, ...more] of VARIATIONS) {
    yield {path: random(family, TYPES[0], ...more), expected: TYPES[0]};
  }
  for (const [type, expected] of STORIES) {
    yield {path: stories(type), expected};
  }
  for (const size of ["s", "l"]) {
    const path = join(models, `nano-${size}.gguf`);
    const widened = join(folder, `nano-${size}-widened-F32.gguf`);
    execFileSync(widen, [path, widened]);
    yield {path: widened, expected: TYPES[0]};
    yield {path, expected: {kv: "f32", widened}};
    yield {path, expected: {kv: "f16", widened}};
  }
  const data = process.env.AIO_TEST_DATA;
  if (!data) {
    console.log("AIO_TEST_DATA is not set: no tokenizers of real models");
    return;
  }
  for (const name of readdirSync(join(data, "tokenizer"))) {
    if (name.endsWith(".gguf")) yield {path: join(data, "tokenizer", name)};
  }
}

async function main(args) {
  const [ourSide, , , , folder] = args;
  mkdirSync(folder, {recursive: true});
  let count = 0, failed = 0;
  for (const {path, expected, meaning} of allCases(args)) {
    const {ratio, limit, misses} =
        expected  ? await compare(ourSide, path, expected)
        : meaning ? await compareMeaning(ourSide, path, meaning)
                  : await compareTokens(ourSide, path);
    const {kv} = expected ?? meaning ?? {};
    const what = kv ? `kv ${kv}  logits ` +
                                `${ratio.toExponential(1)} (limit ` +
                                `${limit.toExponential(1)})`
                          : "tokens only";
    console.log(`${basename(path, ".gguf").padEnd(32)} ${what.padEnd(36)} ` +
                (misses.length ? "MISS" : "ok"));
    for (const miss of misses) console.log("  " + miss);
    ++count;
    failed += misses.length > 0;
  }
  console.log(`${count - failed} of ${count} agree`);
  return failed ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
