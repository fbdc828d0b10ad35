#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Labelled prompts that teach the model probe. Of the public prompts
(dev.jsonl, labels and sources as they come) whole sources are held out, all
but one of the natural ones among them, and a fifth of the rest."""
import json

from split import held_out

# What opens the assistant's turn, and the tokens that answer, by label: the
# first form that src/probe/model_probe.cc tries.
SUFFIX = "Category:"
WORDS = {"code": " code", "math": " math", "qa": " question", "chat": " chat",
         "summarize": " summary", "extract": " data",
         "translate": " translation", "creative": " story"}
TOKENS_MAX = 256  # longer prompts are asked about by head and tail
HELD_OUT_SOURCES = [
    "humaneval", "humaneval_xl_zh", "gsm8k", "hendrycks_math", "nq_open",
    "commonsenseqa", "superni_task181", "awesome_chatgpt_prompts_zh",
    "spec_bench_translation", "spec_bench_summarization", "mt_bench",
    "mt_bench_zh", "vicuna_bench", "vicuna_bench_zh", "self_instruct_seed",
    "chinese_llama_alpaca_translation", "chinese_llama_alpaca_generation",
    "chinese_llama_alpaca_literature", "chinese_llama_alpaca_qa",
    "chinese_llama_alpaca_oqa", "chinese_llama_alpaca_code"]


def is_held_out(row):
    return (row["source"] in HELD_OUT_SOURCES or
            held_out("prompt", row["id"], share=0.2))


def public(path):
    """-> (rows to train on, rows to report on)."""
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return ([r for r in rows if not is_held_out(r)],
            [r for r in rows if is_held_out(r)])


def written(path, passages, rng):
    """The project's own prompts (tools/probe_prompts.txt), their places for
    texts filled with passages of the training side."""
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("#") or "\t" not in line:
                continue
            label, text = line.rstrip("\n").split("\t", 1)
            passage = rng.choice(passages)
            text = text.replace("\\n", "\n").replace("{text}", passage)
            text = text.replace("{line}", passage.split("\n")[0][:120])
            rows.append({"label": label, "text": text})
    return rows


if __name__ == "__main__":  # for `aio bench probe --holdout`
    print(" ".join(HELD_OUT_SOURCES))
