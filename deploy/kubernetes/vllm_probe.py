#!/usr/bin/env python3
# Copyright 2026 The A-IO authors. SPDX-License-Identifier: Apache-2.0
"""What the images of vllm-ascend have no curl for.

    vllm_probe.py health URL        ends with 0 if URL/health is 200
    vllm_probe.py wait URL          waits until it is
    vllm_probe.py warm URL MODEL    as health, once two requests were answered:
                                    the first of each length compiles

A key is read from VLLM_API_KEY, if it is set.
"""
import json
import os
import pathlib
import sys
import time
import urllib.request

HEALTH_SECONDS = 5
WARM_SECONDS = 300
# Words of the prompts: decoding compiles, and reading a long prompt besides.
PROMPTS = (1, 1200)
DONE = pathlib.Path("/tmp/vllm_probe.warm")


def healthy(url):
    try:
        with urllib.request.urlopen(url + "/health",
                                    timeout=HEALTH_SECONDS) as response:
            return response.status == 200
    except OSError:
        return False


def ask(url, model, words):
    body = {"model": model, "prompt": " word" * words, "max_tokens": 2,
            "temperature": 0}
    headers = {"Content-Type": "application/json"}
    key = os.environ.get("VLLM_API_KEY")
    if key:
        headers["Authorization"] = "Bearer " + key
    request = urllib.request.Request(
        url + "/v1/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=WARM_SECONDS) as response:
        json.load(response)


def warm(url, model):
    """Whether it is healthy and was warmed by this container."""
    if not healthy(url):
        return False
    if DONE.exists():
        return True
    try:
        for words in PROMPTS:
            ask(url, model, words)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return False
    DONE.touch()
    return True


def main(what, url, *model):
    if what == "wait":
        while not healthy(url):
            time.sleep(2)
        return 0
    good = warm(url, *model) if what == "warm" else healthy(url)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
