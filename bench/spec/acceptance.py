#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many drafted tokens a trained pair keeps, by kind of task.

    acceptance.py AIO CONFIG TASKS [N]

CONFIG has the variants small and large. Each kind's first N tasks (40) are put
to large, greedily, one at a time: plain, with lookup, and with small drafting.
Without a step table, so that a step has up to 7 drafted tokens of lookup or 4
of small, whatever they cost here. The answers must be the same. Counters only,
no times: the same on every machine of one instruction set.
"""
import collections
import json
import pathlib
import re
import subprocess
import sys
import urllib.request

AIO, CONFIG, TASKS = sys.argv[1:4]
COUNT = int(sys.argv[4]) if len(sys.argv) > 4 else 40
SETS = ["variants.large.draft=small", "devices.cpu0.step_table=false",
        "devices.cpu0.threads=1", "log.level=error"]


def post(url, body):
    request = urllib.request.Request(
        url + "/v1/chat/completions", json.dumps(body).encode(),
        {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def steps(url):
    text = urllib.request.urlopen(url + "/metrics").read().decode()
    return float(re.search(
        r'^aio_engine_steps_total\{variant="large"\} (\S+)$', text,
        re.MULTILINE)[1])


def measure(url, tasks, speculation):
    """Texts, answered, drafted and kept tokens, and the large one's steps."""
    texts, total = [], collections.Counter()
    before = steps(url)
    for task in tasks:
        answer = post(url, {
            "model": "large", "messages": task["messages"], "temperature": 0,
            "max_tokens": task.get("max_tokens", 128),
            "aio": {"speculation": speculation}})
        usage = answer["usage"]
        details = usage["completion_tokens_details"]
        texts.append(answer["choices"][0]["message"]["content"])
        total["tokens"] += usage["completion_tokens"]
        total["kept"] += details["accepted_prediction_tokens"]
        total["drafted"] += (details["accepted_prediction_tokens"]
                             + details["rejected_prediction_tokens"])
    total["steps"] = steps(url) - before
    return texts, total


def main():
    arguments = [AIO, "serve", "--config", CONFIG, "--listen", "127.0.0.1:0"]
    for setting in SETS:
        arguments += ["--set", setting]
    server = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        url = None
        for line in server.stdout:
            found = re.search(r"listening on (?:http://)?(\S+:\d+)", line)
            if found:
                url = "http://" + found[1]
                break
        print(f"{'kind':<12}{'tokens':>8}"
              f"{'lookup: kept of drafted':>26}{'tokens a step':>15}"
              f"{'small: kept of drafted':>26}{'tokens a step':>15}")
        for path in sorted(pathlib.Path(TASKS).glob("*.jsonl")):
            tasks = [json.loads(line) for line in
                     path.read_text().splitlines()[:COUNT]]
            plain, _ = measure(url, tasks, "off")
            row = f"{path.stem:<12}"
            for way in ("lookup", "draft"):
                texts, n = measure(url, tasks, way)
                if texts != plain:
                    sys.exit(f"{path.stem}: {way} has changed an answer")
                if way == "lookup":
                    row += f"{n['tokens']:>8}"
                share = n["kept"] / n["drafted"] if n["drafted"] else 0
                kept = f"{n['kept']} of {n['drafted']}, {share:.0%}"
                row += f"{kept:>26}{n['tokens'] / n['steps']:>15.2f}"
            print(row, flush=True)
    finally:
        server.terminate()
        server.wait()


main()
