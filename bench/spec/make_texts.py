#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recorded texts for `aio bench spec`, from public data.

make_texts.py DATA OUT.jsonl

DATA holds chat/spec_bench_question.jsonl (github.com/hemingkx/Spec-Bench) and
humaneval/ (github.com/openai/human-eval). Kinds: `humaneval` is a task and its
reference solution; `rewrite` is a file of three solutions and the same file
with one function renamed; the others are Spec-Bench's prompts that have a
reference answer, under its own names.
"""
import glob
import gzip
import json
import sys


def humaneval(folder):
    (path,) = glob.glob(folder + "/humaneval/*.jsonl*")
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def rewrites(tasks):
    for i in range(0, len(tasks) - 2, 3):
        some = tasks[i:i + 3]
        file = "\n\n".join(t["prompt"] + t["canonical_solution"] for t in some)
        old = some[1]["entry_point"]
        new = old + "_checked"
        yield (f"Rename the function {old} to {new} in this file and print the "
               f"whole file again.\n\n```python\n{file}\n```\n\n```python\n",
               file.replace(old, new))


def spec_bench(folder):
    with open(folder + "/chat/spec_bench_question.jsonl",
              encoding="utf-8") as lines:
        for question in map(json.loads, lines):
            answer = question.get("reference")
            if not answer:
                continue
            if isinstance(answer, list):
                answer = answer[0]
            if isinstance(answer, str):
                yield question["category"], question["turns"][0], answer


def main():
    data, out = sys.argv[1:]
    tasks = humaneval(data)
    texts = [("humaneval", t["prompt"], t["canonical_solution"]) for t in tasks]
    texts += [("rewrite", p, o) for p, o in rewrites(tasks)]
    texts += list(spec_bench(data))
    kinds = [kind for kind, _, _ in texts]
    with open(out, "w", encoding="utf-8") as file:
        for kind, prompt, output in texts:
            # Of fewer than eight texts a median says little.
            if kinds.count(kind) >= 8:
                file.write(json.dumps({"kind": kind, "prompt": prompt,
                                       "output": output}) + "\n")


if __name__ == "__main__":
    main()
