// SPDX-License-Identifier: Apache-2.0
//
// A small OpenAI-compatible server on a real llama.cpp: an upstream that is not
// ours, for the end-to-end tests.
//
//   node openai_server.mjs MODEL.gguf [--port 0] [--name NAME]
//       [--sequences 16] [--waiting 256] [--context 1024] [--threads 1]
//
// prints `listening on http://127.0.0.1:PORT` once it is warm; only this host
// can reach it. It serves chat and completions (one choice), /v1/models,
// /health, and /debug/running: how many requests run, wait, are over, and of
// these were given up by their clients. What it cannot do is a 400 that names
// the parameter.
import {randomUUID} from "node:crypto";
import {once} from "node:events";
import http from "node:http";
import {basename} from "node:path";
import {parseArgs} from "node:util";
import {Engine, PromptTooLong, QueueFull} from "./generate.mjs";

const BODY_BYTES_MAX = 8 << 20;

class Refused extends Error {
  constructor(status, message, {param = null, code = null} = {}) {
    super(message);
    Object.assign(this, {status, param, code});
  }
}

const within = (min, max) => (x) =>
    typeof x === "number" && x >= min && x <= max;
const whole = (min, max) => (x) => Number.isInteger(x) && within(min, max)(x);
const listOf = (check) => (x) => Array.isArray(x) && x.length && x.every(check);
const isText = (x) => typeof x === "string";
const isWord = (x) => isText(x) && x !== "";
const isBool = (x) => typeof x === "boolean";
const isMessage = (x) => isText(x?.role) && isText(x?.content);

// What each field may be; null is the same as absent.
const COMMON = {
  model: isText,
  max_tokens: whole(1, 1 << 20),
  n: whole(1, 1),
  seed: Number.isInteger,
  stop: (x) => isWord(x) || listOf(isWord)(x),
  stream: isBool,
  stream_options: (x) => typeof x === "object",
  temperature: within(0, 2),
  top_p: within(1e-6, 1),
  user: isText,
};
const CHAT = {
  ...COMMON,
  logprobs: isBool,
  max_completion_tokens: COMMON.max_tokens,
  messages: listOf(isMessage),
  top_logprobs: whole(0, 20),
};
const COMPLETIONS = {
  ...COMMON,
  logprobs: whole(0, 20),
  prompt: isText,
};

function check(body, fields) {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new Refused(400, "the body is no JSON object");
  }
  for (const [param, value] of Object.entries(body)) {
    if (value === null) continue;
    if (!Object.hasOwn(fields, param)) {
      throw new Refused(400, `'${param}' is not supported`, {param});
    }
    if (!fields[param](value)) {
      throw new Refused(400, `'${param}' cannot be ${JSON.stringify(value)}`,
                        {param});
    }
  }
}

// The request as Engine.generate takes it.
function askOf(engine, name, chat, body) {
  check(body, chat ? CHAT : COMPLETIONS);
  if (body.model !== name) {
    throw new Refused(404, `there is no model '${body.model}'`,
                      {param: "model", code: "model_not_found"});
  }
  const param = chat ? "messages" : "prompt";
  if (body[param] == null) throw new Refused(400, `no '${param}'`, {param});
  const prompt = chat ? engine.chatPrompt(body.messages)
                      : engine.textPrompt(body.prompt);
  if (!prompt.length) throw new Refused(400, `'${param}' is empty`, {param});
  const top = chat ? (body.logprobs ? body.top_logprobs ?? 0 : undefined)
                   : body.logprobs ?? undefined;
  if (top !== undefined && (body.top_p ?? 1) < 1) {
    // The binding shows only what top_p has left.
    throw new Refused(400, "'logprobs' and 'top_p' cannot be had together",
                      {param: "logprobs"});
  }
  return {
    prompt,
    tokensMax: body.max_completion_tokens ?? body.max_tokens ??
        (chat ? undefined : 16),
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    seed: Math.abs(body.seed ?? Math.floor(Math.random() * 2 ** 32)),
    stops: [body.stop ?? []].flat(),
    top,
  };
}

// Bytes that are no text by themselves cannot be had from the binding.
const bytesOf = (text) =>
    text.includes("\uFFFD") ? null : [...Buffer.from(text)];

const tokenOf = ({text, logprob}) =>
    ({token: text, logprob, bytes: bytesOf(text)});

function chatLogprobs(entries) {
  const content = entries.map((entry) => ({
    ...tokenOf(entry),
    top_logprobs: entry.alternatives.map(tokenOf),
  }));
  return {content};
}

// `offset` counts the characters in front; returns those behind as well.
function textLogprobs(entries, offset) {
  const text_offset = [];
  for (const {text} of entries) {
    text_offset.push(offset);
    offset += [...text].length;
  }
  const logprobs = {
    tokens: entries.map(({text}) => text),
    token_logprobs: entries.map(({logprob}) => logprob),
    top_logprobs: entries.map(({alternatives}) => Object.fromEntries(
        alternatives.map(({text, logprob}) => [text, logprob]))),
    text_offset,
  };
  return {logprobs, offset};
}

// The JSON of one answer, whole or in chunks.
class Writer {
  constructor(name, chat, ask) {
    this.chat = chat;
    this.ask = ask;
    this.offset = 0;
    this.head = {
      id: `${chat ? "chatcmpl" : "cmpl"}-${randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: name,
    };
  }

  usage(tokens) {
    const prompt_tokens = this.ask.prompt.length;
    return {
      prompt_tokens,
      completion_tokens: tokens,
      total_tokens: prompt_tokens + tokens,
    };
  }

  logprobs(entries) {
    if (this.ask.top === undefined || !entries.length) return null;
    if (this.chat) return chatLogprobs(entries);
    const {logprobs, offset} = textLogprobs(entries, this.offset);
    this.offset = offset;
    return logprobs;
  }

  choice(said, {entries, finish = null}) {
    return {
      index: 0,
      ...said,
      logprobs: this.logprobs(entries),
      finish_reason: finish,
    };
  }

  whole(part) {
    const said = this.chat
        ? {message: {role: "assistant", content: part.text}}
        : {text: part.text};
    return {
      ...this.head,
      object: this.chat ? "chat.completion" : "text_completion",
      choices: [this.choice(said, part)],
      usage: this.usage(part.tokens),
    };
  }

  chunk(part, first) {
    const delta = first ? {role: "assistant", content: part.text}
        : part.text     ? {content: part.text}
                        : {};
    const said = this.chat ? {delta} : {text: part.text};
    return {
      ...this.head,
      object: this.chat ? "chat.completion.chunk" : "text_completion",
      choices: [this.choice(said, part)],
    };
  }

  last(part) {
    return {...this.chunk({text: "", entries: []}), choices: [],
            usage: this.usage(part.tokens)};
  }
}

// Waits for a slow reader.
async function send(response, data, signal) {
  const text = typeof data === "string" ? data : JSON.stringify(data);
  if (response.write(`data: ${text}\n\n`)) return;
  await once(response, "drain", {signal});
}

async function stream(parts, {writer, response, signal, withUsage}) {
  let first = true;
  for await (const part of parts) {
    // Not before there is something, so that errors have a status of their own.
    if (first) {
      response.writeHead(200, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
      });
    }
    const chunk = writer.chunk(part, first);
    if (withUsage) chunk.usage = null;
    await send(response, chunk, signal);
    first = false;
    if (part.finish && withUsage) {
      await send(response, writer.last(part), signal);
    }
  }
  await send(response, "[DONE]", signal);
  response.end();
}

async function collect(parts) {
  const all = {text: "", entries: []};
  for await (const {text, entries, ...rest} of parts) {
    all.text += text;
    all.entries.push(...entries);
    Object.assign(all, rest);
  }
  return all;
}

async function readBody(request) {
  const pieces = [];
  let size = 0;
  for await (const piece of request) {
    if ((size += piece.length) > BODY_BYTES_MAX) {
      throw new Refused(413, "the body is too large");
    }
    pieces.push(piece);
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString());
  } catch (error) {
    throw new Refused(400, error.message);
  }
}

function reply(response, status, body, headers = {}) {
  response.writeHead(status, {"content-type": "application/json", ...headers});
  response.end(JSON.stringify(body));
}

function answerError(response, thrown) {
  const full = thrown instanceof QueueFull;
  const known = thrown instanceof Refused ? thrown
      : full ? new Refused(429, thrown.message, {code: "rate_limit_exceeded"})
      : thrown instanceof PromptTooLong
          ? new Refused(400, thrown.message, {code: "context_length_exceeded"})
          : new Refused(500, String(thrown?.message ?? thrown));
  const {status, message, param, code} = known;
  const type = status < 500 ? "invalid_request_error" : "server_error";
  const body = {error: {message, type, param, code}};
  if (!response.headersSent) {
    reply(response, status, body, full ? {"retry-after": "1"} : {});
  } else {
    response.end(`data: ${JSON.stringify(body)}\n\n`);
  }
}

async function generate({engine, name}, chat, request, response) {
  const leaving = new AbortController();
  response.on("close", () => leaving.abort());
  const {signal} = leaving;
  const body = await readBody(request);
  const ask = askOf(engine, name, chat, body);
  const writer = new Writer(name, chat, ask);
  const parts = engine.generate(ask, signal);
  if (!body.stream) {
    reply(response, 200, writer.whole(await collect(parts)));
    return;
  }
  const withUsage = body.stream_options?.include_usage === true;
  await stream(parts, {writer, response, signal, withUsage});
}

const ROUTES = {
  "POST /v1/chat/completions": (server, request, response) =>
      generate(server, true, request, response),
  "POST /v1/completions": (server, request, response) =>
      generate(server, false, request, response),
  "GET /v1/models": ({name}, _request, response) => reply(response, 200, {
    object: "list",
    data: [{id: name, object: "model", created: 0, owned_by: "llama.cpp"}],
  }),
  "GET /health": (_server, _request, response) =>
      reply(response, 200, {status: "ok"}),
  "GET /debug/running": ({engine}, _request, response) => {
    const {running, waiting, finished, cancelled} = engine;
    reply(response, 200,
          {running, waiting: waiting.length, finished, cancelled});
  },
};

async function handle(server, request, response) {
  try {
    const [path] = request.url.split("?");
    const route = ROUTES[`${request.method} ${path}`];
    if (!route) {
      throw new Refused(404, `no ${request.method} ${path}`,
                        {code: "unknown_url"});
    }
    await route(server, request, response);
  } catch (thrown) {
    if (!response.destroyed) answerError(response, thrown);
  }
}

async function warmUp(engine) {
  const ask = {temperature: 0, topP: 1, seed: 0, stops: [], tokensMax: 1};
  await collect(engine.generate({...ask, prompt: engine.textPrompt("Hello")},
                                new AbortController().signal));
}

async function main() {
  const option = (value) => ({type: "string", default: value});
  const {values, positionals: [path]} = parseArgs({
    allowPositionals: true,
    options: {
      port: option("0"),
      name: option(""),
      sequences: option("16"),
      waiting: option("256"),
      context: option("1024"),
      threads: option("1"),
    },
  });
  const engine = await Engine.open(path, {
    sequences: Number(values.sequences),
    waitingMax: Number(values.waiting),
    contextMax: Number(values.context),
    threads: Number(values.threads),
  });
  await warmUp(engine);
  const name = values.name || basename(path, ".gguf");
  const server = http.createServer(
      (request, response) => handle({engine, name}, request, response));
  server.listen(Number(values.port), "127.0.0.1");
  await once(server, "listening");
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
  await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
  // What runs stops at its next token.
  server.close();
  server.closeAllConnections();
  await once(server, "close");
  await engine.close();
  process.exit(0);
}

await main();
