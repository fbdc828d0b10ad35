#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_data.py OUT --prompts DEV.jsonl [--examples N] [--seed S]

Writes OUT/tokenizer.json, the training examples (OUT/stream.npz) and the test
set: OUT/tasks/*.jsonl for `aio eval`, OUT/probe/*.jsonl for `aio bench probe`.
One seed gives the same files everywhere."""
import argparse
import json
import os
import random
import sys
import time

import numpy as np

import chat_tasks
import code_tasks
import facts
import math_tasks
import probe_prompts
import text_tasks
import tokenizer as bpe

VOCABULARY = 3072
# Share of examples by family; what is left are questions for the probe.
SHARES = [("qa", 0.34), ("code", 0.10), ("math", 0.22), ("extract", 0.12),
          ("summarize", 0.03), ("chat", 0.03), ("beyond", 0.02),
          ("repeat", 0.07)]
UNTESTED = {"beyond", "repeat"}
SYSTEMS = ["You are a helpful assistant.", "Answer briefly.",
           "You are nano, a small and polite model."]
TESTS_PER_FAMILY = 200


class Families:
    """Draws examples of one side of the split."""

    def __init__(self, rng):
        self.rng = rng
        rows = facts.questions(facts.load())
        self.questions = {side: [r for r in rows if r[3] == side]
                          for side in (False, True)}
        self.draws = {"code": code_tasks.example, "math": math_tasks.example,
                      "extract": text_tasks.extract,
                      "summarize": text_tasks.summarize,
                      "chat": chat_tasks.example, "beyond": chat_tasks.beyond,
                      "repeat": text_tasks.repeat}

    def qa(self, test):
        question, answer, relation, _ = self.rng.choice(self.questions[test])
        made = {"label": "qa", "prompt": question, "answer": answer}
        if test:
            code = relation in facts.CODES
            made.update(checker="exact" if code else "contains",
                        reference=answer)
        return made

    def draw(self, family, test=False):
        if family == "qa":
            return self.qa(test)
        while True:
            made = self.draws[family](self.rng, test)
            wanted = made["test"] if test else made.get("train",
                                                        not made["test"])
            if wanted:
                return made


class Encoder:
    def __init__(self, tokenizer):
        self.encode = tokenizer.encode
        self.end, self.system, self.user, self.assistant = (
            tokenizer.ids[s] for s in bpe.SPECIAL)
        self.suffix = tokenizer.encode(probe_prompts.SUFFIX)
        self.labels = {}
        for label, word in probe_prompts.WORDS.items():
            self.labels[label], = tokenizer.encode(word)

    def turn(self, prompt):
        return [self.user, *self.encode(prompt), self.end, self.assistant]

    def system_turn(self, text):
        return [self.system, *self.encode(text), self.end]

    def answered(self, turns, system=None):
        """-> (tokens, 1 where the token is the assistant's)"""
        tokens = self.system_turn(system) if system else []
        mine = [0] * len(tokens)
        for prompt, answer in turns:
            asked = self.turn(prompt)
            said = [*self.encode(answer), self.end]
            tokens += asked + said
            mine += [0] * len(asked) + [1] * len(said)
        return tokens, mine

    def probed(self, prompt, label):
        """As the engine asks: the serving prompt, cut to head and tail where
        it is long, the suffix, one token."""
        tokens, most = self.turn(prompt), probe_prompts.TOKENS_MAX
        if len(tokens) > most:
            tokens = tokens[:most // 2] + tokens[-(most - most // 2):]
        tokens = [*tokens, *self.suffix, self.labels[label]]
        return tokens, [0] * (len(tokens) - 1) + [1]


def sample_texts(families, rows, rng):
    texts = ["Category:" + w for w in probe_prompts.WORDS.values()]
    for family, share in SHARES:
        for _ in range(int(40000 * share)):
            made = families.draw(family)
            texts += [made["prompt"], made["answer"]]
    for question, answer, _, _ in families.questions[False]:
        texts += [question, answer] * 2
    texts += [r["text"][:1500] for r in rows]
    return texts


class Stream:
    """One training example after the other."""

    def __init__(self, families, encoder, rows, written):
        self.families, self.encoder = families, encoder
        self.rng = families.rng
        self.rows, self.written = rows, written
        self.names = [name for name, _ in SHARES] + ["probe"]
        shares = [share for _, share in SHARES]
        self.shares = shares + [1 - sum(shares)]

    def family(self):
        return self.rng.choices(self.names, self.shares)[0]

    def probe(self):
        kind = self.rng.random()
        if kind < 0.45:
            row = self.rng.choice(self.rows)
            return self.encoder.probed(row["text"], row["label"])
        if kind < 0.6:
            row = self.rng.choice(self.rng.choice(self.written))
            return self.encoder.probed(row["text"], row["label"])
        family = self.rng.choice(self.names[:-1])
        made = self.families.draw(family)
        return self.encoder.probed(made["prompt"], made["label"])

    def next(self):
        family, rng = self.family(), self.rng
        if family == "probe":
            return self.probe()
        if family == "beyond" and rng.random() < 0.3:
            text = rng.choice(self.rows)["text"][:400]
            return self.encoder.answered([(text, chat_tasks.BEYOND)])
        turns = [self.families.draw(family)]
        while rng.random() < 0.06:
            turns.append(self.families.draw(rng.choice(self.names[:-1])))
        system = rng.choice(SYSTEMS) if rng.random() < 0.08 else None
        return self.encoder.answered(
            [(t["prompt"], t["answer"]) for t in turns], system)


def write_stream(stream, examples, path):
    tokens, mine, ends, begin = [], [], [], time.time()
    for i in range(examples):
        t, m = stream.next()
        tokens.append(np.array(t, np.uint16))
        mine.append(np.array(m, np.uint8))
        ends.append(len(t))
        if i % 20000 == 0:
            print("\r%d of %d examples, %.0f s left  " % (
                i, examples, (time.time() - begin) * (examples - i) / (i + 1)),
                end="", file=sys.stderr, flush=True)
    np.savez(path, tokens=np.concatenate(tokens), mine=np.concatenate(mine),
             ends=np.cumsum(ends))
    print("\n%d examples, %d tokens" % (examples, sum(ends)), file=sys.stderr)


def write_tasks(families, folder):
    os.makedirs(folder, exist_ok=True)
    names = [name for name, _ in SHARES if name not in UNTESTED]
    for family in names:
        seen, lines = set(), []
        while len(lines) < TESTS_PER_FAMILY:
            made = families.draw(family, test=True)
            if made["prompt"] in seen:
                if family == "chat" and len(seen) > 20 and families.rng.random() < 0.01:
                    break  # there are no more wordings
                continue
            seen.add(made["prompt"])
            task = {"id": "%s-%03d" % (family, len(lines)),
                    "intent": made["label"],
                    "messages": [{"role": "user", "content": made["prompt"]}],
                    "checker": made["checker"],
                    "reference": made["reference"], "max_tokens": 120}
            if "entry_point" in made:
                task["entry_point"] = made["entry_point"]
            lines.append(json.dumps(task, ensure_ascii=False))
        with open(os.path.join(folder, family + ".jsonl"), "w",
                  encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def write_prompts(families, held_out_rows, rows, folder):
    """Labelled prompts, none trained on: generated ones and public ones. And
    the public ones that were, to fit a text probe that is to be compared."""
    os.makedirs(folder, exist_ok=True)
    made = []
    for family, _ in SHARES:
        if family == "repeat":
            continue  # never a test
        for i in range(60):
            e = families.draw(family, test=True)
            made.append({"id": "nano:%s-%d" % (family, i), "text": e["prompt"],
                         "label": e["label"], "source": "nano_" + e["label"],
                         "lang": "en"})
    for name, written in (("generated", made), ("public", held_out_rows),
                          ("trained", rows)):
        with open(os.path.join(folder, name + ".jsonl"), "w",
                  encoding="utf-8") as file:
            for row in written:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--prompts", required=True,
                        help="intent/dev.jsonl of the public data")
    parser.add_argument("--examples", type=int, default=700000,
                        help="to train on; 0: only the tokenizer and tests")
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    os.makedirs(flags.out, exist_ok=True)
    rng = random.Random(flags.seed)
    families = Families(rng)
    rows, held_out_rows = probe_prompts.public(flags.prompts)
    words = [*probe_prompts.WORDS.values(), *map(str, range(100))]
    merges = bpe.train(sample_texts(families, rows, rng), VOCABULARY, words)
    tokenizer = bpe.Tokenizer(merges)
    tokenizer.save(flags.out)
    write_tasks(families, os.path.join(flags.out, "tasks"))
    write_prompts(families, held_out_rows, rows,
                  os.path.join(flags.out, "probe"))
    here = os.path.dirname(os.path.abspath(__file__))
    own = os.path.join(here, "../../tools/probe_prompts.txt")
    passages = [r["text"] for r in rows if 150 < len(r["text"]) < 900]
    written = [probe_prompts.written(own, passages, rng) for _ in range(20)]
    if flags.examples:
        write_stream(Stream(families, Encoder(tokenizer), rows, written),
                     flags.examples, os.path.join(flags.out, "stream.npz"))


if __name__ == "__main__":
    main()
