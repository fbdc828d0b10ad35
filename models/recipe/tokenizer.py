# SPDX-License-Identifier: Apache-2.0
"""Byte-level BPE as GPT-2 defined it, with Llama 3's pre-tokenizer (up to three
digits are a word, so that a small number can be one token: a model of this size
does not learn to copy digit by digit). Trains, encodes, and writes Hugging
Face's tokenizer.json."""
import collections
import functools
import json

import regex

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
find_words = regex.compile(PATTERN).findall
SPECIAL = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
TEMPLATE = ("{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}"
            "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>"
            "{% endif %}")


def byte_letters():
    """GPT-2's printable letter for each byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in kept}
    for b in range(256):
        if b not in letters:
            letters[b] = chr(256 + len(letters) - len(kept))
    return letters


LETTERS = byte_letters()


def letters_of(word):
    return [LETTERS[b] for b in word.encode("utf-8")]


def train(texts, size, forced=()):
    """Merges for a vocabulary of `size`, specials included. The words of
    `forced` become single tokens: they are counted as if frequent."""
    counts = collections.Counter(
        word for text in texts for word in find_words(text))
    for word in forced:
        counts[word] += 10**6
    words = [(letters_of(word), n) for word, n in counts.items()]
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, (parts, n) in enumerate(words):
        for pair in zip(parts, parts[1:]):
            pairs[pair] += n
            where[pair].add(i)
    merges = []
    while len(merges) < size - 256 - len(SPECIAL):
        best = max(pairs.items(), key=lambda item: (item[1], item[0]))[0]
        merges.append(best)
        for i in where.pop(best):
            parts, n = words[i]
            for pair in zip(parts, parts[1:]):
                pairs[pair] -= n
            parts = merged(parts, best)
            words[i] = (parts, n)
            for pair in zip(parts, parts[1:]):
                pairs[pair] += n
                where[pair].add(i)
        del pairs[best]
    return merges


def merged(parts, pair):
    out, i = [], 0
    while i < len(parts):
        if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
            out.append(parts[i] + parts[i + 1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return out


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        tokens = [LETTERS[b] for b in range(256)]
        tokens += [a + b for a, b in self.merges] + SPECIAL
        self.ids = {token: i for i, token in enumerate(tokens)}
        assert len(self.ids) == len(tokens), "two merges make one token"
        self.word = functools.lru_cache(None)(self.word_ids)

    def word_ids(self, word):
        parts = letters_of(word)
        whole = self.ids.get("".join(parts))
        if whole is not None:
            return [whole]
        while len(parts) > 1:
            best = min(zip(parts, parts[1:]),
                       key=lambda pair: self.rank.get(pair, 1 << 30))
            if best not in self.rank:
                break
            parts = merged(parts, best)
        return [self.ids[p] for p in parts]

    def encode(self, text):
        """Plain text: special tokens in it are just characters."""
        return [i for word in find_words(text) for i in self.word(word)]

    def save(self, folder):
        special = [{"id": self.ids[s], "content": s, "special": True}
                   for s in SPECIAL]
        split = {"type": "Split", "pattern": {"Regex": PATTERN},
                 "behavior": "Isolated"}
        model = {"type": "BPE", "ignore_merges": True,
                 "vocab": {t: i for t, i in self.ids.items()
                           if t not in SPECIAL},
                 "merges": ["%s %s" % pair for pair in self.merges]}
        with open(folder + "/tokenizer.json", "w", encoding="utf-8") as file:
            json.dump({"added_tokens": special, "pre_tokenizer": split,
                       "model": model}, file, ensure_ascii=False)
        with open(folder + "/tokenizer_config.json", "w",
                  encoding="utf-8") as file:
            json.dump({"chat_template": TEMPLATE, "eos_token": "<|end|>",
                       "pad_token": "<|end|>", "bos_token": None,
                       "add_bos_token": False}, file)

    @staticmethod
    def load(folder):
        with open(folder + "/tokenizer.json", encoding="utf-8") as file:
            model = json.load(file)["model"]
        return Tokenizer([m.split(" ") for m in model["merges"]])
