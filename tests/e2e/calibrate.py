#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`aio calibrate` as its users meet it: killed at any point and run again, then
used by a config; and broken files.

    calibrate.py AIO CONFIG TASKS
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

AIO, CONFIG, TASKS = (pathlib.Path(p).resolve() for p in sys.argv[1:4])
# Of three intents; without Python tests, which need isolation.
LINES = [line for name in ("math", "qa", "summarize") for line in
         (TASKS / f"{name}.jsonl").read_text().splitlines(True)[:30]]
# kPriorOutputTokens (src/cost/learner.h).
PRIORS = {"code": 300, "math": 250, "qa": 150, "chat": 150, "summarize": 150,
          "extract": 100, "translate": 120, "creative": 500}
RESULTS = ("quality.json", "lengths.json", "probe.json", "text.json")


class Calibrate(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.tasks = self.folder / "tasks.jsonl"
        self.tasks.write_text("".join(LINES))
        self.environment = os.environ | {
            "XDG_CACHE_HOME": str(self.folder / "cache")}

    def command(self, out, *more):
        return [str(AIO), "calibrate", "--config", str(CONFIG), "--tasks",
                str(self.tasks), "--out", str(self.folder / out), *more]

    def run_aio(self, command, code=0):
        done = subprocess.run(command, capture_output=True, text=True,
                              timeout=300, env=self.environment)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def results(self, out):
        return [(self.folder / out / name).read_bytes() for name in RESULTS]

    def kill_when(self, command, ready):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL,
                                   env=self.environment)
        while process.poll() is None and not ready():
            pass
        process.kill()
        return process.wait() == -signal.SIGKILL

    def test_killed_anywhere_it_comes_to_the_same(self):
        whole = json.loads(self.run_aio(self.command("whole", "--json")).stdout)
        self.assertEqual(set(whole["steps"]), {"small", "large"})
        self.assertEqual(set(whole["lengths"]["small"]),
                         {"math", "qa", "summarize"})
        self.assertEqual(whole["probe"]["prompts"], len(LINES))
        cut = self.folder / "cut"
        answers = cut / "answers.jsonl"

        def lines():
            return answers.read_bytes().count(b"\n") if answers.exists() else 0

        def asked():
            return len(list(cut.glob("probe/logits-*.json")))

        # While it measures steps, in the middle of the tasks, after the first
        # prompts of the probe, and before the last file.
        shutil.rmtree(self.folder / "cache")
        killed = [
            self.kill_when(self.command("cut"), lambda: answers.exists()),
            self.kill_when(self.command("cut"), lambda: lines() > 20),
            self.kill_when(self.command("cut"), lambda: lines() > 100),
            self.kill_when(self.command("cut"), lambda: asked() > 0)]
        self.assertGreaterEqual(sum(killed), 2, killed)
        there = answers.read_bytes()
        logits = {f: f.read_bytes() for f in cut.glob("probe/logits-*.json")}
        done = self.run_aio(self.command("cut"))
        self.assertIn("results are there", done.stderr)
        self.assertEqual(self.results("cut"), self.results("whole"))
        # Nothing that was there ran again.
        self.assertTrue(answers.read_bytes().startswith(
            there[:there.rfind(b"\n") + 1]))
        for file, content in logits.items():
            self.assertEqual(file.read_bytes(), content)
        again = self.run_aio(self.command("cut"))
        self.assertIn(", 0 left to run", again.stderr)
        self.assertEqual(self.results("cut"), self.results("whole"))

    def test_a_config_uses_it(self):
        out = self.run_aio(self.command("cal")).stdout
        self.assertIn("policy: { calibration: ", out)
        cal = f"policy.calibration={self.folder / 'cal'}"
        route = [str(AIO), "route", "--config", str(CONFIG), "--json",
                 "--set", "policy.quality_table=", "--set", cal]
        lengths = json.loads((self.folder / "cal/lengths.json").read_text())
        prompt = json.loads(LINES[0])
        text = prompt.get("prompt") or prompt["messages"][-1]["content"]
        said = json.loads(self.run_aio([*route, text]).stdout)
        small = next(c for c in said["candidates"] if c["variant"] == "small")
        self.assertIsNotNone(small["quality"])
        # Measured lengths, and the learner's priors where there are none.
        known = PRIORS | {label: cell["tokens"] for label, cell
                          in lengths["variants"]["small"].items()}
        expected = sum(p * known[label] for label, p
                       in said["intent"]["probabilities"].items())
        self.assertAlmostEqual(small["estimate"]["output_tokens"], expected,
                               delta=0.01 * expected)
        # A file that is gone or broken is named.
        for name in RESULTS:
            file = self.folder / "cal" / name
            good = file.read_bytes()
            for bad in (None, good[:len(good) // 2], b"[1]"):
                file.unlink()
                if bad is not None:
                    file.write_bytes(bad)
                done = self.run_aio([*route, text], code=1)
                self.assertIn(name, done.stderr)
                if bad is None:
                    file.touch()
            file.write_bytes(good)
        self.run_aio([*route, text])
        # Of another text probe.
        file = self.folder / "cal/text.json"
        fit = json.loads(file.read_text())
        file.write_text(json.dumps(fit | {"fingerprint": "0123"}))
        done = self.run_aio([*route, text], code=1)
        self.assertIn("another text probe", done.stderr)
        # What it means is what is routed by, not what it says.
        self.assertIn("meant", fit)
        plain = json.loads(self.run_aio(
            [*route, "--set", "policy.calibration=", text]).stdout)
        self.assertNotEqual(plain["intent"]["probabilities"],
                            said["intent"]["probabilities"])

    def test_kept_answers_of_the_probe_that_are_broken_are_asked_again(self):
        self.run_aio(self.command("cal"))
        before = self.results("cal")
        for file in (self.folder / "cal").glob("probe/logits-*.json"):
            file.write_text('{"key": ')
        done = self.run_aio(self.command("cal"))
        self.assertIn("asking the probe again", done.stderr)
        self.assertEqual(self.results("cal"), before)

    def test_what_is_wrong_is_told(self):
        self.run_aio(self.command("cal", "--limit", "30", "--set",
                                  "probe.model="))
        self.assertFalse((self.folder / "cal/probe.json").exists())
        done = self.run_aio(self.command("cal", "-n", "9"), code=1)
        self.assertIn("max_tokens", done.stderr)
        done = self.run_aio(self.command("few", "--limit", "6"), code=1)
        self.assertIn("too few", done.stderr)
        self.assertFalse((self.folder / "few/quality.json").exists())
        (self.folder / "file").touch()
        self.run_aio(self.command("file"), code=1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
