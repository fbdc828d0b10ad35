#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""by_kind.py TASKS OUT

Divides the tasks of the folder TASKS by what is asked, finer than an intent,
into OUT/KIND.jsonl, each for `aio eval --tasks`."""
import collections
import glob
import json
import os
import re
import sys

import facts


def kind_of(intent, prompt):
    if intent == "math":
        return "math-%d-steps" % (len(re.findall(r"\d+", prompt)) - 1)
    if intent == "qa":
        asked = "|".join(re.escape(way).replace(r"\{0\}", ".+")
                         for way in facts.ASK["region"])
        return "qa-regions" if re.fullmatch(asked, prompt) else "qa-others"
    if intent == "extract":
        if "as JSON" in prompt:
            return "extract-json"
        several = re.search(r"^What is the .+ for .+\?$", prompt, re.M)
        return "extract-of-several" if several else "extract-of-one"
    return intent


def main(tasks, out):
    kinds = collections.defaultdict(list)
    for path in sorted(glob.glob(os.path.join(tasks, "*.jsonl"))):
        with open(path, encoding="utf-8") as file:
            for line in file:
                task = json.loads(line)
                prompt = task["messages"][-1]["content"]
                kinds[kind_of(task["intent"], prompt)].append(line)
    os.makedirs(out, exist_ok=True)
    for kind, lines in kinds.items():
        with open(os.path.join(out, kind + ".jsonl"), "w",
                  encoding="utf-8") as file:
            file.writelines(lines)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
