// SPDX-License-Identifier: Apache-2.0
//
// Text from a GGUF file by llama.cpp, as npm's node-llama-cpp ships it, for
// openai_server.mjs: several requests at once, each a sequence of one context,
// so that llama.cpp steps them together. A request starts with nothing cached,
// so that one that runs alone always gets the same text.
import {Template} from "@huggingface/jinja";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

export class QueueFull extends Error {}
export class PromptTooLong extends Error {}

// What a request draws its random numbers from at `position`; both whole. A
// seed may have 63 bits, of which a double keeps the upper ones.
function seedAt(seed, position) {
  let x = (seed >>> 0) ^ Math.floor(seed / 2 ** 32);
  x = Math.imul(x ^ Math.imul(position + 1, 0x9e3779b1), 0x85ebca6b);
  return Math.imul(x ^ (x >>> 15), 0xc2b2ae35) >>> 0;
}

// Tokens to text, in whole characters: what ends in the middle of one is held.
class Decoder {
  // `last` is the token in front: some tokenizers drop the space of a first
  // word.
  constructor(model, last) {
    this.model = model;
    this.forget([last]);
  }

  // No character has more bytes, so what is longer is none.
  static HELD_MAX = 4;

  next(token) {
    this.tokens.push(token);
    const text = this.pending();
    const held = this.tokens.length - 1;
    if (text.endsWith("\uFFFD") && held < Decoder.HELD_MAX) return "";
    this.forget([token]);
    return text;
  }

  // What is held at the end.
  rest() {
    const text = this.pending();
    this.forget([this.tokens.at(-1)]);
    return text;
  }

  pending() {
    return this.model.detokenize(this.tokens).slice(this.before.length);
  }

  forget(tokens) {
    this.tokens = tokens;
    this.before = this.model.detokenize(tokens);
  }
}

// An answer, of which no more is shown than cannot turn out to be the beginning
// of a stop string.
class Answer {
  constructor(stops) {
    this.stops = stops;
    this.text = "";
    this.shown = 0;
    this.stopped = false;
    this.entries = [];  // [where its text begins, log probability]
  }

  // Adds text and a token's log probabilities, if they are wanted; returns what
  // may be shown.
  add(text, entry) {
    if (entry) this.entries.push([this.text.length, entry]);
    this.text += text;
    const found = this.stops.map((stop) => this.text.indexOf(stop, this.shown))
                      .filter((at) => at >= 0);
    this.stopped = found.length > 0;
    return this.take(this.stopped ? Math.min(...found) : this.safe());
  }

  rest() {
    const entries = this.entries.map(([, entry]) => entry);
    return {text: this.text.slice(this.shown), entries};
  }

  safe() {
    let end = this.text.length;
    for (const stop of this.stops) {
      for (let n = Math.min(stop.length - 1, this.text.length - this.shown);
           n > 0; --n) {
        if (!this.text.endsWith(stop.slice(0, n))) continue;
        end = Math.min(end, this.text.length - n);
        break;
      }
    }
    return end;
  }

  take(end) {
    const text = this.text.slice(this.shown, end);
    const entries = [];
    while (this.entries.length && this.entries[0][0] < end) {
      entries.push(this.entries.shift()[1]);
    }
    this.shown = end;
    return {text, entries};
  }
}

export class Engine {
  // At most `sequences` run and `waitingMax` wait; each has the context that
  // the model was trained with, and `contextMax` at most.
  static async open(path, {sequences, waitingMax, contextMax, threads}) {
    const llama = await getLlama({
      gpu: false,
      build: "never",
      logLevel: LlamaLogLevel.fatal,  // what fails is thrown as well
      maxThreads: threads,
    });
    const engine = new Engine();
    engine.model = await llama.loadModel({modelPath: path, gpuLayers: 0});
    engine.context = await engine.model.createContext({
      contextSize: Math.min(contextMax, engine.model.trainContextSize),
      sequences,
      threads,
    });
    engine.free =
        Array.from({length: sequences}, () => engine.context.getSequence());
    engine.waitingMax = waitingMax;
    const {tokenizer} = engine.model.fileInfo.metadata;
    engine.template = new Template(tokenizer.chat_template);
    engine.vocabulary = tokenizer.ggml.tokens.length;
    return engine;
  }

  running = 0;
  finished = 0;
  cancelled = 0;  // of the finished ones
  waiting = [];

  // By the file's own template. Only the template's special tokens should be
  // taken for such, but the binding reads the whole text in one way.
  chatPrompt(messages) {
    const {bosString, eosString} = this.model.tokens;
    const text = this.template.render({
      messages,
      add_generation_prompt: true,
      bos_token: bosString ?? "",
      eos_token: eosString ?? "",
    });
    return this.begun(this.model.tokenize(text, true));
  }

  textPrompt(text) {
    return this.begun(this.model.tokenize(text, false));
  }

  begun(tokens) {
    const {bos, shouldPrependBosToken} = this.model.tokens;
    const add = bos !== null && shouldPrependBosToken && tokens[0] !== bos;
    return add ? [bos, ...tokens] : tokens;
  }

  async acquire(signal) {
    signal.throwIfAborted();
    if (this.free.length) return this.free.pop();
    if (this.waiting.length >= this.waitingMax) {
      throw new QueueFull(`${this.waitingMax} requests wait already`);
    }
    return new Promise((resolve, reject) => {
      this.waiting.push(resolve);
      signal.addEventListener("abort", () => {
        const at = this.waiting.indexOf(resolve);
        if (at >= 0) this.waiting.splice(at, 1);
        reject(signal.reason);
      }, {once: true});
    });
  }

  release(sequence) {
    const next = this.waiting.shift();
    if (next) next(sequence);
    else this.free.push(sequence);
  }

  // Parts of an answer, {text, entries}; the last one has a `finish`, too, and
  // the count of its `tokens`. `ask` is {prompt, tokensMax, temperature, topP,
  // seed, stops, top}; `top` is how many alternatives each token's entry has,
  // undefined for no entries.
  async *generate(ask, signal) {
    const room = this.context.contextSize - ask.prompt.length;
    if (room < 1) {
      throw new PromptTooLong(`the prompt has ${ask.prompt.length} tokens ` +
                              `and the context ${this.context.contextSize}`);
    }
    const sequence = await this.acquire(signal);
    ++this.running;
    try {
      await sequence.clearHistory();
      yield* this.steps(sequence, {...ask, room}, signal);
    } finally {
      --this.running;
      ++this.finished;
      this.cancelled += signal.aborted;
      this.release(sequence);
    }
  }

  async *steps(sequence, ask, signal) {
    const tokensMax = Math.min(ask.tokensMax ?? Infinity, ask.room);
    const decoder = new Decoder(this.model, ask.prompt.at(-1));
    const answer = new Answer(ask.stops);
    let input = ask.prompt;
    for (let tokens = 1;; ++tokens) {
      signal.throwIfAborted();
      const {token, entry} = await this.step(sequence, input, ask, tokens);
      const ends = this.model.isEogToken(token);
      const last = ends || tokens >= tokensMax;
      let text = ends ? "" : decoder.next(token);
      if (last) text += decoder.rest();
      const part = answer.add(text, ends ? undefined : entry);
      if (answer.stopped) {
        yield {...part, finish: "stop", tokens};
        return;
      }
      if (part.text || part.entries.length) yield part;
      if (last) {
        yield {...answer.rest(), finish: ends ? "stop" : "length", tokens};
        return;
      }
      input = [token];
    }
  }

  async step(sequence, input, {temperature, topP, seed, top}, position) {
    const items = [...input];
    items[items.length - 1] = [
      items.at(-1),
      {
        generateNext: {
          token: true,
          logits: top !== undefined,
          options:
              {temperature, topP, topK: 0, seed: seedAt(seed, position)},
        },
      },
    ];
    const out = await sequence.controlledEvaluate(items);
    const {token, logits} = out.at(-1).next;
    if (top === undefined) return {token};
    const piece = (id) => this.model.detokenize([id], true, [items.at(-1)[0]]);
    return {token, entry: entryOf(token, logits, {temperature, top, piece})};
  }

  async close() {
    await this.context.dispose();
    await this.model.dispose();
  }
}

// {text, logprob, alternatives} of a token, as the model had it before the
// temperature that the binding has applied to `logits`, a map in falling order.
function entryOf(token, logits, {temperature, top, piece}) {
  const scale = temperature > 0 ? temperature : 1;
  const values = [...logits].map(([id, logit]) => [id, logit * scale]);
  const most = values[0][1];
  const sum =
      values.reduce((total, [, value]) => total + Math.exp(value - most), 0);
  const said = ([id, value]) =>
      ({text: piece(id), logprob: value - most - Math.log(sum)});
  return {
    ...said(values.find(([id]) => id === token)),
    alternatives: values.slice(0, top).map(said),
  };
}
