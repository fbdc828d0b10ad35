#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""by_kind.py TASKS RESULTS.jsonl

Right answers by what was asked, finer than an intent: RESULTS is what
`aio eval --tasks TASKS --out RESULTS.jsonl` wrote. With Wilson's 95 %
intervals."""
import collections
import glob
import json
import math
import os
import re
import sys

import facts


def kind_of(intent, prompt):
    if intent == "math":
        return "%d steps" % (len(re.findall(r"\d+", prompt)) - 1)
    if intent == "qa":
        asked = "|".join(re.escape(way).replace(r"\{0\}", ".+")
                         for way in facts.ASK["region"])
        other = prompt.endswith("in English?")
        region = re.fullmatch(asked, prompt) and not other
        return "regions" if region else "all others"
    if intent == "extract":
        if "as JSON" in prompt:
            return "two fields as JSON"
        several = re.search(r"^What is the .+ for .+\?$", prompt, re.M)
        return "one of several records" if several else "one record"
    return "all"


def wilson(right, n, z=1.96):
    share, scale = right / n, 1 + z * z / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - half) / scale, (middle + half) / scale


def main(folder, results):
    kinds = {}
    for path in glob.glob(os.path.join(folder, "*.jsonl")):
        with open(path, encoding="utf-8") as file:
            for task in map(json.loads, file):
                prompt = task["messages"][-1]["content"]
                kinds[task["id"]] = kind_of(task["intent"], prompt)
    last = {}
    with open(results, encoding="utf-8") as file:
        for line in map(json.loads, file):
            if "task" in line:
                last[line["contender"], line["task"]] = line
    cells = collections.defaultdict(list)
    for (contender, task), line in last.items():
        cells[line["intent"], kinds[task], contender].append(line["right"])
    for (intent, kind, contender), rights in sorted(cells.items()):
        low, high = wilson(sum(rights), len(rights))
        print("%-10s %-24s %-8s %4d  %5.1f %%  %.1f-%.1f" % (
            intent, kind, contender, len(rights),
            100 * sum(rights) / len(rights), 100 * low, 100 * high))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
