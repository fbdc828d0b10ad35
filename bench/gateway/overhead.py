#!/usr/bin/env python3
# Copyright 2026 The A-IO authors. SPDX-License-Identifier: Apache-2.0
"""What the gateway costs beside nginx: requests/s and latency of both in front of
one server that answers at once, in interleaved pairs on the same cores.

  overhead.py AIO MODEL.ftz [--pairs N] [--seconds S] [--json]

wrk is the load, one thread of it; nginx has one worker, A-IO one I/O thread. The
text probe is on. Needs nginx and wrk (tools/bootstrap bench). Prints medians, the
ratio A-IO / nginx with its 95 % bootstrap interval, and microseconds of CPU a
request of each, which neighbours disturb least.
"""
import argparse
import json
import os
import pathlib
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

CHUNK = ('data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
         '"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":%s}]}\n\n')
STREAM = "".join(CHUNK % (word, "null") for word in
                 ["Hello", "!", " How", " can", " I", " help", " you", "?"])
STREAM += CHUNK % ("", '"stop"') + (
    'data: {"choices":[],"usage":{"prompt_tokens":500,"completion_tokens":8,'
    '"total_tokens":508}}\n\ndata: [DONE]\n\n')
PLAIN = ('{"id":"c","object":"chat.completion","created":1,"model":"m","choices":'
         '[{"index":0,"message":{"role":"assistant","content":"Hello! How can I '
         'help you?"},"finish_reason":"stop"}],"usage":{"prompt_tokens":500,'
         '"completion_tokens":8,"total_tokens":508}}')
WORDS = "the quick brown fox jumps over the lazy dog and then asks why "


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace(
        "\n", "\\n") + '"'


class Side:
    """A program under load, and what of the CPU it has used."""

    def __init__(self, command, port):
        self.port = port
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def pids(self):
        pid = str(self.process.pid)
        try:
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
            return [pid, *children.read_text().split()]
        except OSError:
            return [pid]

    def cpu(self):
        ticks = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text()
            fields = fields.rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def wait(self):
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit(f"nothing listens on {self.port}")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def nginx(folder, name, body):
    conf = folder / f"{name}.conf"
    conf.write_text(
        "worker_processes 1; daemon off; pid %s; error_log %s;\n"
        "worker_rlimit_nofile 20000;\n"
        "events { worker_connections 8000; }\n"
        "http { access_log off; keepalive_requests 100000000;\n"
        "client_body_buffer_size 256k; client_max_body_size 8m;\n%s}\n" %
        (folder / f"{name}.pid", folder / f"{name}.log", body))
    return ["nginx", "-c", str(conf), "-p", str(folder)]


def answers(port, kind, body):
    return ("server { listen 127.0.0.1:%d backlog=4096; location / { "
            "default_type %s; return 200 %s; } }\n" % (port, kind, quoted(body)))


def proxies(port, to, name):
    return ("upstream %s { server 127.0.0.1:%d; keepalive 1024; "
            "keepalive_requests 100000000; }\n"
            "server { listen 127.0.0.1:%d backlog=4096; location / { "
            "proxy_pass http://%s; proxy_http_version 1.1; proxy_buffering off; "
            'proxy_set_header Connection ""; } }\n' % (name, to, port, name))


def lua(folder, bytes_, stream):
    text = (WORDS * (bytes_ // len(WORDS) + 1))[:bytes_]
    body = json.dumps({"model": "auto", "stream": stream,
                       "messages": [{"role": "user", "content": text}]})
    script = folder / f"{bytes_}-{stream}.lua"
    script.write_text('wrk.method = "POST"\nwrk.body = [==[%s]==]\n'
                      'wrk.headers["Content-Type"] = "application/json"\n' % body)
    return script


UNITS = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 60e3}


def load(side, script, connections, seconds):
    before = side.cpu()
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s",
         str(script), f"http://127.0.0.1:{side.port}/v1/chat/completions"],
        capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"not all were answered:\n{out}")
    count = int(re.search(r"(\d+) requests in", out)[1])

    def latency(share):
        value, unit = re.search(rf"{share}%\s+([\d.]+)(us|ms|s|m)\b",
                                out).groups()
        return float(value) * UNITS[unit]

    return {"rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
            "p50_ms": latency(50), "p99_ms": latency(99),
            "cpu_us": 1e6 * (side.cpu() - before) / count}


def interval(ratios):
    draw = random.Random(1)
    medians = sorted(
        statistics.median(draw.choices(ratios, k=len(ratios)))
        for _ in range(2000))
    return medians[50], medians[1949]


def compare(sides, script, connections, flags):
    runs = {name: [] for name in sides}
    for pair in range(flags.pairs + 1):
        for name in sorted(sides, reverse=pair % 2 == 1):
            run = load(sides[name], script, connections, flags.seconds)
            if pair > 0:  # the first warms up
                runs[name].append(run)
    out = {name: {key: statistics.median(r[key] for r in of) for key in of[0]}
           for name, of in runs.items()}
    ratios = [a["rps"] / n["rps"] for a, n in zip(runs["aio"], runs["nginx"])]
    out["ratio"] = statistics.median(ratios)
    out["low"], out["high"] = interval(ratios)
    return out


def main():
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("aio")
    flags.add_argument("model")
    flags.add_argument("--pairs", type=int, default=20)
    flags.add_argument("--seconds", type=int, default=2)
    flags.add_argument("--json", action="store_true")
    flags.add_argument("--connections", type=int, nargs="+",
                       default=[1, 64, 512])
    flags.add_argument("--bytes", type=int, nargs="+", default=[2048, 102400])
    flags = flags.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aio-overhead-"))
    plain, sse, to_plain, to_sse, aio_plain, aio_sse = free_ports(6)
    started = []

    def start(command, port):
        started.append(Side(command, port))
        started[-1].wait()
        return started[-1]

    def aio(name, port, to):
        config = folder / f"{name}.yaml"
        config.write_text(
            f"server: {{ listen: 127.0.0.1:{port}, requests_max: 4096 }}\n"
            f"variants: {{ far: {{ upstream: 'http://127.0.0.1:{to}/v1', "
            f"model: m, health: off, requests_max: 4096 }} }}\n"
            f"probe: {{ text: '{pathlib.Path(flags.model).resolve()}' }}\n"
            "policy: { kind: 'static:far' }\nlog: { level: error }\n")
        return start([flags.aio, "serve", "-c", str(config)], port)

    try:
        start(nginx(folder, "answers",
                    answers(plain, "application/json", PLAIN) +
                    answers(sse, "text/event-stream", STREAM)), plain)
        proxy = nginx(folder, "proxy", proxies(to_plain, plain, "plain") +
                      proxies(to_sse, sse, "sse"))
        both = start(proxy, to_plain)
        sides = {False: {"nginx": both, "aio": aio("plain", aio_plain, plain)},
                 True: {"nginx": Side.__new__(Side),
                        "aio": aio("sse", aio_sse, sse)}}
        sides[True]["nginx"].process, sides[True]["nginx"].port = (
            both.process, to_sse)
        for stream in (False, True):
            for bytes_ in flags.bytes:
                script = lua(folder, bytes_, stream)
                for connections in flags.connections:
                    got = compare(sides[stream], script, connections, flags)
                    got |= {"stream": stream, "prompt_bytes": bytes_,
                            "connections": connections, "pairs": flags.pairs}
                    if flags.json:
                        print(json.dumps(got), flush=True)
                        continue
                    n, a = got["nginx"], got["aio"]
                    print(f"{'SSE' if stream else 'plain':5} {bytes_:6} bytes "
                          f"{connections:3} connections: "
                          f"{a['rps']:7.0f} of {n['rps']:7.0f} requests/s = "
                          f"{got['ratio']:.2f} [{got['low']:.2f}, "
                          f"{got['high']:.2f}]; p50 {a['p50_ms']:.2f} of "
                          f"{n['p50_ms']:.2f} ms, p99 {a['p99_ms']:.2f} of "
                          f"{n['p99_ms']:.2f} ms; CPU {a['cpu_us']:.0f} of "
                          f"{n['cpu_us']:.0f} us", flush=True)
    finally:
        for side in started:
            side.stop()


if __name__ == "__main__":
    main()
