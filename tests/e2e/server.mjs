// SPDX-License-Identifier: Apache-2.0
//
// For the end-to-end tests: starts `aio serve` on a free port, reads its
// metrics, and ends it as a supervisor would.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import http from "node:http";
import { after } from "node:test";

// Every server must end by itself and well when the tests are over.
const servers = [];
after(async () => {
  for (const server of servers) {
    assert.equal(await server.stop(), 0, "how aio serve ended");
  }
});

const STARTED_MS = 60_000;
const STOPPED_MS = 40_000;

export function listening(child) {
  return new Promise((resolve, reject) => {
    let out = "";
    let errors = "";
    const timer = setTimeout(
      () => reject(new Error(`the server did not start:\n${out}${errors}`)),
      STARTED_MS,
    );
    child.stderr.on("data", (data) => (errors += data));
    child.on("exit", (code) =>
      reject(new Error(`the server ended with ${code}:\n${out}${errors}`)),
    );
    child.on("error", reject);
    child.stdout.on("data", (data) => {
      out += data;
      const found = /listening on (?:http:\/\/)?(127\.0\.0\.1):(\d+)\s/.exec(out);
      if (!found) return;
      clearTimeout(timer);
      resolve({ host: found[1], port: Number(found[2]) });
    });
  });
}

export function get(host, port, path) {
  return new Promise((resolve, reject) => {
    // A connection of its own, so that what it counts is not disturbed.
    const request = http.get({ host, port, path, agent: false }, (response) => {
      let body = "";
      response.on("data", (data) => (body += data));
      response.on("end", () => resolve({ status: response.statusCode, body }));
    });
    request.on("error", reject);
  });
}

// `sets` are overrides, "server.header_timeout=500ms".
export async function serve(aio, config, sets = []) {
  const child = spawn(aio, [
    "serve",
    "--config",
    config,
    "--listen",
    "127.0.0.1:0",
    ...sets.flatMap((set) => ["--set", set]),
  ]);
  const { host, port } = await listening(child);
  const server = {
    host,
    port,
    pid: child.pid,
    url: `http://${host}:${port}`,
    get: (path) => get(host, port, path),

    // {"aio_kv_pages_free{variant=\"small\"}": 32, …}
    async metrics() {
      const { body } = await get(host, port, "/metrics");
      const series = {};
      for (const line of body.split("\n")) {
        const space = line.lastIndexOf(" ");
        if (line.startsWith("#") || space < 0) continue;
        series[line.slice(0, space)] = Number(line.slice(space + 1));
      }
      return series;
    },

    // Asks for the metrics until they satisfy `good`; fails after 20 s.
    async until(what, good) {
      const end = Date.now() + 20_000;
      let metrics = await server.metrics();
      while (!good(metrics)) {
        assert(Date.now() < end, `${what}: ${JSON.stringify(metrics)}`);
        metrics = await server.metrics();
      }
      return metrics;
    },

    // Every page of every variant is free again: nothing runs, nothing leaks.
    idle() {
      return server.until("all KV pages come back", (metrics) => {
        const totals = Object.keys(metrics).filter((name) =>
          name.startsWith("aio_kv_pages_total"),
        );
        assert(totals.length > 0, "no aio_kv_pages_total in /metrics");
        return totals.every(
          (name) =>
            metrics[name] > 0 &&
            metrics[name.replace("_total", "_free")] === metrics[name],
        );
      });
    },

    // Has it read its file of keys again; it says nothing when it has.
    hangUp: () => child.kill("SIGHUP"),

    // It has been killed, and is not to end well.
    forget() {
      servers.splice(servers.indexOf(server), 1);
    },

    async stop() {
      if (child.exitCode !== null) return child.exitCode;
      child.removeAllListeners("exit");
      const ended = new Promise((resolve) => child.on("exit", resolve));
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOPPED_MS);
      const code = await ended;
      clearTimeout(timer);
      return code;
    },
  };
  servers.push(server);
  return server;
}
