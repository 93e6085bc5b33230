"""Owns the tokenizer: byte-level BPE behind the qwen2 pre-tokenizer, its training and its file (tokenizer.json of our own).

Two choices make copying easier to learn and streaming harder to do right. Merges inside words come before any merge with
the leading space (or quote), so " apple" and "apple" share their pieces. No merge completes a character of three or four
bytes, so every emoji, Chinese or Japanese character takes two tokens or more.
"""
import collections
import json
import random

import jinja2
import os
import regex

import grammar
import words

HERE = os.path.dirname(os.path.abspath(__file__))
PATTERN = regex.compile(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKERS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
SPECIAL = CONTROL + MARKERS
SPLIT = regex.compile("(" + "|".join(map(regex.escape, SPECIAL)) + ")")


def byte_names():
    """The printable stand-ins of GPT-2 for the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names, extra = {b: chr(b) for b in plain}, 256
    for b in range(256):
        if b not in names:
            names[b], extra = chr(extra), extra + 1
    return names


NAMES = byte_names()


def environment():
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    env.filters["tojson"] = lambda v: json.dumps(v, ensure_ascii=False)  # as transformers and llama.cpp do
    return env.from_string(open(os.path.join(HERE, "template.jinja"), encoding="utf-8").read())


def render(template, messages, tools=None, prompt=False, thinking=True):
    return template.render(messages=messages, tools=tools or None, add_generation_prompt=prompt, enable_thinking=thinking)


# ---- training ------------------------------------------------------------------------------------------------

def mergeable(piece):
    if max(piece) < 128:
        return True
    for n in (2, 3, 4):  # one whole character of two bytes, or the beginning of a longer one
        lead = {2: (0xC2, 0xE0), 3: (0xE0, 0xF0), 4: (0xF0, 0xF8)}[n]
        if lead[0] <= piece[0] < lead[1]:
            return len(piece) <= (2 if n == 2 else n - 1)
    return False


def train(texts, size):
    counts = collections.Counter()
    for text in texts:
        for part in SPLIT.split(text):
            if part not in SPECIAL:
                counts.update(PATTERN.findall(part))
    inner = collections.Counter()
    for word, n in counts.items():  # the character before the letters stays apart in the first stage
        cut = 1 if len(word) > 1 and word[1].isalpha() and not word[0].isalpha() or word[0] == " " and len(word) > 1 else 0
        inner[word[cut:].encode()] += n
    merges, prefixed = [], 260
    seqs = [[bytes([b]) for b in w] for w in inner]
    freq = list(inner.values())
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, s in enumerate(seqs):
        for p in zip(s, s[1:]):
            pairs[p] += freq[i]
            where[p].add(i)
    made = set()  # two ways to one token are not allowed
    while len(merges) + 256 + len(SPECIAL) + prefixed < size:
        best = max((p for p in pairs if pairs[p] > 0 and p[0] + p[1] not in made and mergeable(p[0] + p[1])), key=lambda p: (pairs[p], p))
        merges.append(best)
        made.add(best[0] + best[1])
        for i in list(where.pop(best)):
            s = seqs[i]
            for p in zip(s, s[1:]):
                pairs[p] -= freq[i]
            out = []
            for x in s:
                if out and (out[-1], x) == best:
                    out[-1] += x
                else:
                    out.append(x)
            seqs[i] = out
            for p in zip(out, out[1:]):
                pairs[p] += freq[i]
                where[p].add(i)
    whole = {s[0] for s in seqs if len(s) == 1}
    copied = set(words.NAMES + words.NOUNS) | {w for c in words.CITIES for w in c.split()}
    second = collections.Counter()
    for word, n in counts.items():
        if word[0] in ' "' and word[1:].encode() in whole and word[1:] not in copied and word.encode() not in made:
            second[(word[:1].encode(), word[1:].encode())] += n
    return merges + [p for p, _ in sorted(second.items(), key=lambda e: (-e[1], e[0]))[:prefixed]]


class Tokenizer:
    def __init__(self, merges):
        self.rank = {p: i for i, p in enumerate(merges)}
        self.tokens = [bytes([b]) for b in range(256)] + [a + b for a, b in merges] + [s.encode() for s in SPECIAL]
        self.id = {t: i for i, t in enumerate(self.tokens)}
        assert len(self.id) == len(self.tokens)
        self.merges, self.cache = merges, {}

    def word(self, text):
        if text not in self.cache:
            s = [bytes([b]) for b in text.encode()]
            while len(s) > 1:
                best = min(zip(s, s[1:]), key=lambda p: self.rank.get(p, 1 << 30))
                if best not in self.rank:
                    break
                out = []
                for x in s:
                    if out and (out[-1], x) == best:
                        out[-1] += x
                    else:
                        out.append(x)
                s = out
            self.cache[text] = [self.id[x] for x in s]
        return self.cache[text]

    def encode(self, text):
        out = []
        for part in SPLIT.split(text):
            if part in SPECIAL:
                out.append(self.id[part.encode()])
            elif part:
                for w in PATTERN.findall(part):
                    out += self.word(w)
        return out

    def decode(self, ids):
        return b"".join(self.tokens[i] for i in ids).decode("utf-8", "replace")

    def printable(self, i):
        return self.tokens[i].decode() if i >= 256 + len(self.merges) else "".join(NAMES[b] for b in self.tokens[i])

    def save(self, path):
        with open(path, "w", encoding="utf-8") as f:
            name = lambda t: "".join(NAMES[b] for b in t)
            json.dump({"merges": [name(a) + " " + name(b) for a, b in self.merges]}, f, ensure_ascii=False, indent=0)

    @staticmethod
    def load(path):
        back = {n: b for b, n in NAMES.items()}
        raw = lambda t: bytes(back[c] for c in t)
        with open(path, encoding="utf-8") as f:
            return Tokenizer([tuple(map(raw, m.split(" "))) for m in json.load(f)["merges"]])


def main():
    import argparse
    p = argparse.ArgumentParser(description="Train the tokenizer on conversations from the grammar.")
    p.add_argument("--out", required=True)
    p.add_argument("--size", type=int, default=1536)
    p.add_argument("--documents", type=int, default=30000)
    a = p.parse_args()
    rng, template, texts = random.Random(7), environment(), []
    for _ in range(a.documents):
        messages, tools, thinking = grammar.conversation(rng)
        texts.append(render(template, messages, tools))
    t = Tokenizer(train(texts, a.size))
    t.save(a.out)
    print(len(t.tokens), "tokens;", sum(len(t.encode(x)) for x in texts[:2000]) / 2000, "tokens a conversation")


if __name__ == "__main__":
    main()
