#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""train.py DATA OUT --size s|l --steps N [--resume]

Trains one model of the pair on DATA/stream.npz and writes OUT as a Hugging
Face checkpoint (config.json, model.safetensors in BF16, the tokenizer), which
tools/checkpoint_to_gguf turns into a GGUF file. Every few minutes, and on
SIGTERM, it also writes OUT/state.pt, from which --resume goes on, with another
--steps too: the learning rate is a function of the step alone. Uses a CUDA GPU
when there is one; on a CPU matrix products run in BF16."""
import argparse
import json
import math
import os
import resource
import shutil
import signal
import struct
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SIZES = {
    "s": dict(hidden=256, layers=3, heads=4, kv_heads=2, ffn=768, lr=3e-3),
    "l": dict(hidden=512, layers=4, heads=8, kv_heads=2, ffn=1024, lr=2e-3),
}
HEAD_DIM = 64
ROPE_THETA = 10000.0
EPSILON = 1e-6
CONTEXT = 1024
BATCH_TOKENS = 4096
WARMUP = 150
DECAY = 0.5  # the last half of the steps
PROMPT_LOSS = 0.1  # share of the prompt's positions that are learned too


IGNORED = -100  # the target of a position that only fills up a shape


def up(n, step):
    """n rounded up to a multiple of step."""
    return -(-int(n) // step) * step


# The element-wise parts below have gradients of their own: with PyTorch's they
# cost as much as the matrix products on a CPU.
class NormFunction(torch.autograd.Function):
    """x [rows, width], FP32 -> x / rms(x) * weight, BF16."""

    @staticmethod
    def forward(ctx, x, weight):
        width = x.shape[-1]
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square()
        scale = torch.rsqrt(square / width + EPSILON)
        normal = (x * scale).to(torch.bfloat16)
        ctx.save_for_backward(normal, scale, weight)
        return normal * weight.to(torch.bfloat16)

    @staticmethod
    def backward(ctx, grad):
        normal, scale, weight = ctx.saved_tensors
        by_weight = (grad * normal).sum(0, dtype=torch.float32)
        grad = grad * weight.to(torch.bfloat16)
        along = (grad * normal).mean(-1, keepdim=True, dtype=torch.float32)
        return (grad - normal * along) * scale, by_weight


class RotateFunction(torch.autograd.Function):
    """Rotary position over [batch, heads, tokens, head_dim], halves paired."""

    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.save_for_backward(cos, sin)
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    @staticmethod
    def backward(ctx, grad):  # the same by the opposite angle
        cos, sin = ctx.saved_tensors
        a, b = grad.chunk(2, -1)
        return torch.cat([a * cos + b * sin, b * cos - a * sin], -1), None, None


class GateFunction(torch.autograd.Function):
    """silu(gate) * up."""

    @staticmethod
    def forward(ctx, gate, up):
        share = torch.sigmoid(gate)
        ctx.save_for_backward(gate, up, share)
        return gate * share * up

    @staticmethod
    def backward(ctx, grad):
        gate, up, share = ctx.saved_tensors
        silu = gate * share
        slope = share + silu * (1 - share)
        return grad * up * slope, grad * silu


class LossFunction(torch.autograd.Function):
    """Mean cross entropy of logits [rows, vocabulary] at the rows whose target
    is not IGNORED."""

    @staticmethod
    def forward(ctx, logits, targets):
        shares = torch.softmax(logits.float(), -1)
        counted = (targets != IGNORED).float().unsqueeze(1)
        counted /= counted.sum()
        at = targets.clamp(min=0).unsqueeze(1)
        ctx.save_for_backward(shares, counted, at)
        return -(shares.gather(1, at).log() * counted).sum()

    @staticmethod
    def backward(ctx, grad):
        shares, counted, at = ctx.saved_tensors
        off = shares * (counted * grad)
        off.scatter_add_(1, at, -counted * grad)
        return off.to(torch.bfloat16), None


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return NormFunction.apply(x, self.weight)


class Attention(nn.Module):
    def __init__(self, hidden, heads, kv_heads):
        super().__init__()
        self.heads, self.kv_heads = heads, kv_heads
        self.q_proj = nn.Linear(hidden, heads * HEAD_DIM)
        self.k_proj = nn.Linear(hidden, kv_heads * HEAD_DIM)
        self.v_proj = nn.Linear(hidden, kv_heads * HEAD_DIM)
        self.o_proj = nn.Linear(heads * HEAD_DIM, hidden, bias=False)

    def forward(self, x, shape, cos, sin, mask):
        batch, tokens = shape

        def split(y, heads):
            y = y[:batch * tokens].view(batch, tokens, heads, HEAD_DIM)
            return y.transpose(1, 2)
        q = RotateFunction.apply(split(self.q_proj(x), self.heads), cos, sin)
        k = RotateFunction.apply(split(self.k_proj(x), self.kv_heads), cos, sin)
        v = split(self.v_proj(x), self.kv_heads)
        group = self.heads // self.kv_heads
        # Queries that share keys stand one after the other: [.., group * T, D].
        q = q.reshape(batch, self.kv_heads, group * tokens, HEAD_DIM)
        scores = q @ k.transpose(-1, -2) * HEAD_DIM**-0.5
        scores = scores.view(batch, self.kv_heads, group, tokens, tokens)
        weights = torch.softmax(scores.float() + mask, -1).to(v.dtype)
        out = weights.view(batch, self.kv_heads, group * tokens, tokens) @ v
        out = out.view(batch, self.heads, tokens, HEAD_DIM).transpose(1, 2)
        out = out.reshape(batch * tokens, -1)
        return self.o_proj(F.pad(out, (0, 0, 0, len(x) - len(out))))


class Mlp(nn.Module):
    def __init__(self, hidden, ffn):
        super().__init__()
        self.gate_proj = nn.Linear(hidden, ffn, bias=False)
        self.up_proj = nn.Linear(hidden, ffn, bias=False)
        self.down_proj = nn.Linear(ffn, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(
            GateFunction.apply(self.gate_proj(x), self.up_proj(x)))


class Layer(nn.Module):
    def __init__(self, hidden, heads, kv_heads, ffn):
        super().__init__()
        self.input_layernorm = RmsNorm(hidden)
        self.self_attn = Attention(hidden, heads, kv_heads)
        self.post_attention_layernorm = RmsNorm(hidden)
        self.mlp = Mlp(hidden, ffn)

    def forward(self, x, shape, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), shape, cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    """Qwen2's architecture, with tied embeddings; names as Hugging Face's."""

    def __init__(self, vocabulary, hidden, layers, heads, kv_heads, ffn):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, hidden)
        self.layers = nn.ModuleList(
            Layer(hidden, heads, kv_heads, ffn) for _ in range(layers))
        self.norm = RmsNorm(hidden)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                deep = name.endswith(("o_proj.weight", "down_proj.weight"))
                std = hidden**-0.5
                nn.init.normal_(p, std=std / (2 * layers)**0.5 if deep
                                else std)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, tokens, picked):
        """Logits [picked positions, vocabulary] of tokens [batch, tokens]."""
        length = tokens.shape[1]
        steps = torch.arange(length, device=tokens.device).float()
        rates = ROPE_THETA**(-torch.arange(
            0, HEAD_DIM, 2, device=tokens.device).float() / HEAD_DIM)
        angles = torch.outer(steps, rates)
        cos, sin = (t.to(torch.bfloat16) for t in (angles.cos(), angles.sin()))
        mask = torch.full((length, length), -1e9,
                          device=tokens.device).triu(1)
        # Always as many rows as a batch may have: oneDNN compiles a kernel for
        # every shape it meets, and the layers then meet one.
        flat = tokens.reshape(-1)
        x = self.embed_tokens(F.pad(flat, (0, BATCH_TOKENS - len(flat))))
        for layer in self.layers:
            x = layer(x, tokens.shape, cos, sin, mask)
        x = self.norm(x[picked])
        return F.linear(x, self.embed_tokens.weight)


class Batches:
    """Batches of examples of like length, in one seeded order; batch i is the
    same however often training stopped."""

    def __init__(self, path, seed):
        data = np.load(path)
        self.tokens, self.mine = data["tokens"], data["mine"]
        self.ends = data["ends"]
        self.begins = np.concatenate([[0], self.ends[:-1]])
        self.rng = np.random.default_rng(seed)
        self.plan = self.one_pass()

    def one_pass(self, pool=16384):
        """Pools in stream order, sorted by length inside, batches shuffled."""
        lengths = self.ends - self.begins
        batches = []
        for at in range(0, len(lengths), pool):
            order = at + np.argsort(lengths[at:at + pool], kind="stable")
            part, longest, here = [], 0, []
            for i in order:
                longest = max(longest, up(lengths[i], 8))
                if longest * (len(part) + 1) > BATCH_TOKENS and part:
                    here.append(part)
                    part, longest = [], up(lengths[i], 8)
                part.append(i)
            here.append(part)
            self.rng.shuffle(here)
            batches += here
        return batches

    def get(self, step):
        rows = self.plan[step % len(self.plan)]
        longest = up(max(self.ends[i] - self.begins[i] for i in rows), 8)
        shape = (max(BATCH_TOKENS // longest, 1), longest)
        tokens = np.zeros(shape, np.int64)
        mine = np.zeros(shape, np.uint8)
        known = np.zeros(shape, bool)
        for r, i in enumerate(rows):
            n = self.ends[i] - self.begins[i]
            tokens[r, :n] = self.tokens[self.begins[i]:self.ends[i]]
            mine[r, :n] = self.mine[self.begins[i]:self.ends[i]]
            known[r, :n] = True
        also = np.random.default_rng(step).random(mine.shape) < PROMPT_LOSS
        # Position t learns token t + 1.
        learn = np.zeros(mine.shape, bool)
        learn[:, :-1] = known[:, 1:] & ((mine[:, 1:] == 1) | also[:, 1:])
        picked = np.flatnonzero(learn)
        targets = np.roll(tokens, -1, 1).reshape(-1)[picked]
        extra = up(len(picked), 64) - len(picked)
        picked = np.pad(picked, (0, extra))
        targets = np.pad(targets, (0, extra), constant_values=IGNORED)
        return (torch.from_numpy(tokens), torch.from_numpy(picked),
                torch.from_numpy(targets))


def rate(step, steps):
    """Share of the peak learning rate: warm-up, plateau, a line to zero."""
    down = (steps - step) / (steps * DECAY)
    return min(1, (step + 1) / WARMUP, max(down, 0))


def bf16_bytes(tensor):
    return tensor.detach().cpu().to(torch.bfloat16).view(
        torch.int16).numpy().tobytes()


def save_checkpoint(model, size, vocabulary, data, out):
    """Hugging Face's layout; safetensors is a length, a JSON header, bytes."""
    header, blobs, at = {}, [], 0
    for name, p in model.named_parameters():
        blob = bf16_bytes(p)
        header["model." + name] = {"dtype": "BF16", "shape": list(p.shape),
                                   "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = os.path.join(out, "model.safetensors")
    with open(path + ".new", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    os.replace(path + ".new", path)
    config = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
              "hidden_size": size["hidden"], "intermediate_size": size["ffn"],
              "num_hidden_layers": size["layers"],
              "num_attention_heads": size["heads"],
              "num_key_value_heads": size["kv_heads"],
              "rope_theta": ROPE_THETA, "rms_norm_eps": EPSILON,
              "max_position_embeddings": CONTEXT, "tie_word_embeddings": True,
              "vocab_size": vocabulary}
    with open(os.path.join(out, "config.json"), "w") as file:
        json.dump(config, file, indent=1)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(data, name), out)


def orthogonal(x):
    """The matrix with the singular vectors of x and singular values near one,
    by Newton-Schulz steps (coefficients of Muon's author)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = x.shape[0] <= x.shape[1]
    x = (x if wide else x.t()).to(torch.bfloat16)
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.t()
        square = torch.addmm(square, square, square, beta=b, alpha=c)
        x = torch.addmm(x, square, x, beta=a)
    return (x if wide else x.t()).float()


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are made orthogonal (Jordan et al., 2024,
    https://kellerjordan.github.io/posts/muon), for the layers' matrices.
    arXiv 2502.16982 needed half of AdamW's computation with it; from there is
    the factor (0.2 * sqrt(longer side)) that makes steps as wide as AdamW's,
    so one learning rate serves both."""

    def __init__(self, matrices, lr, weight_decay, momentum=0.95):
        super().__init__(matrices, dict(lr=lr, weight_decay=weight_decay,
                                        momentum=momentum))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(mean, group["momentum"])
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(orthogonal(ahead),
                       alpha=-0.2 * max(p.shape)**0.5 * group["lr"])


def optimizers_of(model, lr):
    matrices = [p for p in model.layers.parameters() if p.dim() == 2]
    others = [p for n, p in model.named_parameters()
              if p.dim() != 2 or not n.startswith("layers")]
    return [Muon(matrices, lr, weight_decay=0.05),
            torch.optim.AdamW(others, lr, betas=(0.9, 0.95), weight_decay=0)]


class Run:
    def __init__(self, flags):
        self.flags, self.size = flags, dict(SIZES[flags.size])
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.peak = self.size.pop("lr")
        with open(os.path.join(flags.data, "tokenizer.json")) as file:
            parsed = json.load(file)
        self.vocabulary = (len(parsed["model"]["vocab"]) +
                           len(parsed["added_tokens"]))
        torch.manual_seed(flags.seed)
        self.model = Model(self.vocabulary, **self.size).to(self.device)
        self.optimizers = optimizers_of(self.model, self.peak)
        self.step, self.seconds, self.cpu_seconds, self.seen = 0, 0.0, 0.0, 0
        self.state = os.path.join(flags.out, "state.pt")
        if flags.resume:
            saved = torch.load(self.state, map_location=self.device)
            self.model.load_state_dict(saved["model"])
            for one, state in zip(self.optimizers, saved["optimizers"]):
                one.load_state_dict(state)
            self.step, self.seen = saved["step"], saved["seen"]
            self.seconds = saved["seconds"]
            self.cpu_seconds = saved["cpu_seconds"]

    def save(self):
        os.makedirs(self.flags.out, exist_ok=True)
        torch.save({"model": self.model.state_dict(),
                    "optimizers": [o.state_dict() for o in self.optimizers],
                    "step": self.step, "seen": self.seen,
                    "seconds": self.seconds,
                    "cpu_seconds": self.cpu_seconds}, self.state + ".new")
        os.replace(self.state + ".new", self.state)
        save_checkpoint(self.model, self.size, self.vocabulary,
                        self.flags.data, self.flags.out)

    def one_step(self, batch):
        tokens, picked, targets = (x.to(self.device) for x in batch)
        for one in self.optimizers:
            for group in one.param_groups:
                group["lr"] = self.peak * rate(self.step, self.flags.steps)
        with torch.autocast(self.device, dtype=torch.bfloat16):
            logits = self.model(tokens, picked)
        loss = LossFunction.apply(logits, targets)
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for one in self.optimizers:
            one.step()
        self.step += 1
        self.seen += tokens.numel()
        return loss.item()

    def train(self):
        batches = Batches(os.path.join(self.flags.data, "stream.npz"),
                          self.flags.seed)
        print("%d parameters, %d batches a pass, %s" % (
            sum(p.numel() for p in self.model.parameters()),
            len(batches.plan), self.device), flush=True)
        stop = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
        signal.signal(signal.SIGINT, lambda *_: stop.append(True))
        begin, before = time.time(), self.seconds
        cpu_before = self.cpu_seconds
        mean, saved = None, time.time()
        while self.step < self.flags.steps and not stop:
            loss = self.one_step(batches.get(self.step))
            mean = loss if mean is None else 0.98 * mean + 0.02 * loss
            self.seconds = before + time.time() - begin
            used = resource.getrusage(resource.RUSAGE_SELF)
            self.cpu_seconds = cpu_before + used.ru_utime + used.ru_stime
            if self.step % 50 == 0:
                left = (self.flags.steps - self.step) * (
                    time.time() - begin) / max(self.seconds - before, 1e-9)
                per_step = self.seconds / self.step
                print("step %d of %d, loss %.4f, %d tokens, %.0f s, "
                      "%.0f s of CPU, %.0f s left" % (
                          self.step, self.flags.steps, mean, self.seen,
                          self.seconds, self.cpu_seconds, left * per_step),
                      flush=True)
            if time.time() - saved > 240:
                self.save()
                saved = time.time()
        self.save()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--size", choices=sorted(SIZES), required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    flags = parser.parse_args()
    torch.set_flush_denormal(True)
    if flags.threads:
        torch.set_num_threads(flags.threads)
    Run(flags).train()


if __name__ == "__main__":
    main()
