#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""held_out.py AIO ROOT [--record]

Runs `aio eval` over a fixed part of models/tasks with the bundled pair and
compares the right answers of each variant and intent with expected.json.
Greedy answers are the same bits wherever the kernels are the same, so there
the counts must be equal; on another instruction set each must lie in the 95 %
interval that was recorded with it. --record writes expected.json anew."""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EXPECTED = os.path.join(HERE, "expected.json")
LIMIT = 240  # tasks, in turn from each intent
SKIPPED = 77


def measure(aio, root):
    run = subprocess.run(
        [aio, "eval", "--config", os.path.join(root, "aio.yaml"), "--tasks",
         os.path.join(root, "models", "tasks"), "--limit", str(LIMIT),
         "--json"], capture_output=True, text=True, timeout=280)
    if run.returncode != 0 and "isolat" in run.stderr:
        print("skipped: Python tests cannot be isolated here:\n" + run.stderr)
        sys.exit(SKIPPED)
    if run.returncode != 0:
        sys.exit("aio eval failed (%d):\n%s" % (run.returncode, run.stderr))
    return json.loads(run.stdout)


def kernels(report):
    """Instruction set and KV type of each contender: what bits depend on."""
    return {name: print_.rsplit("-", 2)[1:]
            for name, print_ in report["fingerprints"].items()}


def cells(report):
    """-> {"variant intent": {right, tasks, low, high}}"""
    found = {}
    for contender in report["contenders"]:
        for intent, cell in contender["intents"].items():
            if cell.get("errors"):
                sys.exit("%s %s: %d errors" % (
                    contender["name"], intent, cell["errors"]))
            found["%s %s" % (contender["name"], intent)] = {
                k: cell[k] for k in ("right", "tasks", "low", "high")}
    return found


def compare(found, expected, exact):
    misses = []
    if sorted(found) != sorted(expected):
        misses.append("cells: %s, recorded %s" % (sorted(found),
                                                  sorted(expected)))
    for name in sorted(set(found) & set(expected)):
        got, want = found[name], expected[name]
        share = got["right"] / got["tasks"]
        if got["tasks"] != want["tasks"]:
            misses.append("%s: %d tasks, recorded %d" % (
                name, got["tasks"], want["tasks"]))
        elif exact and got["right"] != want["right"]:
            misses.append("%s: %d right, recorded %d" % (
                name, got["right"], want["right"]))
        elif not want["low"] <= share <= want["high"]:
            misses.append("%s: %.3f, recorded %.3f to %.3f" % (
                name, share, want["low"], want["high"]))
    return misses


def main():
    report = measure(sys.argv[1], sys.argv[2])
    found = cells(report)
    if "--record" in sys.argv:
        with open(EXPECTED, "w") as file:
            json.dump({"kernels": kernels(report), "cells": found}, file,
                      indent=1, sort_keys=True)
            file.write("\n")
        return
    with open(EXPECTED) as file:
        expected = json.load(file)
    exact = kernels(report) == expected["kernels"]
    print("%s what was recorded on %s" % (
        "exactly" if exact else "within the interval of",
        expected["kernels"]))
    misses = compare(found, expected["cells"], exact)
    for name, cell in sorted(found.items()):
        print("%-16s %3d of %3d" % (name, cell["right"], cell["tasks"]))
    if misses:
        sys.exit("\n".join(misses))


if __name__ == "__main__":
    main()
