// SPDX-License-Identifier: Apache-2.0
//
// The other side of the comparison: a real llama.cpp, as npm's node-llama-cpp
// ships it prebuilt. Greedy, no penalties, no flash attention, one sequence.
//
//   node peer.mjs MODEL.gguf f32|f16 < job.json      prints the answer as JSON
//
// A job asks for any of
//   texts:  [string]                  -> tokens: [[id]]
//   greedy: {prompt: [id], count: n}  -> greedy: {ids: [id], text: string}
//   logits: {tokens: [id]}            -> logits: [position][vocabulary]
// where `text` is that of the prompt and the answer. our_side.cc does the same.
import {readFileSync, realpathSync} from "node:fs";
import {fileURLToPath} from "node:url";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

let engine;  // loaded once, shared by the models of a run

async function load(path, vocabOnly) {
  engine ??= await getLlama({
    gpu: false,
    build: "never",
    logLevel: LlamaLogLevel.fatal,  // what fails is thrown as well
    // Its threads spin for each other, which on a busy machine takes minutes.
    maxThreads: 1,
  });
  return engine.loadModel({modelPath: path, gpuLayers: 0, vocabOnly});
}

// Loads a model; `kv` is the type of the KV cache, "f32" or "f16".
export async function open(path, kv) {
  const model = await load(path, false);
  const type = kv.toUpperCase();
  const context = await model.createContext({
    contextSize: 256,
    sequences: 1,
    threads: 1,
    flashAttention: false,
    experimentalKvCacheKeyType: type,
    experimentalKvCacheValueType: type,
  });
  return {model, context, sequence: context.getSequence()};
}

// Loads a file's tokenizer; the file may have nothing else.
export async function openTokenizer(path) {
  return {model: await load(path, true)};
}

// Ids of plain text: nothing added, no special token recognised.
export function tokenize({model}, text) {
  return [...model.tokenize(text, false)];
}

// Steps `tokens` in one call and returns the logits after each of them. The
// addon hands back (token, logit) pairs sorted by logit; greedy sampling has
// changed none of them.
export async function logits({sequence}, tokens) {
  await sequence.clearHistory();
  const out = await sequence.controlledEvaluate(
      tokens.map((token) => [token, {generateNext: {logits: true}}]));
  return out.map(({next}) => {
    const row = new Array(next.logits.size);
    for (const [token, logit] of next.logits) row[token] = logit;
    return row;
  });
}

// The `count` most probable tokens after `prompt`, one by one; ends of text do
// not stop it.
export async function greedy({model, sequence}, prompt, count) {
  await sequence.clearHistory();
  const ids = [];
  let input = prompt;
  while (ids.length < count) {
    const steps = input.map((token) => [token, {}]);
    steps.at(-1)[1] = {generateNext: {token: true}};
    const out = await sequence.controlledEvaluate(steps);
    ids.push(out.at(-1).next.token);
    input = [ids.at(-1)];
  }
  return {ids, text: model.detokenize([...prompt, ...ids])};
}

export async function answer(peer, job) {
  const result = {};
  if (job.texts) result.tokens = job.texts.map((text) => tokenize(peer, text));
  if (job.greedy) {
    result.greedy = await greedy(peer, job.greedy.prompt, job.greedy.count);
  }
  if (job.logits) result.logits = await logits(peer, job.logits.tokens);
  return result;
}

export async function close({model, context}) {
  await context?.dispose();
  await model.dispose();
}

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [path, kv] = process.argv.slice(2);
  const peer = await open(path, kv ?? "f16");
  const job = JSON.parse(readFileSync(0, "utf8"));
  process.stdout.write(JSON.stringify(await answer(peer, job)) + "\n");
  await close(peer);
}
