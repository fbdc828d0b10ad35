#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`aio eval` and `aio bench mixed` as their users meet them: interrupted, with
broken files, on a full disk, through a policy and through a server.

    eval.py AIO CONFIG TASKS
"""
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile
import unittest

AIO, CONFIG, TASKS = (str(pathlib.Path(p).resolve()) for p in sys.argv[1:4])
TASK_LINES = pathlib.Path(TASKS).read_text().splitlines(keepends=True)
BARE = ["eval", "--config", CONFIG, "--tasks", TASKS]
USUAL = [*BARE, "-n", "120"]
# Long answers one after the other, so that there is time to interrupt a run.
LONG = [*BARE, "-n", "400", "-j", "1"]


def run(*arguments, code=0, **kwargs):
    done = subprocess.run([AIO, *arguments], capture_output=True, text=True,
                          timeout=300, **kwargs)
    if code is not None and done.returncode != code:
        raise AssertionError(f"{arguments}: exit code {done.returncode}, not "
                             f"{code}\n{done.stdout}\n{done.stderr}")
    return done


def steady(report):
    """What no clock is in: the same in every run of the same work."""
    cell = ("tasks", "right", "errors", "cut", "accuracy", "low", "high",
            "prompt_tokens", "completion_tokens", "bytes_read",
            "weight_bytes_read", "served")
    return {c["name"]: {key: c["all"][key] for key in cell}
                       | {intent: [one[key] for key in cell]
                          for intent, one in c["intents"].items()}
            for c in report["contenders"]}


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.out = str(self.folder / "results.jsonl")

    def interrupt(self, how, lines):
        """Starts a run, sends the signal once the file has that many lines."""
        process = subprocess.Popen(
            [AIO, *LONG, "--out", self.out], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while process.poll() is None:
            try:
                if pathlib.Path(self.out).read_bytes().count(b"\n") >= lines:
                    break
            except FileNotFoundError:
                pass
        process.send_signal(how)
        stdout, stderr = process.communicate(timeout=120)
        return process.returncode, stdout, stderr


class Resume(Folder):
    def test_a_killed_run_goes_on_to_the_same_table(self):
        whole = json.loads(run(*LONG, "--json").stdout)
        self.assertTrue(whole["complete"])
        code, _, _ = self.interrupt(signal.SIGKILL, 4)
        self.assertEqual(code, -signal.SIGKILL)
        there = pathlib.Path(self.out).read_bytes()
        self.assertLess(there.count(b"\n"), 1 + 2 * len(TASK_LINES))
        # As if the kill had hit the middle of a line.
        with open(self.out, "ab") as file:
            file.write(b'{"task":"s1","contender":"sm')
        done = run(*LONG, "--json", "--out", self.out)
        self.assertIn("results are there", done.stderr)
        self.assertEqual(steady(json.loads(done.stdout)), steady(whole))
        # Nothing that was there ran again, and nothing is left to run.
        self.assertTrue(pathlib.Path(self.out).read_bytes().startswith(there))
        again = run(*LONG, "--json", "--out", self.out)
        self.assertIn(", 0 left to run", again.stderr)
        self.assertEqual(steady(json.loads(again.stdout)), steady(whole))

    def test_an_interrupt_says_how_to_go_on(self):
        code, stdout, stderr = self.interrupt(signal.SIGINT, 3)
        self.assertEqual(code, 130)
        self.assertIn("goes on from here", stderr)
        self.assertIn("the rest has not run", stdout)
        for line in pathlib.Path(self.out).read_text().splitlines()[1:]:
            self.assertEqual(json.loads(line)["error"], "")

    def test_results_of_other_tasks_are_refused(self):
        run(*USUAL, "-v", "small", "--out", self.out, "--limit", "3")
        before = pathlib.Path(self.out).read_bytes()
        other = self.folder / "other.jsonl"
        other.write_text("".join(TASK_LINES[1:]))
        arguments = ["eval", "--config", CONFIG, "--tasks", str(other), "-n",
                     "120", "--out", self.out, "-v", "small", "--limit", "3"]
        done = run(*arguments, code=1)
        self.assertIn("another task set", done.stderr)
        self.assertIn("--restart", done.stderr)
        self.assertEqual(pathlib.Path(self.out).read_bytes(), before)
        done = run(*BARE, "-n", "121", "-v", "small", "--out", self.out,
                   "--limit", "3", code=1)
        self.assertIn("max_tokens was '120' and is '121'", done.stderr)
        run(*arguments, "--restart")
        # The same model under the same name goes on with more tasks.
        run("eval", "--config", CONFIG, "--tasks", str(other), "-n", "120",
            "--out", self.out, "-v", "small", "--limit", "5")
        self.assertEqual(
            pathlib.Path(self.out).read_bytes().count(b"\n"), 1 + 5)
        # Another model under that name does not.
        large = pathlib.Path(CONFIG).parent / "../../models/stories260K-F32.gguf"
        done = run(*arguments, "--set",
                   f"variants.small.model={large.resolve()}", code=1)
        self.assertIn("another model: 'small'", done.stderr)


class Refuse(Folder):
    def test_a_half_written_task_file(self):
        half = self.folder / "half.jsonl"
        half.write_text("".join(TASK_LINES)[:-20])
        done = run("eval", "--config", CONFIG, "--tasks", str(half), code=1)
        self.assertIn(f"half.jsonl:{len(TASK_LINES)}", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_a_wrong_task_file(self):
        wrong = self.folder / "wrong.jsonl"
        wrong.write_text(TASK_LINES[0] +
                         TASK_LINES[1].replace("creative", "creativ"))
        done = run("eval", "--config", CONFIG, "--tasks", str(wrong), code=1)
        self.assertIn("wrong.jsonl:2", done.stderr)
        self.assertIn("creative", done.stderr)

    def test_unknown_names(self):
        done = run(*USUAL, "--variants", "smal", code=1)
        self.assertIn("did you mean 'small'", done.stderr)
        done = run(*USUAL, "--policy", "papr", code=1)
        self.assertIn("paper", done.stderr)
        run(*USUAL, "--policy", "paper", "--variants", "small", code=None)


class FullDisk(Folder):
    def test_a_device_that_is_full(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        done = run(*USUAL, "--out", "/dev/full", code=1)
        self.assertIn("No space left", done.stderr)

    def test_a_disk_that_fills_up_loses_nothing(self):
        limit = 2500
        done = run(*USUAL, "-j", "1", "-v", "small", "--out", self.out, code=1,
                   restore_signals=False,  # Python ignores SIGXFSZ
                   preexec_fn=lambda: resource.setrlimit(
                       resource.RLIMIT_FSIZE, (limit, limit)))
        self.assertIn("File too large", done.stderr)
        self.assertIn("goes on from there", done.stderr)
        self.assertIn("the rest has not run", done.stdout)
        there = pathlib.Path(self.out).read_bytes()
        self.assertTrue(there.endswith(b"\n"))
        self.assertGreater(there.count(b"\n"), 1)
        run(*USUAL, "-j", "1", "-v", "small", "--out", self.out)
        after = pathlib.Path(self.out).read_bytes()
        self.assertTrue(after.startswith(there))
        self.assertEqual(after.count(b"\n"), 1 + len(TASK_LINES))


class Contenders(Folder):
    def test_a_policy_says_where_it_sent_what(self):
        report = json.loads(run(*USUAL, "--policy", "random", "--json").stdout)
        contender = report["contenders"][0]
        self.assertEqual(contender["name"], "policy:random")
        served = contender["all"]["served"]
        self.assertEqual(sum(served.values()), len(TASK_LINES))
        self.assertLessEqual(set(served), {"small", "large"})
        self.assertEqual(contender["all"]["intent_told"], len(TASK_LINES))
        self.assertGreater(contender["all"]["probe_seconds"], 0)
        table = run(*USUAL, "--policy", "static:small").stdout
        self.assertIn("policy:static:small sent 100.0 % to small", table)

    def test_several_at_once_answer_as_one_after_the_other(self):
        one = json.loads(run(*USUAL, "-j", "1", "--json").stdout)
        many = json.loads(run(*USUAL, "-j", "6", "--json").stdout)
        for key in ("right", "completion_tokens"):
            self.assertEqual([c["all"][key] for c in one["contenders"]],
                             [c["all"][key] for c in many["contenders"]])

    def test_a_server_answers_as_the_engine_does(self):
        direct = json.loads(run(*USUAL, "--json").stdout)
        server = subprocess.Popen(
            [AIO, "serve", "--config", CONFIG, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait, 60)
        self.addCleanup(server.send_signal, signal.SIGTERM)
        for line in server.stdout:
            found = re.search(r"listening on (http://\S+)", line)
            if found:
                break
        url = found[1] + "/v1"
        asked = ["eval", "--tasks", TASKS, "-n", "120", "--url", url]
        through = json.loads(
            run(*asked, "--variants", "small,large", "--json").stdout)
        for there, here in zip(through["contenders"], direct["contenders"]):
            self.assertEqual(there["name"], here["name"])
            for key in ("right", "errors", "completion_tokens", "served"):
                self.assertEqual(there["all"][key], here["all"][key])
        auto = json.loads(run(*asked, "--json").stdout)["contenders"][0]
        self.assertEqual(auto["name"], "auto")
        self.assertEqual(auto["all"]["errors"], 0)
        self.assertEqual(sum(auto["all"]["served"].values()), len(TASK_LINES))

    def test_a_server_that_is_not_there_is_one_error(self):
        done = run("eval", "--tasks", TASKS, "--url", "http://127.0.0.1:9/v1",
                   code=1)
        self.assertIn("requests to 'auto' failed", done.stderr)


class Python(Folder):
    def test_a_program_that_never_ends_is_a_wrong_answer(self):
        tasks = self.folder / "python.jsonl"
        tasks.write_text("".join(
            json.dumps({"id": name, "intent": "code", "prompt": "Write f.",
                        "checker": "python-tests", "reference": test,
                        "prefix": "", "max_tokens": 1}) + "\n"
            for name, test in (("loop", "while True: pass"), ("crash", "1/0"))))
        done = run("eval", "--config", CONFIG, "--tasks", str(tasks), "-v",
                   "small", "--json", "--out", self.out, code=None)
        if done.returncode == 1 and "--unsafe-python" in done.stderr:
            self.skipTest("no isolation on this machine")
        report = json.loads(done.stdout)
        cell = report["contenders"][0]["all"]
        self.assertEqual((cell["tasks"], cell["right"], cell["errors"]),
                         (2, 0, 0))


class QualityTable(Folder):
    def test_what_eval_writes_the_config_loads_and_route_shows(self):
        table = str(self.folder / "quality.json")
        run(*USUAL, "--quality-table", table)
        written = json.loads(pathlib.Path(table).read_text())
        self.assertEqual(set(written["variants"]), {"small", "large"})
        self.assertEqual(written["variants"]["small"]["qa"]["n"], 3)
        use = ["--config", CONFIG, "--set", f"policy.quality_table={table}"]
        prompt = "Write a Python function that adds two numbers."
        explained = json.loads(run("route", *use, "--json", prompt).stdout)
        p = explained["intent"]["probabilities"]
        for candidate in explained["candidates"]:
            row = written["variants"][candidate["variant"]]
            known = sum(p[label] for label in row)
            expected = sum(p[label] * row[label]["quality"]
                           for label in row) / known
            self.assertAlmostEqual(candidate["quality"], expected, places=5)
        bare = json.loads(
            run("route", "--config", CONFIG, "--json", prompt).stdout)
        self.assertNotIn("quality", bare["candidates"][0])

    def test_a_table_of_other_variants_is_refused_at_start(self):
        table = self.folder / "quality.json"
        table.write_text('{"format": 1, "variants": {"smal": {}}}')
        done = run("route", "--config", CONFIG, "--set",
                   f"policy.quality_table={table}", "x", code=1)
        self.assertIn("quality.json:1: variants.smal", done.stderr)
        self.assertIn("did you mean 'small'", done.stderr)

    def test_a_run_that_failed_writes_none(self):
        table = self.folder / "quality.json"
        run("eval", "--tasks", TASKS, "--url", "http://127.0.0.1:9/v1",
            "--quality-table", str(table), code=1)
        self.assertFalse(table.exists())


class BenchMixed(Folder):
    def test_compares_contenders_on_two_mixes(self):
        arguments = ["bench", "mixed", "--config", CONFIG, "--tasks", TASKS,
                     "--requests", "10", "--rounds", "2", "-n", "16"]
        report = json.loads(run(*arguments, "--json").stdout)
        self.assertEqual([w["name"] for w in report["workloads"]],
                         ["code-centric", "knowledge-centric"])
        self.assertEqual(report["workloads"][0]["mix"]["code"], 7)
        self.assertEqual(report["workloads"][1]["mix"]["qa"], 7)
        for workload in report["workloads"]:
            named = {c["name"]: c for c in workload["contenders"]}
            small, large = named["static:small"], named["static:large"]
            drawn, paper = named["random"], named["paper"]
            self.assertEqual(named["small+lookup"]["small_share"], 1)
            self.assertEqual(named["small+lookup"]["right"], small["right"])
            self.assertEqual((small["small_share"], large["small_share"]),
                             (1, 0))
            self.assertGreater(drawn["small_share"], 0)
            self.assertLess(small["weight_bytes_per_token"],
                            large["weight_bytes_per_token"])
            self.assertEqual(paper["claim"], "too few pairs to claim")
            self.assertEqual(paper["intent_told"], 10)
            self.assertGreater(paper["probe_seconds"], 0)
        self.assertIn("tokens/s against static:large over 2 pairs",
                      run(*arguments).stdout)

    def test_needs_code_and_knowledge(self):
        tasks = self.folder / "qa.jsonl"
        tasks.write_text("".join(
            line for line in TASK_LINES if '"qa"' in line))
        done = run("bench", "mixed", "--config", CONFIG, "--tasks", str(tasks),
                   code=1)
        self.assertIn("around 'code' needs tasks", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
