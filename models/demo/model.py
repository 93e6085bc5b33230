"""Owns the network: a Qwen2 decoder in plain torch, laid out so that every heavy step is one large matmul.

The arithmetic is the one llama.cpp performs for the architecture "qwen2": RMSNorm, biased Q/K/V, rotate-half RoPE,
grouped-query attention, SwiGLU, tied output embedding. Weights stay in fused form here (qkv, gate+up); export.py
splits them into GGUF tensors.
"""
from dataclasses import asdict, dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Config:
    vocab: int = 1536
    dim: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    head_dim: int = 32
    ffn: int = 512
    rope_base: float = 10000.0
    eps: float = 1e-6
    context: int = 2048

    def dict(self):
        return asdict(self)


def rms(x, weight, eps):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        width = (c.heads + 2 * c.kv_heads) * c.head_dim
        self.attn_norm = nn.Parameter(torch.ones(c.dim))
        self.ffn_norm = nn.Parameter(torch.ones(c.dim))
        self.qkv = nn.Parameter(torch.randn(width, c.dim) * c.dim ** -0.5)
        self.qkv_bias = nn.Parameter(torch.zeros(width))
        self.out = nn.Parameter(torch.zeros(c.dim, c.heads * c.head_dim))
        self.up = nn.Parameter(torch.randn(2 * c.ffn, c.dim) * c.dim ** -0.5)
        self.down = nn.Parameter(torch.zeros(c.dim, c.ffn))


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c = config
        self.embed = nn.Parameter(torch.randn(config.vocab, config.dim) * 0.05)
        self.norm = nn.Parameter(torch.ones(config.dim))
        self.blocks = nn.ModuleList(Layer(config) for _ in range(config.layers))
        inv = config.rope_base ** (-torch.arange(0, config.head_dim, 2).float() / config.head_dim)
        angle = torch.outer(torch.arange(config.context).float(), inv)
        self.cos = torch.cat([angle.cos(), angle.cos()], -1)
        self.sin = torch.cat([-angle.sin(), angle.sin()], -1)  # the sign of rotate-half lives here
        self.masks = {}

    def mask(self, t):
        if t not in self.masks:
            tri = torch.full((t, t), float("-inf")).triu(1)
            self.masks[t] = tri.repeat(self.c.heads // self.c.kv_heads, 1)
        return self.masks[t]

    def rotate(self, x, start):
        t = x.shape[2]
        return x * self.cos[start:start + t] + x.roll(self.c.head_dim // 2, -1) * self.sin[start:start + t]

    def hidden(self, ids, cache=None, hide=None):
        """ids [B,T] -> normalised states [B*T, dim]. With `cache` (a list), T new tokens extend the cached ones. `hide` [B,K] marks tokens
        before the beginning of a row, which are not looked at."""
        c, (b, t) = self.c, ids.shape
        group = c.heads // c.kv_heads
        x = F.embedding(ids.reshape(-1), self.embed)
        start = cache[0][0].shape[2] if cache else 0
        filled = []
        for i, layer in enumerate(self.blocks):
            qkv = F.linear(rms(x, layer.attn_norm, c.eps), layer.qkv, layer.qkv_bias)
            qkv = qkv.view(b, t, c.heads + 2 * c.kv_heads, c.head_dim).transpose(1, 2)
            qk, v = qkv.split([c.heads + c.kv_heads, c.kv_heads], 1)
            q, k = self.rotate(qk, start).split([c.heads, c.kv_heads], 1)
            if cache is not None:
                if cache:
                    k, v = torch.cat([cache[i][0], k], 2), torch.cat([cache[i][1], v], 2)
                filled.append((k, v))
            scores = (q * c.head_dim ** -0.5).reshape(b, c.kv_heads, group * t, c.head_dim) @ k.transpose(2, 3)
            if t > 1:
                scores = scores + self.mask(t)
            if hide is not None:
                scores = scores.masked_fill(hide[:, None, None], -1e9)
            mixed = (scores.softmax(-1) @ v).view(b, c.heads, t, c.head_dim).transpose(1, 2).reshape(b * t, -1)
            x = x + F.linear(mixed, layer.out)
            gate, up = F.linear(rms(x, layer.ffn_norm, c.eps), layer.up).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, layer.down)
        if cache is not None:
            cache[:] = filled
        return rms(x, self.norm, c.eps)

    def packed(self, ids, place, attend, kind):
        """Documents one after the other: ids [N], the place of each token in its document [N] -> normalised states [N, dim]. For training on
        a GPU: matrices in `kind`, the sum of the layers in float32. attend(q [N,H,D], k and v [N,KV,D]) keeps the documents apart."""
        c = self.c
        norm = lambda x, w: F.rms_norm(x, (c.dim,), w, c.eps).to(kind)
        x = F.embedding(ids, self.embed)
        cos, sin = self.cos[place][:, None].to(kind), self.sin[place][:, None].to(kind)
        for layer in self.blocks:
            qkv = F.linear(norm(x, layer.attn_norm), layer.qkv.to(kind), layer.qkv_bias.to(kind)).view(len(ids), -1, c.head_dim)
            qk, v = qkv.split([c.heads + c.kv_heads, c.kv_heads], 1)
            qk = qk * cos + qk.roll(c.head_dim // 2, -1) * sin
            mixed = attend(*qk.split([c.heads, c.kv_heads], 1), v).reshape(len(ids), -1)
            x = x + F.linear(mixed, layer.out.to(kind))
            gate, up = F.linear(norm(x, layer.ffn_norm), layer.up.to(kind)).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, layer.down.to(kind))
        return norm(x, self.norm)

    def to(self, device):
        self.cos, self.sin, self.masks = self.cos.to(device), self.sin.to(device), {}
        return super().to(device)

    def logits(self, states):
        return F.linear(states, self.embed)
