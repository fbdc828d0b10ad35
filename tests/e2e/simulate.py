#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`aio simulate` and `aio bench sim-error` as their users meet them.

    simulate.py AIO CONFIG
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

CACHE = tempfile.TemporaryDirectory()
AIO, CONFIG = (str(pathlib.Path(p).resolve()) for p in sys.argv[1:3])
DEVICE = ["simulate", "--device", "ascend-910b/vllm-graph"]


def run(*arguments, code=0):
    done = subprocess.run([AIO, *map(str, arguments)], capture_output=True,
                          text=True, timeout=300,
                          env={**os.environ, "XDG_CACHE_HOME": CACHE.name})
    if done.returncode != code:
        raise AssertionError(f"{arguments}: exit code {done.returncode}, not "
                             f"{code}\n{done.stdout}\n{done.stderr}")
    return done


class Simulate(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_the_same_options_give_the_same_bytes(self):
        ask = [*DEVICE, "--workload", "mixed", "--rate", 3, "-n", 300,
               "--json"]
        first = run(*ask).stdout
        self.assertEqual(first, run(*ask).stdout)
        self.assertNotEqual(first, run(*ask, "--seed", 2).stdout)

    def test_a_report_says_what_it_is_worth(self):
        reports = json.loads(run(*DEVICE, "-n", 50, "--json").stdout)["reports"]
        self.assertEqual([r["policy"] for r in reports],
                         ["static:openpangu-1b", "static:openpangu-7b",
                          "paper"])
        for report in reports:
            self.assertEqual(report["all"]["requests"], 50)
            self.assertFalse(report["devices"][0]["calibrated"])
            self.assertIn("assumed: ", report["notes"][0])
        table = run(*DEVICE, "-n", 50).stdout
        self.assertIn("uncalibrated", table)
        self.assertIn("can gain at most", table)

    def test_a_page_is_written_whole_or_the_failure_told(self):
        page = self.folder / "report.html"
        run(*DEVICE, "-n", 20, "--html", page)
        text = page.read_text()
        self.assertTrue(text.startswith("<!doctype html>"))
        self.assertTrue(text.endswith("</html>\n"))
        self.assertNotIn("http", text)
        done = run(*DEVICE, "-n", 20, "--html", "/dev/full", code=1)
        self.assertIn("cannot write /dev/full", done.stderr)

    def test_the_models_of_a_config_are_measured(self):
        report = json.loads(run("simulate", "--config", CONFIG, "-n", 40,
                                "--rate", 5, "--divide", 32,
                                "--json").stdout)["reports"][0]
        self.assertEqual(report["all"]["finished"], 40)
        self.assertEqual({v["name"] for v in report["variants"]},
                         {"small", "large"})

    def test_a_trace_is_told_its_wrong_line(self):
        trace = self.folder / "t.csv"
        trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n"
                         "2023-11-16 18:17:03.9,40,2\n"
                         "2023-11-16 18:17:04.9,40,4\n")
        report = json.loads(run(*DEVICE, "-w", trace, "-n", 5, "--policy",
                                "static:openpangu-1b", "--json").stdout)
        self.assertEqual(report["reports"][0]["all"]["output_tokens"],
                         2 + 4 + 2 + 4 + 2)
        trace.write_text("TIMESTAMP\nnonsense\n")
        done = run(*DEVICE, "-w", trace, code=2)
        self.assertIn("line 2: not TIMESTAMP,", done.stderr)

    def test_every_decision_can_be_replayed(self):
        log = self.folder / "d.jsonl"
        run(*DEVICE, "-w", "code-centric", "--clients", 16, "-n", 10000,
            "--policy", "marginal", "--decisions", log)
        said = json.loads(run("replay", log, "--json").stdout)
        self.assertEqual(said["requests"], 10000)
        self.assertEqual(said["decisions"], 10000)
        self.assertEqual(said["same"], 10000)
        # Logs of version 1 had neither thinking nor rounds that are held; those
        # of version 2 no prices of devices, and neither said when a step begins;
        # those of version 3 not what turns weigh.
        whole = log.read_text()
        self.assertNotIn('"device_price"', whole)
        head, rest = whole.split("\n", 1)
        self.assertIn('"decision_log":4', head)
        for version, code in ((1, 0), (2, 0), (3, 0), (5, 1)):
            log.write_text(head.replace('"decision_log":4',
                                        f'"decision_log":{version}') +
                           "\n" + re.sub('"earlier":"",|"step_in_seconds":[^,]*,|'
                                         '"run_seconds":[^,]*,|'
                                         '"turn_weight":[^,]*,', "", rest))
            run("replay", log, code=code)
        log.write_text(whole)
        other = json.loads(run("replay", log, "--set",
                               "policy.quality_floor=0.5", "--json").stdout)
        self.assertLess(other["same"], 10000)
        self.assertLess(other["after"]["device_seconds"],
                        other["before"]["device_seconds"])
        done = run("replay", log, "--set", "policy.floor=1", code=2)
        self.assertIn("quality_floor", done.stderr)
        for tokens in ("1e99", "nan", "-1"):
            done = run("replay", log, "--set",
                       f"policy.context_tokens_max={tokens}", code=2)
            self.assertIn("no number of tokens", done.stderr)
        # What was decided is no longer what the rule says.
        text = log.read_text().splitlines()
        text[1] = text[1].replace('"candidate":0', '"candidate":1')
        text[2] = text[2].replace('"candidate":1', '"candidate":0')
        log.write_text("\n".join(text[:3]) + "\n")
        run("replay", log, code=1)
        log.write_text(text[0] + "\n" + text[1][:50] + "\n" + text[2] + "\n")
        done = run("replay", log, code=1)
        self.assertIn("d.jsonl:2: no JSON object", done.stderr)

    def test_what_is_said_of_times_is_right(self):
        log = self.folder / "d.jsonl"
        # At 0.3 and 0.7 of what static large does with 16 clients.
        for device, rates in (("ascend-910b/vllm-graph", (0.735, 1.715)),
                              ("h200", (3, 7))):
            for rate, off95 in zip(rates, (0.40, 0.25)):
                with self.subTest(device=device, rate=rate):
                    run("simulate", "--device", device, "-w", "code-centric",
                        "--rate", rate, "-n", 4000, "--policy", "marginal",
                        "--decisions", log)
                    said = json.loads(run("replay", log, "--json").stdout)
                    of = said["forecasts"]["all"]
                    self.assertEqual(of["ttft"]["n"], 4000)
                    self.assertLess(of["ttft"]["error_p50"], 0.05)
                    self.assertLess(of["tpot"]["error_p50"], 0.12)
                    self.assertLess(of["tpot"]["error_p95"], off95)

    def test_lookup_finds_in_texts_what_is_there(self):
        texts = self.folder / "t.jsonl"
        line = "the cat sat on the mat and the dog sat on the log. "
        texts.write_text(json.dumps({"kind": "rewrite", "prompt": 9 * line,
                                     "output": 3 * line}) + "\n")
        report = json.loads(run("simulate", "--config", CONFIG, "-w", texts,
                                "-n", 5, "--policy", "static:small",
                                "--json").stdout)["reports"][0]["all"]
        self.assertEqual(report["finished"], 5)
        self.assertGreater(report["accepted_tokens"],
                           0.5 * report["output_tokens"])
        texts.write_text('{"kind": "rewrite"}\n')
        done = run("simulate", "--config", CONFIG, "-w", texts, code=2)
        self.assertIn("t.jsonl:1: no string 'prompt'", done.stderr)
        done = run(*DEVICE, "-w", texts, code=2)
        self.assertIn("--tokenizer", done.stderr)

    def test_wrong_words_are_told_the_nearest(self):
        for arguments, words in (
                (["--device", "h20"], "did you mean 'h200'?"),
                (["--device", "h200", "-w", "cat"], "did you mean 'chat'?"),
                (["--device", "h200", "--models", "openpangu-7"],
                 "did you mean 'openpangu-7b'?"),
                (["--device", "h200", "--memory", "8"], "do not fit"),
                (["--device", "h200", "--policy", "papr"], "papr"),
                (["--config", "/no/such.yaml"], "/no/such.yaml")):
            done = run("simulate", *arguments, code=2)
            self.assertIn(words, done.stderr)

    def test_the_error_is_measured(self):
        said = json.loads(run("bench", "sim-error", "--config", CONFIG, "-n",
                              20, "--divide", 32, "--json").stdout)
        self.assertEqual([r["workload"] for r in said["rows"]],
                         ["steady chat", "bursty code", "mixed"])
        for row in said["rows"]:
            self.assertGreater(sum(s["steps"] for s in row["steps"].values()),
                               5)
            for figure in row["figures"].values():
                self.assertGreater(figure["real"], 0)
                self.assertAlmostEqual(
                    figure["error"],
                    figure["simulated"] / figure["real"] - 1, places=4)
        # And known from then on.
        report = json.loads(run("simulate", "--config", CONFIG, "-n", 20,
                                "--json").stdout)["reports"][0]
        self.assertTrue(report["devices"][0]["calibrated"])
        worst = max(abs(row["figures"]["TTFT p50"]["error"])
                    for row in said["rows"])
        self.assertAlmostEqual(report["devices"][0]["errors"]["ttft_p50"],
                               worst, places=4)
        table = run("simulate", "--config", CONFIG, "-n", 20).stdout
        self.assertRegex(table, r"off by up to +\d+% +\d+%/\?/\d+% ")


unittest.main(argv=sys.argv[:1])
