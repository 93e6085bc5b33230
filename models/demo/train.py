"""Owns the training: documents from the grammar with a weight for each token, Muon for the matrices, AdamW for the rest, checkpoints.

It runs on one core by steps, or on a GPU by the clock with processes that write the documents (feed.py).
"""
import argparse
import os
import random
import re
import time

import torch
import torch.nn.functional as F

import bpe
import feed
import grammar
from model import Config, Model

SPAN = re.compile(r"<\|im_start\|>assistant\n(.*?<\|im_end\|>)", re.S)
EMPTY = "<think>\n\n</think>\n\n"
HEAD = "<|im_start|>assistant\n"

ROW = 1024   # tokens of a packed row on a GPU, and the longest document
FIRST = 0.03  # the part of the training in which the first mix is drawn; it makes the model discover copying


def document(rng, template, tok, mix, long):
    """-> (ids, weights): the weight of predicting each token, zero outside the answers."""
    if rng.random() < (0.03 if long else 0.2):
        ids = tok.encode(grammar.raw(rng))
        return ids, [0.0] + [0.4] * (len(ids) - 1)
    messages, tools, thinking = grammar.conversation(rng, mix, long)
    text = bpe.render(template, messages, tools)
    if not thinking:  # what the template writes before a reply without thinking, then the reply
        before = bpe.render(template, messages[:-1], tools)
        text = bpe.render(template, messages[:-1], tools, True, False) + text[len(before) + len(HEAD):]
    replies = iter([m for m in messages if m["role"] == "assistant"])
    ids, weights, at = [], [], 0
    for m in SPAN.finditer(text):
        begin = m.start(1) + (len(EMPTY) if text.startswith(EMPTY, m.start(1)) else 0)
        head, answer = tok.encode(text[at:begin]), tok.encode(text[begin:m.end(1)])
        ids += head + answer
        each = [min(1.0, (20 / len(answer)) ** 0.5)] * len(answer)  # long answers would drown short ones
        each[-1] = 1.0
        for i, t in enumerate(answer):  # the sum is what an addition is about
            if tok.tokens[t] == b" =":
                each[i + 2:i + 4] = [3.0] * len(each[i + 2:i + 4])
        reply = next(replies)
        if reply.get("mute"):
            each = [0.0] * len(each)
        elif reply.get("cut"):
            end = answer.index(tok.id[b"</think>"]) + 1
            each[:end] = [0.0] * end
        weights += [0.0] * len(head) + each
        at = m.end(1)
    return ids, weights


def batches(step, early, args, make):
    """The documents of one step, sorted by length and cut into chunks of nearly equal rows."""
    rng, docs, total = random.Random(args.seed * 1000003 + step), [], 0
    while total < args.tokens:
        doc = make(rng, early)
        if len(doc[0]) <= ROW:
            docs.append(doc)
            total += len(doc[0])
    docs.sort(key=lambda d: len(d[0]))
    chunks, chunk = [], []
    for d in docs:
        chunk.append(d)
        if len(chunk) * len(d[0]) >= 1800:
            chunks.append(chunk)
            chunk = []
    if chunk:
        chunks.append(chunk)
    out, weight = [], sum(sum(w) for _, w in docs)
    for chunk in chunks:
        width = -(-len(chunk[-1][0]) // 8) * 8
        ids = torch.zeros(len(chunk), width, dtype=torch.long)
        w = torch.zeros(len(chunk), width)
        for i, (a, b) in enumerate(chunk):
            ids[i, :len(a)] = torch.tensor(a)
            w[i, :len(b)] = torch.tensor(b)
        target, w = ids[:, 1:].reshape(-1), w[:, 1:].reshape(-1)
        pick = w.nonzero().squeeze(1)
        out.append((ids[:, :-1], pick, target[pick], w[pick] / weight))
    return out, total


def orthogonal(x, steps=5):
    """Newton-Schulz: nearly the closest matrices with orthonormal rows (Muon, K. Jordan 2024). A batch of matrices of one shape."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(steps):
        s = x @ x.transpose(1, 2)
        x = a * x + (b * s + c * s @ s) @ x
    return x.transpose(1, 2) if tall else x


class Muon:
    def __init__(self, parts):
        self.parts = [(p, sizes, torch.zeros_like(p)) for p, sizes in parts]

    @torch.no_grad()
    def step(self, rate, momentum, decay):
        by_shape = {}
        for p, sizes, m in self.parts:
            m.mul_(momentum).add_(p.grad)
            g = p.grad.add(m, alpha=momentum)
            for part, w in zip(g.split(sizes), p.split(sizes)):  # fused matrices are orthogonalised apart
                by_shape.setdefault(part.shape, []).append((part, w))
        for (rows, columns), pairs in by_shape.items():
            for (_, w), o in zip(pairs, orthogonal(torch.stack([part for part, _ in pairs]))):
                w.mul_(1 - rate * decay).add_(o, alpha=-rate * max(1, rows / columns) ** 0.5)


class Training:
    """The model with its optimizers."""

    def __init__(self, vocab, device, adam):
        self.model = Model(Config(vocab=vocab)).to(device)
        c, parts = self.model.c, []
        for b in self.model.blocks:
            parts += [(b.qkv, [c.heads * c.head_dim] + [c.kv_heads * c.head_dim] * 2), (b.out, [c.dim]), (b.up, [c.ffn] * 2), (b.down, [c.dim])]
        matrices = {id(p) for p, _ in parts}
        self.muon, self.rest = Muon(parts), [p for p in self.model.parameters() if id(p) not in matrices]
        self.adam = torch.optim.AdamW(self.rest, lr=adam, betas=(0.9, 0.95), weight_decay=0.0)
        self.step = self.seen = 0

    def update(self, args, factor):
        torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
        self.muon.step(args.rate * factor, min(0.95, 0.85 + self.step / 3000), 0.1)
        self.adam.param_groups[0]["lr"] = args.adam * factor
        self.adam.step()
        self.model.zero_grad(set_to_none=True)
        self.step += 1

    def save(self, path):
        torch.save({"model": self.model.state_dict(), "adam": self.adam.state_dict(), "muon": [m for *_, m in self.muon.parts], "step": self.step, "seen": self.seen, "config": self.model.c.dict()}, path + ".new")
        os.replace(path + ".new", path)

    def load(self, path):
        ck = torch.load(path)
        self.model.load_state_dict(ck["model"])
        self.adam.load_state_dict(ck["adam"])
        for (_, _, m), saved in zip(self.muon.parts, ck["muon"]):
            m.copy_(saved)
        self.step, self.seen = ck["step"], ck["seen"]


def rate_at(step, done, more):
    """The part of the learning rate: it warms up for 60 steps, stays, and falls to zero over the last 60 % of the training. A training that
    goes on from finished weights starts at half the rate and falls at once."""
    return min(1.0, (step + 1) / 60) * (1 - done) / 2 if more else min(1.0, (step + 1) / 60, (1 - done) / 0.6)


def on_one_core(t, args, make, last):
    """By steps; the data of a step depends on the seed and the step's number only, so a resumed run sees what an unbroken one sees."""
    mean, began, fresh = 0.0, time.time(), 0
    while t.step < args.steps:
        done = t.step / args.steps
        chunks, total = batches(t.step, done < FIRST and not args.start, args, make)
        loss_sum = 0.0
        for ids, pick, target, w in chunks:
            states = t.model.hidden(ids)
            loss = (F.cross_entropy(t.model.logits(states[pick]), target, reduction="none") * w).sum()
            loss.backward()
            loss_sum += loss.item()
        factor = rate_at(t.step, done, args.start)
        t.update(args, factor)
        t.seen, fresh = t.seen + total, fresh + total
        mean = loss_sum if mean == 0 else 0.95 * mean + 0.05 * loss_sum
        if t.step % 20 == 0:
            print(f"step {t.step} loss {mean:.4f} tokens {t.seen / 1e6:.2f}M {fresh / (time.time() - began):.0f}/s rate {factor:.3f}", flush=True)
        if t.step % args.save == 0:
            t.save(last)


def on_a_gpu(t, args, data, device):
    """By the clock: `seconds` from the first step to the last."""
    attention = feed.best_attention(device, t.model.c.heads, t.model.c.kv_heads, t.model.c.head_dim)
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    data.on(device, args.room)
    early = not args.start
    if not early:
        data.next_mix()
    data.batch(args.rows)
    data.used = data.begin
    began, shown = time.time(), 0.0
    while (done := (time.time() - began) / args.seconds) < 1:
        if early and done >= FIRST:
            data.next_mix()
            early = False
        ids, w, place = data.batch(args.rows)
        states = t.model.packed(ids, place, attention(place, ROW), kind)
        pick = w.nonzero().squeeze(1)
        each = F.cross_entropy(F.linear(states[pick - 1], t.model.embed.to(states.dtype)).float(), ids[pick], reduction="none")
        loss = (each * w[pick]).sum() / w.sum()
        loss.backward()
        factor = rate_at(t.step, done, args.start)
        t.update(args, factor)
        t.seen += len(ids)
        if time.time() - shown > 5:
            shown = time.time()
            print(f"{shown - began:.0f} s step {t.step} loss {loss.item():.4f} tokens {t.seen / 1e6:.1f}M, {data.written / 1e6:.1f}M different, rate {factor:.3f}", flush=True)


def main():
    ap = argparse.ArgumentParser(description="Train the demo model: on one core by steps, on a GPU by the clock.")
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--dir", required=True, help="where checkpoints go; on one core it resumes from the newest")
    ap.add_argument("--start", help="weights to go on from, with fresh optimizers and half the rate")
    ap.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    ap.add_argument("--seconds", type=float, default=0, help="train for so long, on packed rows; for a GPU")
    ap.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1), help="processes that write documents, for a GPU")
    ap.add_argument("--rows", type=int, default=64, help="packed rows of a step, for a GPU")
    ap.add_argument("--room", type=int, default=600000, help="packed rows that are kept, for a GPU")
    ap.add_argument("--steps", type=int, default=4000)
    ap.add_argument("--tokens", type=int, default=6000, help="tokens a step, on one core")
    ap.add_argument("--rate", type=float, default=0.02)
    ap.add_argument("--adam", type=float, default=0.003)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--save", type=int, default=100)
    args = ap.parse_args()
    tok, template = bpe.Tokenizer.load(args.tokenizer), bpe.environment()
    make = lambda rng, early: document(rng, template, tok, grammar.EARLY if early else grammar.MIX, not early)
    data = feed.Feed(make, args.seed, args.workers, ROW) if args.seconds else None
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    t = Training(len(tok.tokens), args.device, args.adam)
    if args.start:
        t.model.load_state_dict(torch.load(args.start, map_location=args.device)["model"])
    last = os.path.join(args.dir, "last.pt")
    os.makedirs(args.dir, exist_ok=True)
    print(sum(p.numel() for p in t.model.parameters()), "parameters on", args.device, flush=True)
    if args.seconds:
        try:
            on_a_gpu(t, args, data, args.device)
        finally:
            data.stop()
    else:
        if os.path.exists(last):
            t.load(last)
        on_one_core(t, args, make, last)
    t.save(last)


if __name__ == "__main__":
    main()
