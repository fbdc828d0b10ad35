#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a decoder's steps take on a CUDA card: the source of a profile.

step_times.py [--shapes NAME ...] [--json OUT.jsonl]

Models of the named shapes with random weights in bf16 decode (columns of as
many sequences, at several lengths of context) and read prompts, each captured
in a CUDA graph and launched call by call. Kernels are those of PyTorch, and
three of this file's that fuse what serving stacks fuse: residual and norm,
rotation and the write to the cache, SwiGLU. Attention is PyTorch's, the faster
of flash and cuDNN at each point; the cache is contiguous per sequence, not
paged.

Each figure is the median of --repeats runs after a warm-up, between events on
the device. In the same run: a copy within the card's memory, a large product,
and logits against a plain reference in float32.

Needs PyTorch with Triton, and nothing else.
"""
import argparse
import gc
import json
import math
import statistics
import subprocess
import sys

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch.nn.attention import SDPBackend, sdpa_kernel

# layers, hidden, ffn, heads, kv_heads, head_size, vocabulary: of a config.json.
SHAPES = {
    "openpangu-1b": (26, 1536, 6144, 12, 6, 128, 153376),
    "openpangu-7b": (34, 4096, 12800, 32, 8, 128, 153376),
    "qwen2.5-0.5b": (24, 896, 4864, 14, 2, 64, 151936),
    "qwen2.5-1.5b": (28, 1536, 8960, 12, 2, 128, 151936),
    "qwen2.5-7b": (28, 3584, 18944, 28, 4, 128, 152064),
    "llama-3.2-1b": (16, 2048, 8192, 32, 8, 64, 128256),
    "llama-3.1-8b": (32, 4096, 14336, 32, 8, 128, 128256),
}
SEQUENCES = (1, 2, 4, 8, 16, 32, 64)
CONTEXTS = (16, 1024, 4096, 16384)
PROMPTS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)
BACKENDS = {"flash": SDPBackend.FLASH_ATTENTION,
            "cudnn": SDPBackend.CUDNN_ATTENTION}
LOGITS_OFF_MOST = 0.08
MEMORY_SPARE = 12 << 30  # for activations


# ---- what is fused ----------------------------------------------------------

@triton.jit
def norm_kernel(x, residual, weight, out, width, ADD: tl.constexpr,
                BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * width
    at = tl.arange(0, BLOCK)
    inside = at < width
    value = tl.load(residual + row + at, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        value += tl.load(x + row + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(residual + row + at, value, mask=inside)
    scale = tl.rsqrt(tl.sum(value * value, axis=0) / width + 1e-5)
    weights = tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row + at, value * scale * weights, mask=inside)


@triton.jit
def rope_kernel(qkv, angles, slots, q, kv, plane, length, HEADS: tl.constexpr,
                KV_HEADS: tl.constexpr, SIZE: tl.constexpr,
                GROUP: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * GROUP + tl.arange(0, GROUP)[:, None]
    lane = tl.arange(0, SIZE // 2)[None, :]
    inside = (head < HEADS + 2 * KV_HEADS) & (lane < SIZE // 2)
    slot = tl.load(slots + row)
    angle = angles + (slot % length) * SIZE + lane
    cos = tl.load(angle)
    sin = tl.load(angle + SIZE // 2)
    at = qkv + (row * (HEADS + 2 * KV_HEADS) + head) * SIZE + lane
    a = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(at + SIZE // 2, mask=inside, other=0.0).to(tl.float32)
    turned = head < HEADS + KV_HEADS
    first = tl.where(turned, a * cos - b * sin, a)
    second = tl.where(turned, b * cos + a * sin, b)
    to_q = q + (row * HEADS + head) * SIZE + lane
    is_q = inside & (head < HEADS)
    tl.store(to_q, first, mask=is_q)
    tl.store(to_q + SIZE // 2, second, mask=is_q)
    other = head - HEADS  # keys, then values
    to_kv = (kv + (other // KV_HEADS) * plane +
             (slot * KV_HEADS + other % KV_HEADS) * SIZE + lane)
    is_kv = inside & (head >= HEADS)
    tl.store(to_kv, first, mask=is_kv)
    tl.store(to_kv + SIZE // 2, second, mask=is_kv)


@triton.jit
def swiglu_kernel(gate_up, out, width, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * width
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < width
    gate = tl.load(gate_up + 2 * row + at, mask=inside, other=0.0)
    up = tl.load(gate_up + 2 * row + width + at, mask=inside, other=0.0)
    gate = gate.to(tl.float32)
    value = gate * tl.sigmoid(gate) * up.to(tl.float32)
    tl.store(out + row + at, value, mask=inside)


# ---- the model --------------------------------------------------------------

class Decoder:
    """Weights of one shape."""

    def __init__(self, shape, device="cuda"):
        (self.layers, self.hidden, self.ffn, self.heads, self.kv_heads,
         self.head_size, self.vocabulary) = shape
        self.device = device
        qkv = (self.heads + 2 * self.kv_heads) * self.head_size
        self.weights = []
        for _ in range(self.layers):
            layer = {
                "norm": self.gains(),
                "qkv": self.matrix(qkv, self.hidden),
                "out": self.matrix(self.hidden, self.heads * self.head_size),
                "norm2": self.gains(),
                "gate_up": self.matrix(2 * self.ffn, self.hidden),
                "down": self.matrix(self.hidden, self.ffn),
            }
            # Sharper than chance, or all keys would weigh the same and a wrong
            # position would hardly show in the logits.
            layer["qkv"][:-self.kv_heads * self.head_size] *= 1.25
            self.weights.append(layer)
        self.norm = self.gains()
        self.embedding = self.matrix(self.vocabulary, self.hidden)
        self.head = self.matrix(self.vocabulary, self.hidden)
        self.angles = self.rotations(max(CONTEXTS + PROMPTS))

    def gains(self):
        return torch.rand(self.hidden, device=self.device).bfloat16() + 0.5

    def matrix(self, rows, columns):
        made = torch.randn(rows, columns, device=self.device,
                           dtype=torch.bfloat16)
        return made * columns**-0.5

    def rotations(self, length):
        """Cosines, then sines, of each position: [length, head_size]."""
        half = self.head_size // 2
        rates = 10000.0**(-torch.arange(half, device=self.device) / half)
        angles = torch.arange(length, device=self.device)[:, None] * rates
        return torch.cat([angles.cos(), angles.sin()], 1).float()

    def weight_bytes(self):
        """What a step reads: the embedding gives it a row."""
        matrices = [w for layer in self.weights for w in layer.values()]
        return 2 * sum(w.numel() for w in matrices + [self.norm, self.head])

    def kv_bytes_per_token(self):
        return 2 * 2 * self.layers * self.kv_heads * self.head_size


class Step:
    """Columns of `sequences`, as many of each, in a cache of `length` each.

    slots: where each column goes in the cache; its position is that within
    the sequence. used: tokens to attend to, those of the step included.
    """

    def __init__(self, model, tokens, slots, sequences, cache):
        self.model, self.tokens, self.slots = model, tokens, slots
        self.sequences, self.cache = sequences, cache
        self.length = cache.shape[2] // sequences
        self.used = self.length
        self.first = 0  # of the cache's sequences, where they are fewer
        self.columns = len(tokens) // sequences
        self.logits = None

    def add_norm(self, x, residual, gains):
        rows, width = residual.shape
        out = torch.empty_like(residual)
        norm_kernel[(rows,)](residual if x is None else x, residual, gains, out,
                             width, ADD=x is not None,
                             BLOCK=triton.next_power_of_2(width), num_warps=8)
        return out

    def rotate(self, qkv, cache):
        m = self.model
        q = torch.empty(len(qkv), m.heads * m.head_size, device=qkv.device,
                        dtype=qkv.dtype)
        grid = (len(qkv), triton.cdiv(m.heads + 2 * m.kv_heads, 8))
        rope_kernel[grid](qkv, m.angles, self.slots, q, cache, cache.stride(0),
                          self.length, HEADS=m.heads, KV_HEADS=m.kv_heads,
                          SIZE=m.head_size, GROUP=8)
        return q

    def attend(self, q, cache):
        m, n = self.model, self.sequences
        begin = self.first * self.length
        kv = cache[:, begin:begin + n * self.length]
        kv = kv.view(2, n, self.length, m.kv_heads, m.head_size)
        kv = kv[:, :, :self.used].transpose(2, 3)
        q = q.view(n, self.columns, m.heads, m.head_size).transpose(1, 2)
        out = F.scaled_dot_product_attention(q, kv[0], kv[1], enable_gqa=True,
                                             is_causal=self.columns > 1)
        return out.transpose(1, 2).reshape(n * self.columns, -1)

    def some(self, width):
        """As many rows of any values as there are columns."""
        rows = len(self.tokens)
        return self.model.embedding.view(-1)[:rows * width].view(rows, width)

    def attend_only(self):
        q = self.some(self.model.heads * self.model.head_size)
        for cache in self.cache:
            self.attend(q, cache)

    def multiply_only(self):
        for w in self.model.weights:
            for name in ("qkv", "out", "gate_up", "down"):
                F.linear(self.some(w[name].shape[1]), w[name])
        F.linear(self.some(self.model.hidden), self.model.head)

    def swiglu(self, gate_up):
        rows, width = len(gate_up), self.model.ffn
        out = torch.empty(rows, width, device=gate_up.device,
                          dtype=gate_up.dtype)
        swiglu_kernel[(rows, triton.cdiv(width, 1024))](gate_up, out, width,
                                                        BLOCK=1024)
        return out

    def run(self):
        """Makes the logits of each sequence's last column, and its token."""
        m = self.model
        residual = m.embedding[self.tokens]
        x = self.add_norm(None, residual, m.weights[0]["norm"])
        for i, w in enumerate(m.weights):
            q = self.rotate(F.linear(x, w["qkv"]), self.cache[i])
            x = F.linear(self.attend(q, self.cache[i]), w["out"])
            x = self.add_norm(x, residual, w["norm2"])
            x = F.linear(self.swiglu(F.linear(x, w["gate_up"])), w["down"])
            last = i + 1 == m.layers
            x = self.add_norm(
                x, residual, m.norm if last else m.weights[i + 1]["norm"])
        self.logits = F.linear(x[self.columns - 1::self.columns], m.head)
        return self.logits.argmax(-1)


def cache_of(model, buffer, sequences, length):
    """Keys and values: [layers, 2, sequences * length, kv_heads, head_size]."""
    shape = (model.layers, 2, sequences * length, model.kv_heads,
             model.head_size)
    return buffer[:math.prod(shape)].view(shape)


def decode_step(model, buffer, sequences, context):
    """The last token of `context` of each sequence."""
    device = model.device
    tokens = torch.randint(model.vocabulary, (sequences,), device=device)
    slots = torch.arange(sequences, device=device) * context + context - 1
    return Step(model, tokens, slots, sequences,
                cache_of(model, buffer, sequences, context))


def prompt_step(model, buffer, count):
    tokens = torch.randint(model.vocabulary, (count,), device=model.device)
    return Step(model, tokens, torch.arange(count, device=model.device), 1,
                cache_of(model, buffer, 1, count))


# ---- is it right ------------------------------------------------------------

def reference_layer(model, w, x):
    """A layer in float32, without cache; x: [tokens, hidden]."""
    w = {name: matrix.float() for name, matrix in w.items()}

    def norm(x, gains):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * gains

    count, half = len(x), model.head_size // 2
    qkv = F.linear(norm(x, w["norm"]), w["qkv"])
    qkv = qkv.view(count, -1, model.head_size).transpose(0, 1)
    q, k, v = qkv.split([model.heads, model.kv_heads, model.kv_heads])
    cos, sin = model.angles[:count].split(half, 1)

    def turn(h):
        a, b = h[..., :half], h[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    group = model.heads // model.kv_heads
    k = turn(k).repeat_interleave(group, 0)
    scores = turn(q) @ k.transpose(1, 2) / math.sqrt(model.head_size)
    future = torch.ones(count, count, device=x.device).triu(1).bool()
    weights = scores.masked_fill(future, -math.inf).softmax(-1)
    heads = weights @ v.repeat_interleave(group, 0)
    x = x + F.linear(heads.transpose(0, 1).reshape(count, -1), w["out"])
    gate, up = F.linear(norm(x, w["norm2"]), w["gate_up"]).chunk(2, -1)
    return x + F.linear(F.silu(gate) * up, w["down"])


def reference_logits(model, tokens):
    x = model.embedding[tokens].float()
    for w in model.weights:
        x = reference_layer(model, w, x)
    x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)
    return F.linear(x * model.norm.float(), model.head.float())


def logits_off(model, sequences=3, prompt=250, answer=4, graphs=True):
    """How far logits are from the reference's, as a share of their length.

    Prompts are read and a few tokens decoded after each, in one batch.
    """
    length, device = prompt + answer, model.device
    tokens = torch.randint(model.vocabulary, (sequences, length),
                           device=device)
    expected = torch.stack([reference_logits(model, t)[prompt - 1:]
                            for t in tokens])
    cache = torch.full((model.layers, 2, sequences * length, model.kv_heads,
                        model.head_size), math.nan, device=device,
                       dtype=torch.bfloat16)
    got = torch.empty_like(expected)
    begin = torch.arange(sequences, device=device) * length
    for i in range(sequences):
        step = Step(model, tokens[i, :prompt],
                    begin[i] + torch.arange(prompt, device=device), 1, cache)
        step.length, step.used, step.first = length, prompt, i
        step.run()
        got[i, 0] = step.logits[0]
    for t in range(answer):
        step = Step(model, tokens[:, prompt + t], begin + prompt + t, sequences,
                    cache)
        step.used = prompt + t + 1
        (captured(step.run) if graphs else step.run)()
        got[:, t + 1] = step.logits
    return float((got - expected).norm() / expected.norm())


# ---- time -------------------------------------------------------------------

def captured(call):
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def times_ms(call, repeats, warm=4):
    """Median, first and last decile."""
    for _ in range(warm):
        call()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    deciles = statistics.quantiles(times, n=10)
    return [round(t, 3)
            for t in (statistics.median(times), deciles[0], deciles[-1])]


def measured(step, backends, repeats):
    """The step with the backend whose attention alone is the fastest."""
    alone = {}
    for name in backends:
        try:
            with sdpa_kernel(BACKENDS[name]):
                alone[name] = times_ms(captured(step.attend_only), 10)[0]
        except RuntimeError as error:
            print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)
    name = min(alone, key=alone.get)
    with sdpa_kernel(BACKENDS[name]):
        times = {"graph_ms": times_ms(captured(step.run), repeats),
                 "eager_ms": times_ms(step.run, repeats),
                 "attention_ms": alone[name], "attention": name}
    if step.columns == 1:
        times["matrices_ms"] = times_ms(captured(step.multiply_only), 10)[0]
    return times


def random_buffer(count):
    """Values of a normal distribution, repeated where there are many."""
    buffer = torch.empty(count, device="cuda", dtype=torch.bfloat16)
    made = min(count, 1 << 28)
    buffer[:made].normal_()
    while made < count:
        more = min(made, count - made)
        buffer[made:made + more] = buffer[:more]
        made += more
    return buffer


def card():
    query = ["nvidia-smi", "--query-gpu=driver_version",
             "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True,
                                check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        driver = "unknown"
    return {"card": torch.cuda.get_device_name(), "driver": driver,
            "torch": torch.__version__, "triton": triton.__version__}


def ceilings(repeats):
    """A copy, both directions counted, and a product of random matrices."""
    source = random_buffer(1 << 31)
    target = torch.empty_like(source)
    copy = times_ms(lambda: target.copy_(source), repeats)[0]
    size = 8192
    a, b = (source[i * size * size:][:size * size].view(size, size)
            for i in range(2))
    product = times_ms(lambda: a @ b, repeats)[0]
    return {"copy_tb_s": round(4 * source.numel() / copy / 1e9, 3),
            "product_tflop_s": round(2 * size**3 / product / 1e9, 1)}


# ---- what is printed --------------------------------------------------------

def cell(time):
    if time is None:
        return f"{'-':>9}"
    return f"{time[0] if isinstance(time, list) else time:>9.3f}"


def print_table(title, rows, key):
    """Sequences across, contexts down."""
    print(f"\n{title}\n{'context':>8}" + "".join(f"{n:>9}" for n in SEQUENCES))
    for context in sorted({r["context"] for r in rows}):
        cells = {r["sequences"]: r[key] for r in rows
                 if r["context"] == context}
        print(f"{context:>8}" + "".join(cell(cells.get(n)) for n in SEQUENCES))


def print_shape(record, decodes, prompts, copy_tb_s):
    name = record["shape"]
    print_table(f"{name}: a step in a graph, ms, by sequences", decodes,
                "graph_ms")
    print_table(f"{name}: the same launched call by call, ms", decodes,
                "eager_ms")
    print_table(f"{name}: attention alone in a graph, ms", decodes,
                "attention_ms")
    print(f"\n{name}: prompts, ms\n{'tokens':>8}{'eager':>10}{'graph':>10}"
          f"{'attention':>11}")
    for r in prompts:
        print(f"{r['prompt']:>8}{r['eager_ms'][0]:>10.3f}"
              f"{r['graph_ms'][0]:>10.3f}{r['attention_ms']:>11.3f}")
    alone = [r["matrices_ms"] for r in decodes
             if r["context"] == decodes[0]["context"]]
    print(f"matrices alone in a graph, ms, by sequences: {alone}")
    spreads = [(r[k][2] - r[k][1]) / r[k][0] for r in decodes + prompts
               for k in ("graph_ms", "eager_ms")]
    print(f"first to last decile: {100 * statistics.median(spreads):.1f} % of "
          f"the median at the median point, {100 * max(spreads):.1f} % at most")
    reached = record["weight_bytes"] / decodes[0]["graph_ms"][0] / 1e9
    print(f"one sequence reads {record['weight_bytes'] / 1e9:.2f} GB of "
          f"weights at {reached:.2f} TB/s, {100 * reached / copy_tb_s:.0f} % "
          "of a copy")


def check(name, model, backends):
    """How far the logits are off, by the backend of attention."""
    found = {}
    for backend in backends:
        with sdpa_kernel(BACKENDS[backend]):
            found[backend] = round(logits_off(model), 5)
        print(f"{name}, {backend}: logits are {100 * found[backend]:.2f} % off "
              "a reference in float32", flush=True)
        if not found[backend] <= LOGITS_OFF_MOST:  # NaN too
            sys.exit(f"{name}: more than {100 * LOGITS_OFF_MOST:.0f} %")
    return found


def measure_shape(name, args, write, copy_tb_s):
    model = Decoder(SHAPES[name])
    record = {"shape": name, "weight_bytes": model.weight_bytes(),
              "logits_off": check(name, model, args.attention)}
    write(record)
    if args.check:
        return
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info()[0] - MEMORY_SPARE
    points = [(n, c) for c in args.contexts for n in SEQUENCES
              if n * c * model.kv_bytes_per_token() <= free]
    tokens = max([n * c for n, c in points] + list(PROMPTS))
    buffer = random_buffer(tokens * model.kv_bytes_per_token() // 2)
    decodes, prompts = [], []
    for sequences, context in points:
        step = decode_step(model, buffer, sequences, context)
        decodes.append({"sequences": sequences, "context": context}
                       | measured(step, args.attention, args.repeats))
        write(decodes[-1])
    for count in PROMPTS:
        step = prompt_step(model, buffer, count)
        prompts.append({"prompt": count}
                       | measured(step, args.attention, args.repeats))
        write(prompts[-1])
    print_shape(record, decodes, prompts, copy_tb_s)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, metavar="NAME",
                        default=["openpangu-1b", "openpangu-7b"],
                        help=", ".join(SHAPES) + "; default: openPangu's")
    parser.add_argument("--contexts", nargs="+", type=int, default=CONTEXTS,
                        choices=CONTEXTS, metavar="TOKENS",
                        help="of decoding; default: all of " +
                        ", ".join(map(str, CONTEXTS)))
    parser.add_argument("--attention", nargs="+", choices=BACKENDS,
                        default=list(BACKENDS), metavar="NAME",
                        help="flash, cudnn; default: both")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--check", action="store_true",
                        help="compare logits with the reference, time nothing")
    parser.add_argument("--json", metavar="OUT.jsonl",
                        help="write each figure as a line, as it is measured")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA card")
    torch.manual_seed(1)
    gc.freeze()  # or collecting what the libraries hold shows in the times
    out = open(args.json, "w", encoding="utf-8") if args.json else None

    def write(record):
        if out:
            print(json.dumps(record, separators=(",", ":")), file=out,
                  flush=True)

    with torch.inference_mode():
        run = card() | {"repeats": args.repeats} | ceilings(args.repeats)
        write(run)
        print(", ".join(f"{k} {v}" for k, v in run.items()), flush=True)
        for name in args.shapes:
            measure_shape(name, args, write, run["copy_tb_s"])


if __name__ == "__main__":
    main()
