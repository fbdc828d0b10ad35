# SPDX-License-Identifier: Apache-2.0
"""pack.py AIO: runs `aio pack` in an empty folder and checks what it made."""
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile

AIO = sys.argv[1]
TYPES = ("q8_0 q4_0 q4_1 q5_0 q5_1 q4_k q5_k q6_k f16 bf16 f32 "
         "q4_k_m").split()
SMALL = ["--synthetic", "Qwen3-0.6B", "--layers", "1", "--vocab", "512"]


def aio(*args, **more):
    return subprocess.run([AIO, *args], capture_output=True, text=True, **more)


def pack(out, *args, **more):
    return aio("pack", *SMALL, "-o", out, *args, **more)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def check_types():
    for kind in TYPES:
        done = pack("m.gguf", "--type", kind, "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["bytes"] == os.path.getsize("m.gguf"), report
        assert report["layers"] == 1 and report["vocabulary"] == 512, report
        seen = aio("inspect", "m.gguf")
        assert seen.returncode == 0, seen.stderr
        assert kind[:4].upper() in seen.stdout, (kind, seen.stdout)


def check_same_bytes():
    pack("one", "--type", "q4_k_m", "--threads", "1")
    pack("three", "--type", "q4_k_m", "--threads", "3")
    pack("other", "--type", "q4_k_m", "--seed", "2")
    assert read("one") == read("three")
    assert read("one") != read("other")


def check_runs():
    pack("run.gguf", "--type", "q8_0")
    text = "hello, world 12"
    ids = aio("tokenize", "--model", "run.gguf", "--text", text).stdout.split()
    assert 0 < len(ids) <= len(text), ids


def check_errors():
    for args, words in [
        (["--type", "q4k"], "did you mean 'q4_k'?"),
        (["--type", "q8_0", "--synthetic", "Qwen3-06B"],
         "did you mean 'Qwen3-0.6B'?"),
        (["--type", "q8_0", "--vocab", "3"], "--vocab must be in 512.."),
        (["--type", "q8_0", "--layers", "-1"], "--layers must be in 1.."),
    ]:
        shape = [] if "--synthetic" in args else SMALL[:2]
        done = aio("pack", *shape, *args, "-o", "bad")
        assert done.returncode == 2 and words in done.stderr, done
    done = pack(".", "--type", "q8_0")
    assert done.returncode == 2 and "no regular file" in done.stderr, done
    done = pack("none/bad", "--type", "q8_0")
    assert done.returncode == 1 and "none/bad" in done.stderr, done
    assert not os.path.exists("bad")


def check_nest():
    done = pack("shape.gguf", "--type", "nest", "--json")
    assert done.returncode == 0, done.stderr
    seen = aio("inspect", "shape.gguf")
    assert "matrices of Q4_K with residuals" in seen.stdout, seen.stdout
    assert "cannot compute" not in seen.stdout, seen.stdout
    pack("f32.gguf", "--type", "f32")
    done = aio("pack", "f32.gguf", "--nest", "-o", "nest.gguf", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["bytes"] == os.path.getsize("nest.gguf"), report
    # The output was the embedding and has a tensor of its own now.
    assert report["with_residuals"] == 8, report
    assert report["halves_of_q8_0"] == 0, report
    for tensor in report["tensors"]:
        if tensor["becomes"] == "Q4_K + residuals":
            assert tensor["snr_8"] > 40 > 30 > tensor["snr_4"] > 18, tensor
    parameters = [json.loads(aio("inspect", name, "--json").stdout)["parameters"]
                  for name in ("f32.gguf", "nest.gguf")]
    assert parameters[0] + 512 * 1024 == parameters[1], parameters
    before = read("nest.gguf")
    for args, words in [
        (["nest.gguf", "--nest", "-o", "bad"], "is nested already"),
        (["f32.gguf", "--nest", "-o", "f32.gguf"], "write to another"),
        (["f32.gguf", "-o", "bad"], "--nest"),
        (["--nest", "-o", "bad"], "file"),
        (["-o", "bad"], "FILE --nest, or --synthetic"),
        (["--type", "nest", "-o", "bad"], "--synthetic"),
    ]:
        done = aio("pack", *args)
        assert done.returncode not in (0, 1), done
        assert words in done.stderr, (args, done.stderr)
    done = aio("pack", "none.gguf", "--nest", "-o", "bad")
    assert done.returncode == 1 and "none.gguf" in done.stderr, done
    assert not os.path.exists("bad")
    assert read("nest.gguf") == before


# A limit on the size of files stands in for a disk that is full.
def check_full_disk():
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    with open("kept", "w") as f:
        f.write("what was there before")
    before = sorted(os.listdir("."))
    done = pack("kept", "--type", "q8_0", preexec_fn=limit)
    assert done.returncode == 1, done
    assert "cannot write kept: File too large" in done.stderr, done
    assert read("kept") == b"what was there before"
    assert sorted(os.listdir(".")) == before


AIO = os.path.abspath(AIO)
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    check_types()
    check_same_bytes()
    check_runs()
    check_errors()
    check_nest()
    check_full_disk()
    os.chdir("/")
print("ok")
