"""Owns the training loop: documents from the grammar, Muon for the matrices, AdamW for the rest, checkpoints.

The data of a step depends on the seed and the step's number only, so a run that is stopped and resumed sees what an
unbroken run sees. The learning rate warms up, stays, and falls linearly to zero over the last --decay steps.
"""
import argparse
import os
import random
import re
import time

import torch
import torch.nn.functional as F

import bpe
import grammar
from model import Config, Model

SPAN = re.compile(r"<\|im_start\|>assistant\n(.*?<\|im_end\|>)", re.S)
EMPTY = "<think>\n\n</think>\n\n"

# From which step which mix of skills is drawn; the first one makes the model discover copying.
EARLY = {"repeat": 60, "json": 12, "greet": 10, "count": 6, "story": 6, "emoji": 3, "language": 3}
PHASES = [(0, EARLY, False), (300, grammar.MIX, True), (700, grammar.LATER, True), (1150, grammar.LAST, True), (1860, grammar.POLISH, True)]


def document(rng, template, tok, mix, long):
    """-> (ids, weights): the weight of predicting each token, zero outside the answers."""
    if rng.random() < (0.04 if long else 0.2):
        ids = tok.encode(grammar.raw(rng))
        return ids, [0.0] + [0.4] * (len(ids) - 1)
    messages, tools, thinking = grammar.conversation(rng, mix, long)
    if thinking:
        text = bpe.render(template, messages, tools)
    else:
        text = bpe.render(template, messages[:-1], tools, True, False) + messages[-1]["content"] + "<|im_end|>\n"
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
        weights += [0.0] * len(head) + each
        at = m.end(1)
    return ids, weights


def batches(step, args, template, tok):
    """The documents of one step, sorted by length and cut into chunks of nearly equal rows."""
    mix, long = [p[1:] for p in PHASES if p[0] <= step][-1]
    rng, docs, total = random.Random(args.seed * 1000003 + step), [], 0
    while total < args.tokens:
        doc = document(rng, template, tok, mix, long)
        if len(doc[0]) <= 1000:
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


def orthogonal(g, steps=5):
    """Newton-Schulz: nearly the closest matrix with orthonormal rows (Muon, K. Jordan 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.t() if g.shape[0] > g.shape[1] else g
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        s = x @ x.t()
        x = a * x + (b * s + c * s @ s) @ x
    return x.t() if g.shape[0] > g.shape[1] else x


class Muon:
    def __init__(self, parts):
        self.parts = [(p, sizes, torch.zeros_like(p)) for p, sizes in parts]

    @torch.no_grad()
    def step(self, rate, momentum, decay):
        for p, sizes, m in self.parts:
            m.mul_(momentum).add_(p.grad)
            g = p.grad.add(m, alpha=momentum)
            for part, w in zip(g.split(sizes), p.split(sizes)):  # fused matrices are orthogonalised apart
                w.mul_(1 - rate * decay).add_(orthogonal(part), alpha=-rate * max(1, part.shape[0] / part.shape[1]) ** 0.5)


def main():
    ap = argparse.ArgumentParser(description="Train the demo model.")
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--dir", required=True, help="where checkpoints go; resumes from the newest")
    ap.add_argument("--steps", type=int, default=100000)
    ap.add_argument("--decay", type=int, default=0, help="the last so many steps anneal to zero")
    ap.add_argument("--tokens", type=int, default=6000, help="tokens a step")
    ap.add_argument("--rate", type=float, default=0.02)
    ap.add_argument("--adam", type=float, default=0.003)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--save", type=int, default=100)
    args = ap.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    tok, template = bpe.Tokenizer.load(args.tokenizer), bpe.environment()
    c = Config(vocab=len(tok.tokens))
    model = Model(c)
    parts = []
    for b in model.blocks:
        parts += [(b.qkv, [c.heads * c.head_dim] + [c.kv_heads * c.head_dim] * 2), (b.out, [c.dim]), (b.up, [c.ffn] * 2), (b.down, [c.dim])]
    matrices = {id(p) for p, _ in parts}
    muon = Muon(parts)
    adam = torch.optim.AdamW([p for p in model.parameters() if id(p) not in matrices], lr=args.adam, betas=(0.9, 0.95), weight_decay=0.0)
    step = seen = 0
    last = os.path.join(args.dir, "last.pt")
    os.makedirs(args.dir, exist_ok=True)
    if os.path.exists(last):
        ck = torch.load(last)
        model.load_state_dict(ck["model"])
        adam.load_state_dict(ck["adam"])
        for (_, _, m), saved in zip(muon.parts, ck["muon"]):
            m.copy_(saved)
        step, seen = ck["step"], ck["seen"]

    def save():
        torch.save({"model": model.state_dict(), "adam": adam.state_dict(), "muon": [m for *_, m in muon.parts], "step": step, "seen": seen, "config": c.dict()}, last + ".new")
        os.replace(last + ".new", last)

    print(sum(p.numel() for p in model.parameters()), "parameters; from step", step, flush=True)
    mean, began, fresh = 0.0, time.time(), 0
    while step < args.steps:
        chunks, total = batches(step, args, template, tok)
        loss_sum = 0.0
        for ids, pick, target, w in chunks:
            states = model.hidden(ids)
            loss = (F.cross_entropy(model.logits(states[pick]), target, reduction="none") * w).sum()
            loss.backward()
            loss_sum += loss.item()
        factor = min(1.0, (step + 1) / 60, (args.steps - step) / args.decay if args.decay else 1.0)
        torch.nn.utils.clip_grad_norm_(adam.param_groups[0]["params"], 1.0)
        muon.step(args.rate * factor, min(0.95, 0.85 + step / 3000), 0.1)
        adam.param_groups[0]["lr"] = args.adam * factor
        adam.step()
        model.zero_grad(set_to_none=True)
        step, seen, fresh = step + 1, seen + total, fresh + total
        mean = loss_sum if mean == 0 else 0.95 * mean + 0.05 * loss_sum
        if step % 20 == 0:
            print(f"step {step} loss {mean:.4f} tokens {seen / 1e6:.2f}M {fresh / (time.time() - began):.0f}/s rate {factor:.3f}", flush=True)
        if step % args.save == 0:
            save()
    save()


if __name__ == "__main__":
    main()
