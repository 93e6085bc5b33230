"""Owns the GGUF file: a checkpoint and a tokenizer become demo.gguf (GGUF v3, Q8_0 matrices), and back for evaluation."""
import argparse
import os
import struct

import numpy as np
import torch

import bpe
from model import Config, Model

ALIGN, F32, Q8_0 = 32, 0, 8
U32, I32, F32_KEY, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def quantize(x):
    """Q8_0: blocks of 32, one half-precision scale and 32 signed bytes each, as ggml rounds them."""
    blocks = x.reshape(-1, 32).astype(np.float32)
    scale = np.abs(blocks).max(1) / 127
    inverse = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1), 0)
    out = np.zeros(len(blocks), dtype=[("d", "<f2"), ("q", "i1", 32)])
    out["d"] = scale.astype(np.float16)
    v = blocks * inverse[:, None]
    out["q"] = (np.sign(v) * np.floor(np.abs(v) + 0.5)).astype(np.int8)
    return out


def dequantize(raw, shape):
    b = np.frombuffer(raw, dtype=[("d", "<f2"), ("q", "i1", 32)])
    return (b["d"].astype(np.float32)[:, None] * b["q"].astype(np.float32)).reshape(shape)


def names(c):
    """GGUF tensor names of one fused parameter, with the rows each one takes."""
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    out = [("embed", [("token_embd.weight", c.vocab)]), ("norm", [("output_norm.weight", c.dim)])]
    for i in range(c.layers):
        p, g = f"blocks.{i}.", f"blk.{i}."
        out += [(p + "attn_norm", [(g + "attn_norm.weight", c.dim)]), (p + "ffn_norm", [(g + "ffn_norm.weight", c.dim)]),
                (p + "qkv", [(g + "attn_q.weight", q), (g + "attn_k.weight", kv), (g + "attn_v.weight", kv)]),
                (p + "qkv_bias", [(g + "attn_q.bias", q), (g + "attn_k.bias", kv), (g + "attn_v.bias", kv)]),
                (p + "out", [(g + "attn_output.weight", c.dim)]), (p + "up", [(g + "ffn_gate.weight", c.ffn), (g + "ffn_up.weight", c.ffn)]),
                (p + "down", [(g + "ffn_down.weight", c.dim)])]
    return out


def string(s):
    b = s.encode("utf-8")
    return struct.pack("<Q", len(b)) + b


def entry(key, kind, value):
    pack = {U32: lambda v: struct.pack("<I", v), I32: lambda v: struct.pack("<i", v), F32_KEY: lambda v: struct.pack("<f", v), BOOL: lambda v: struct.pack("<?", v), STRING: string}
    if isinstance(value, list):
        return string(key) + struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(map(pack[kind], value))
    return string(key) + struct.pack("<I", kind) + pack[kind](value)


def decide(model, seed, spread=0.03):
    """Scale each token's embedding a little, by up to `spread`. Where training left a choice even (which of ten plots, which name), logits that
    differ by a thousandth become logits that differ by a tenth, so that rounding does not decide what is said at temperature 0."""
    scale = 1 + spread * np.random.default_rng(seed).uniform(-1, 1, (len(model.embed), 1))
    with torch.no_grad():
        model.embed.mul_(torch.from_numpy(scale.astype(np.float32)))


def metadata(c, tok):
    special = {s: len(tok.tokens) - len(bpe.SPECIAL) + i for i, s in enumerate(bpe.SPECIAL)}
    kinds = [1] * (len(tok.tokens) - len(bpe.SPECIAL)) + [3] * len(bpe.CONTROL) + [4] * len(bpe.MARKERS)
    name = lambda t: "".join(bpe.NAMES[b] for b in t)
    with open(os.path.join(bpe.HERE, "template.jinja"), encoding="utf-8") as f:
        template = f.read().rstrip("\n")
    return [entry("general.architecture", STRING, "qwen2"), entry("general.type", STRING, "model"), entry("general.name", STRING, "zStream demo"),
            entry("general.description", STRING, "A very small model trained on synthetic conversations, to test streaming."), entry("general.license", STRING, "mit"),
            entry("general.size_label", STRING, "2.8M"), entry("general.languages", STRING, ["en"]), entry("general.quantization_version", U32, 2), entry("general.file_type", U32, 7),
            entry("qwen2.context_length", U32, c.context), entry("qwen2.embedding_length", U32, c.dim), entry("qwen2.block_count", U32, c.layers),
            entry("qwen2.feed_forward_length", U32, c.ffn), entry("qwen2.attention.head_count", U32, c.heads), entry("qwen2.attention.head_count_kv", U32, c.kv_heads),
            entry("qwen2.rope.freq_base", F32_KEY, c.rope_base), entry("qwen2.attention.layer_norm_rms_epsilon", F32_KEY, c.eps), entry("qwen2.vocab_size", U32, c.vocab),
            entry("tokenizer.ggml.model", STRING, "gpt2"), entry("tokenizer.ggml.pre", STRING, "qwen2"),
            entry("tokenizer.ggml.tokens", STRING, [tok.printable(i) for i in range(len(tok.tokens))]), entry("tokenizer.ggml.token_type", I32, kinds),
            entry("tokenizer.ggml.merges", STRING, [name(a) + " " + name(b) for a, b in tok.merges]), entry("tokenizer.ggml.eos_token_id", U32, special["<|im_end|>"]),
            entry("tokenizer.ggml.eot_token_id", U32, special["<|im_end|>"]), entry("tokenizer.ggml.padding_token_id", U32, special["<|endoftext|>"]),
            entry("tokenizer.ggml.bos_token_id", U32, special["<|endoftext|>"]), entry("tokenizer.ggml.add_bos_token", BOOL, False), entry("tokenizer.chat_template", STRING, template)]


def write(path, model, tok):
    c, state, infos, blobs, offset = model.c, model.state_dict(), [], [], 0
    for ours, parts in names(c):
        for (name, _), part in zip(parts, state[ours].split([rows for _, rows in parts])):
            x = part.detach().numpy()
            blob = quantize(x).tobytes() if x.ndim == 2 else x.astype("<f4").tobytes()
            dims = x.shape[::-1]  # GGUF names the fastest dimension first
            infos.append(string(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", Q8_0 if x.ndim == 2 else F32, offset))
            blob += b"\0" * (-len(blob) % ALIGN)
            blobs.append(blob)
            offset += len(blob)
    keys = metadata(c, tok)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(keys)) + b"".join(keys) + b"".join(infos)
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % ALIGN) + b"".join(blobs))


def read(path):
    """-> (keys, tensors): enough of a reader for files that write() made."""
    with open(path, "rb") as f:
        data = f.read()
    at = 4

    def take(form):
        nonlocal at
        v = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return v[0]

    def text():
        nonlocal at
        n = take("Q")
        at += n
        return data[at - n:at].decode("utf-8")

    def value(kind):
        if kind == ARRAY:
            inner, n = take("I"), take("Q")
            return [value(inner) for _ in range(n)]
        return text() if kind == STRING else take({U32: "I", I32: "i", F32_KEY: "f", BOOL: "?"}[kind])

    take("I")
    tensors, count = take("Q"), take("Q")
    keys = {}
    for _ in range(count):
        key = text()
        keys[key] = value(take("I"))
    infos = [(text(), [take("Q") for _ in range(take("I"))][::-1], take("I"), take("Q")) for _ in range(tensors)]
    base, out = at + (-at % ALIGN), {}
    for name, shape, kind, offset in infos:
        n = int(np.prod(shape))
        raw = data[base + offset:base + offset + (n // 32 * 34 if kind == Q8_0 else n * 4)]
        out[name] = dequantize(raw, shape) if kind == Q8_0 else np.frombuffer(raw, "<f4").reshape(shape)
    return keys, out


def load(path):
    """A GGUF of ours as (Model with the dequantised weights, Tokenizer)."""
    keys, tensors = read(path)
    k = lambda name: keys["qwen2." + name]
    heads = k("attention.head_count")
    c = Config(k("vocab_size"), k("embedding_length"), k("block_count"), heads, k("attention.head_count_kv"), tensors["blk.0.attn_q.weight"].shape[0] // heads,
               k("feed_forward_length"), k("rope.freq_base"), k("attention.layer_norm_rms_epsilon"), k("context_length"))
    model = Model(c)
    model.load_state_dict({ours: torch.from_numpy(np.concatenate([tensors[n] for n, _ in parts])) for ours, parts in names(c)})
    back = {n: b for b, n in bpe.NAMES.items()}
    raw = lambda t: bytes(back[x] for x in t)
    return model, bpe.Tokenizer([tuple(map(raw, m.split(" "))) for m in keys["tokenizer.ggml.merges"]])


def main():
    ap = argparse.ArgumentParser(description="Write the GGUF.")
    ap.add_argument("--checkpoint", required=True)
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--out", required=True)
    ap.add_argument("--decide", type=int, default=0, help="a seed for decide(); 0: leave the weights as they are")
    a = ap.parse_args()
    ck = torch.load(a.checkpoint, map_location="cpu")
    model = Model(Config(**ck["config"]))
    model.load_state_dict(ck["model"])
    if a.decide:
        decide(model, a.decide)
    write(a.out, model, bpe.Tokenizer.load(a.tokenizer))
    print(a.out, os.path.getsize(a.out), "bytes; step", ck["step"], "tokens", ck["seen"])


if __name__ == "__main__":
    main()
