#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`aio bench` on a tiny model: the keys of its JSON, figures that agree with
each other, and what it says to bad arguments.

    cli_test.py AIO MODEL.gguf
"""
import csv
import json
import os
import subprocess
import sys
import tempfile

AIO, MODEL = sys.argv[1:3]
PROBE = os.path.join(os.path.dirname(MODEL), "intent.ftz")
KEYS = {
    "benchmark", "model", "type", "threads", "runs", "context", "commit",
    "cpu", "target", "n", "seconds", "seconds_low", "seconds_high", "bytes",
    "tokens_per_second", "gigabytes_per_second", "read_gigabytes_per_second",
    "read_bytes", "share_of_read_bandwidth", "columns", "logits_hash",
}
COMMANDS = {
    "decode": ["--columns", "2,5"],
    "batch": ["--sequences", "1,3"],
    "prefill": ["--tokens", "70"],
    "load": ["--cache"],
    "attention": ["--context", "700", "--kv", "q8"],
    "reuse": ["--context", "200", "--turn", "16"],
}
MORE = {
    "prefill": {"gigamacs_per_second"},
    "load": {"load_seconds", "file_bytes", "peak_bytes", "peak_to_file",
             "cached_load_seconds", "cached_ready_seconds",
             "cached_peak_bytes"},
    "reuse": {"cold_over_reused", "cold_over_reused_95"},
}
WIDTHS = {"decode": [1, 2, 5], "batch": [1, 3], "prefill": [70], "load": [1],
          "attention": [512, 700], "reuse": [16, 216]}
BAD = [
    (["decode", "--runs", "9"], "runs"),
    (["decode", "--threads", "0"], "threads"),
    (["decode", "--columns", "0"], "columns"),
    (["decode", "--model", "/no/such.gguf"], "No such file"),
    (["decode", "--model", MODEL, "--context", "100000"], "made for 512"),
    (["decode", "--model", MODEL, "--type", "Q8_0"], "excludes"),
    (["decode", "--type", "Q9_9"], "Q9_9"),
    (["prefill", "--model", MODEL, "--tokens", "513"], "made for 512"),
    (["load", "--model", __file__], "aio bench load"),
    (["attention", "--context", "16000000"], "--context"),
    (["decode", "--model", MODEL, "--bits", "4"], "is not nested"),
    (["decode", "--model", MODEL, "--bits", "5"], "--bits"),
    (["pair", "--model", MODEL], "--other"),
    (["quality", "--model", MODEL, "--tasks", "/no/such"], "/no/such"),
    (["route", "--text-probe", PROBE, "--data", "/no/such"], "no questions"),
    (["route", "--text-probe", "/no/such", "--data", "."], "/no/such"),
    (["route", "--data", ".", "--folds", "1"], "--folds"),
    (["route", "--data", ".", "--split", "halves"], "--split"),
]


def run(*arguments):
    return subprocess.run([AIO, "bench", *arguments], capture_output=True,
                          text=True, timeout=60)


def near(a, b):
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def check_json(name):
    done = run(name, "--model", MODEL, "--runs", "10", "--threads", "2",
               "--json", *COMMANDS[name])
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    missing = (KEYS | MORE.get(name, set())) - set(said)
    assert not missing, f"{name} lacks {missing}"
    assert said["benchmark"] == name and said["threads"] == 2
    assert [row["n"] for row in said["columns"]] == WIDTHS[name]
    first = said["columns"][0]
    for row in said["columns"]:
        assert {"n", "seconds", "c"} <= set(row)
        assert row["seconds_low"] <= row["seconds"] <= row["seconds_high"]
        assert near(row["c"], row["seconds"] / first["seconds"])
    rate, read = (said[k] for k in ("gigabytes_per_second",
                                    "read_gigabytes_per_second"))
    assert read > 0 and near(rate, said["bytes"] / said["seconds"] / 1e9)
    assert near(said["share_of_read_bandwidth"], rate / read)
    if name in ("decode", "batch", "prefill"):
        assert near(said["tokens_per_second"], said["n"] / said["seconds"])
    return said


def check_nested(plain):
    """Q8_0 in two halves: at 8 bits the same to the bit, at 4 half the bytes."""
    fine, coarse = (
        json.loads(run("decode", "--model", MODEL, "--runs", "10", "--columns",
                       "2", "--nest", "--bits", bits, "--json").stdout)
        for bits in ("8", "4"))
    assert fine["logits_hash"] == plain["logits_hash"]
    assert coarse["logits_hash"] != plain["logits_hash"]
    assert coarse["bytes"] < 0.8 * fine["bytes"]
    pair = json.loads(run("pair", "--model", MODEL, "--other", MODEL, "--runs",
                          "10", "--columns", "1", "--json").stdout)
    low, high = pair["rows"][0]["ratio_95"]
    assert low <= pair["rows"][0]["ratio"] <= high
    assert pair["first_weight_bytes"] == pair["second_weight_bytes"]


def check_quality():
    tasks = os.path.join(os.path.dirname(MODEL), "tasks", "qa.jsonl")
    done = run("quality", "--model", MODEL, "--tasks", tasks, "--tokens",
               "1000", "--json")
    assert done.returncode == 0, done.stderr
    rows = {r["weights"]: r for r in json.loads(done.stdout)["rows"]}
    # The file's numbers are Q8_0's, so nesting falls back to it.
    assert rows["NEST-8"]["divergence"] == rows["Q8_0"]["divergence"]
    assert rows["F32"]["divergence"] == 0
    assert (rows["Q8_0"]["divergence"] < rows["NEST-4"]["divergence"]
            < rows["Q8_0 >> 4"]["divergence"])


def check_spec():
    """Of a text that says the same again and again, drafts are kept."""
    text = "Once upon a time there was a dog. " * 6
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "texts.jsonl")
        with open(path, "w", encoding="utf-8") as out:
            for kind in ("again", "other"):
                line = {"kind": kind, "prompt": text, "output": text}
                out.write(json.dumps(line) + "\n")
        done = run("spec", "--model", MODEL, "--force-output", path, "--runs",
                   "10", "--batch", "1,2", "--tokens", "48", "--strategy",
                   "lookup", "--json")
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)["rows"]
        assert [(r["kind"], r["batch"]) for r in rows] == [
            ("again", 1), ("again", 2), ("other", 1), ("other", 2)]
        for row in rows:
            low, high = row["ratio_95"]
            assert low <= row["ratio"] <= high
            assert row["tokens"] == 48 * row["batch"] * row["pairs"]
            assert row["accepted"] <= row["drafted"]
        with open(path, "a", encoding="utf-8") as out:
            out.write("{}\n")
        done = run("spec", "--model", MODEL, "--force-output", path)
        assert done.returncode == 2 and ":3: " in done.stderr, done.stderr


def write_routing(folder):
    """Three subjects and problems; only the strong one proves anything."""
    os.mkdir(os.path.join(folder, "mmlu"))
    files = {f"mmlu/{name}.csv": 12 for name in ("algebra", "law", "virology")}
    for file, count in {**files, "gsm8k_responses.csv": 20}.items():
        rows = [["prompt", "small", "large"]]
        for i in range(count):
            proof = i % 2 == 0
            text = 'Prove "it", always,\nfor all n.' if proof else "Which town?"
            rows.append([text, str(not proof), "True"])
        with open(os.path.join(folder, file), "w", encoding="utf-8",
                  newline="") as out:
            csv.writer(out).writerows(rows)


def check_route():
    with tempfile.TemporaryDirectory() as folder:
        write_routing(folder)
        arguments = ("route", "--data", folder, "--text-probe", PROBE,
                     "--folds", "3")
        done = run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        assert done.stdout == run(*arguments, "--json").stdout
        said = json.loads(done.stdout)
        assert (said["weak"], said["strong"]) == ("small", "large")
        assert [(s["name"], s["questions"]) for s in said["sections"]] == [
            ("MMLU", 36), ("GSM8K", 20), ("GSM8K, learned from MMLU only", 20),
            ("Together", 56)]
        for section in said["sections"]:
            assert section["weak"] == 0.5 and section["strong"] == 1
            apgr = {r["router"]: r["apgr"] for r in section["routers"]}
            assert apgr["random"] == {"value": 0.5, "low": 0.5, "high": 0.5}
            assert near(apgr["oracle"]["value"], 0.75)
            assert near(apgr["text predictor"]["value"], 0.75)
            for row in section["routers"]:
                curve = row["accuracy_at_strong_share"]
                assert curve[0] == [0, 0.5] and curve[-1] == [1, 1]
        table = run(*arguments).stdout
        for word in ("honest", "APGR", "CPT(80)", "text predictor"):
            assert word in table, table
        with open(os.path.join(folder, "mmlu", "law.csv"), "a",
                  encoding="utf-8") as out:
            out.write('Why, "then?,True,False\n')
        done = run(*arguments)
        assert done.returncode == 1 and "law.csv:20: " in done.stderr, (
            done.stderr)


def main():
    said = {name: check_json(name) for name in COMMANDS}
    # One column at the same position, whatever stood beside it.
    assert said["decode"]["logits_hash"] == said["batch"]["logits_hash"]
    check_nested(said["decode"])
    check_quality()
    check_spec()
    check_route()
    load = said["load"]
    assert near(load["peak_to_file"], load["peak_bytes"] / load["file_bytes"])
    assert load["load_seconds"] <= load["seconds_high"]
    assert load["cached_load_seconds"] <= load["cached_ready_seconds"]
    for arguments, words in BAD:
        done = run(*arguments)
        assert done.returncode != 0, f"{arguments} worked"
        assert words in done.stderr, f"{arguments} said {done.stderr}"
    table = run("decode", "--model", MODEL, "--columns", "2").stdout
    for word in ("columns", "GB/s", "of reading", "commit", "logits"):
        assert word in table, table


main()
