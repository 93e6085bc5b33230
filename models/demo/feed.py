"""Owns the data of a training on a GPU: processes that write documents and pack them into rows, and the store of rows on the device.

Rows are drawn fresh as long as there are fresh ones, and again at random where the GPU is faster than the processes.
"""
import multiprocessing
import os
import queue
import random

import numpy as np
import torch
import torch.nn.functional as F


def pack(docs, width):
    """Documents into rows of `width`, the longest first, each into the fullest row that has room. -> ids, weights, places."""
    rows = []
    for doc in sorted(docs, key=lambda d: -len(d[0])):
        fits = [r for r in rows if r[0] + len(doc[0]) <= width]
        if fits:
            row = max(fits, key=lambda r: r[0])
        else:
            rows.append(row := [0, []])
        row[0] += len(doc[0])
        row[1].append(doc)
    ids, weights, places = (np.zeros((len(rows), width), t) for t in (np.int16, np.float16, np.int16))
    for i, (used, own) in enumerate(rows):
        at = 0
        for a, w in own:
            n = len(a)
            ids[i, at:at + n], weights[i, at:at + n], places[i, at:at + n] = a, w, np.arange(n)
            at += n
        places[i, at:] = np.arange(width - at)  # the rest is a document that counts for nothing
    return ids, weights, places


def write_documents(make, seed, early, out, width, tokens):
    """One process: documents for ever, in packs of about `tokens`."""
    os.nice(10)
    rng = random.Random(seed)
    while True:
        docs, total, first = [], 0, bool(early.value)
        while total < tokens:
            doc = make(rng, first)
            if len(doc[0]) <= width:
                docs.append(doc)
                total += len(doc[0])
        if first == bool(early.value):
            out.put(pack(docs, width))


class Feed:
    """Start it before the first use of the GPU, since the processes are forks."""

    def __init__(self, make, seed, workers, width, pack_tokens=60000):
        self.early, self.out, self.width = multiprocessing.Value("b", 1), multiprocessing.Queue(64), width
        self.workers = [multiprocessing.Process(target=write_documents, args=(make, seed * 1009 + i, self.early, self.out, width, pack_tokens), daemon=True) for i in range(workers)]
        for w in self.workers:
            w.start()

    def on(self, device, room):
        self.store = [torch.zeros(room, self.width, dtype=t, device=device) for t in (torch.int16, torch.float16, torch.int16)]
        self.filled = self.used = self.begin = self.written = 0
        self.room = room

    def take(self, wait=False):
        """Move what the processes have written into the store."""
        while True:
            try:
                arrays = self.out.get(timeout=60) if wait else self.out.get_nowait()
            except queue.Empty:
                if wait:
                    raise
                return
            wait, n = False, len(arrays[0])
            if self.filled + n > self.room:  # full: begin anew, over the oldest
                self.filled = self.used = self.begin
            for to, a in zip(self.store, arrays):
                to[self.filled:self.filled + n] = torch.from_numpy(a)
            self.filled += n
            self.written += int((arrays[2] > 0).sum())

    def next_mix(self):
        """Leave the first mix behind: its rows are not drawn again."""
        self.early.value = 0
        while True:
            try:
                self.out.get_nowait()
            except queue.Empty:
                break
        self.begin = self.used = self.filled

    def batch(self, rows):
        """-> (ids [N], weights [N], places [N]) on the device."""
        self.take(wait=self.filled - self.begin < rows)
        while self.filled - self.begin < rows:
            self.take(wait=True)
        fresh = min(rows, self.filled - self.used)
        index = list(range(self.used, self.used + fresh)) + [random.randrange(self.begin, self.filled) for _ in range(rows - fresh)]
        self.used += fresh
        index = torch.tensor(index, device=self.store[0].device)
        ids, weights, places = (s[index].reshape(-1) for s in self.store)
        return ids.long(), weights.float(), places.long()

    def stop(self):
        for w in self.workers:
            w.kill()


# ---- attention that keeps packed documents apart ---------------------------------------------------------------------

def masked(place, width):
    """With a mask over each row: everywhere, and slowest."""
    place = place.view(-1, width)
    doc = (place == 0).cumsum(1)
    mask = ((doc[:, :, None] == doc[:, None, :]) & torch.ones(width, width, dtype=torch.bool, device=place.device).tril())[:, None]

    def attend(q, k, v):
        rows = lambda t: t.reshape(-1, width, *t.shape[1:]).transpose(1, 2)
        group = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        return F.scaled_dot_product_attention(rows(q), rows(k), rows(v), attn_mask=mask).transpose(1, 2).reshape(q.shape)
    return attend


def flash(place, width):
    """FlashAttention over documents of different lengths."""
    edges = F.pad((place == 0).nonzero().squeeze(1), (0, 1), value=len(place)).int()
    return lambda q, k, v: torch.ops.aten._flash_attention_forward(q.contiguous(), k.contiguous(), v.contiguous(), edges, edges, width, width, 0.0, True, False)[0]


def flash_repeated(place, width):
    """The same with as many heads for keys and values as for queries."""
    inner = flash(place, width)
    return lambda q, k, v: inner(q, k.repeat_interleave(q.shape[1] // k.shape[1], 1), v.repeat_interleave(q.shape[1] // v.shape[1], 1))


def varlen(place, width):
    """torch's own name for it, in versions that have one."""
    from torch.nn.attention.varlen import varlen_attn
    edges = F.pad((place == 0).nonzero().squeeze(1), (0, 1), value=len(place)).int()

    def attend(q, k, v):
        k, v = k.repeat_interleave(q.shape[1] // k.shape[1], 1), v.repeat_interleave(q.shape[1] // v.shape[1], 1)
        return varlen_attn(q.contiguous(), k, v, edges, edges, width, width, window_size=(-1, 0))
    return attend


def best_attention(device, heads, kv_heads, size, width=128):
    """The first of them that this machine has and that agrees with the mask, forwards and backwards."""
    g = torch.Generator().manual_seed(1)
    place = torch.cat([torch.arange(n) for n in (50, 70, 8, 128, 1, 127)]).to(device)
    q, k, v, out = (torch.randn(len(place), h, size, generator=g).to(device, torch.bfloat16).requires_grad_() for h in (heads, kv_heads, kv_heads, heads))

    def tried(way):
        y = way(place, width)(q, k, v)
        return [y, *torch.autograd.grad(y, (q, k, v), out)]
    wanted = tried(masked)
    for way in (flash, flash_repeated, varlen):
        try:
            error = max((a - b).float().abs().max().item() for a, b in zip(tried(way), wanted))
            print(way.__name__, "differs from the mask by", error, flush=True)
            if error < 0.15:
                return way
        except Exception as e:
            print(way.__name__, "cannot be used:", str(e).split("\n")[0], flush=True)
    return masked
