"""Owns the figures of the card: held-out prompts per skill, answered at temperature 0 by the weights of the GGUF.

The Q8_0 weights are read back from the file and run in torch; the rules of the split are in grammar.py (is_held), the
rules of what counts as right are here, one per skill, and strict: the exact text wherever only one text is right.
"""
import argparse
import json
import random
import re
import sys

import torch

import bpe
import export
import grammar
import words

SKILLS = ["story", "count digits", "count words", "repeat", "greet", "emoji", "language", "json", "tool call", "tool answer", "think", "add", "unknown"]
PEOPLE = set(words.GIRLS + words.BOYS + words.NAMES)


@torch.no_grad()
def generate(model, tok, prompt, limit=450, temperature=0.0, generator=None):
    """-> (text, tokens, ended)."""
    stop = {tok.id[b"<|im_end|>"], tok.id[b"<|endoftext|>"]}
    ids, cache, out = torch.tensor([tok.encode(prompt)]), [], []
    while len(out) < limit:
        logits = model.logits(model.hidden(ids, cache)[-1:])[0]
        i = int(logits.argmax()) if not temperature else int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator))
        if i in stop:
            return tok.decode(out), len(out), True
        out.append(i)
        ids = torch.tensor([[i]])
    return tok.decode(out), len(out), False


def story_ok(text, tokens, wanted):
    """The asked-for words, the right length, an end, a hero who stays, and nobody who was not introduced."""
    met = re.findall(r"\b(?:named|called) ([A-Z]\w+)", text)
    people = {w for w in re.findall(r"\w+", text) if w in PEOPLE}
    return (60 <= tokens <= 150 and all(w in text for w in wanted) and len(set(met)) == 2 and people <= set(met)
            and text.count(met[0]) >= 2 and text.count(met[1]) >= 1 and text[-1] in '."' and text.count('"') % 2 == 0)


def json_ok(text, meta):
    try:
        value = json.loads(text)
    except ValueError:
        return False
    kinds = {"name": str, "age": int, "city": str, "job": str, "hobbies": list}
    return (isinstance(value, dict) and all(k in kinds and isinstance(v, kinds[k]) for k, v in value.items()) and value
            and all(value.get(k) == v for k, v in meta["given"].items()) and (not meta.get("asked") or set(value) == set(meta["keys"])))


def calls_of(text):
    try:
        found = [json.loads(m) for m in re.findall(r"<tool_call>\n(.*?)\n</tool_call>", text, re.S)]
        return [(c["name"], c["arguments"]) for c in found]
    except (ValueError, KeyError, TypeError):
        return None


def prompts(skill, n, seed):
    """n held-out turns of a skill, each prompt once while there are enough."""
    rng, out, used = random.Random(seed), [], set()
    make = grammar.SKILLS[skill.split()[0]]
    for _ in range(150 * n):
        turn = make(rng, True)
        if (turn.skill == skill or turn.skill == skill.split()[0] == "tool") and turn.user not in used:
            used.add(turn.user)
            out.append(turn)
            if len(out) == n:
                break
    return out


def judge(skill, turn, model, tok, template):
    stop = {"tool call": "call", "tool answer": "result"}.get(skill, "answer")
    messages = grammar.messages_of(turn, stop)
    if turn.system:
        messages.insert(0, {"role": "system", "content": turn.system})
    if skill in ("story", "json"):
        expected, limit = turn.meta, 200
    else:
        expected = " ".join(s for *_, s in turn.calls) if turn.calls else (f"<think>\n{turn.reasoning}\n</think>\n\n" if turn.reasoning else "") + turn.answer
        limit = 60 * len(turn.calls) if skill == "tool call" else len(tok.encode(expected)) + 1  # longer is wrong anyhow
    text, tokens, ended = generate(model, tok, bpe.render(template, messages, turn.tools, True), limit)
    if skill == "story":
        right = ended and story_ok(text, tokens, turn.meta["wanted"])
    elif skill == "json":
        right = ended and json_ok(text, turn.meta)
    elif skill == "tool call":
        expected = [(c, a) for c, a, _, _ in turn.calls]
        right = ended and calls_of(text) == expected
    else:
        right = ended and text == expected
    return right, text, expected


def main():
    ap = argparse.ArgumentParser(description="Answer held-out prompts and count what is right.")
    ap.add_argument("--model", required=True)
    ap.add_argument("-n", type=int, default=200)
    ap.add_argument("--seed", type=int, default=2026)
    ap.add_argument("--skills", default=",".join(SKILLS))
    ap.add_argument("--samples", type=int, default=50, help="stories sampled at temperature 0.8")
    ap.add_argument("--show", type=int, default=0, help="print so many failures of each skill")
    a = ap.parse_args()
    torch.set_num_threads(1)
    model, tok = export.load(a.model)
    template = bpe.environment()
    print("| skill | held-out prompts | right |\n|---|---:|---:|")
    for skill in a.skills.split(","):
        turns, good, bad = prompts(skill, a.n, a.seed), 0, []
        for turn in turns:
            right, text, expected = judge(skill, turn, model, tok, template)
            good += right
            if not right:
                bad.append((turn.user, text, expected))
        print(f"| {skill} | {len(turns)} | {100 * good / len(turns):.1f} % |", flush=True)
        for b in bad[:a.show]:
            print("   ", b, file=sys.stderr, flush=True)
    if a.samples:
        g = torch.Generator().manual_seed(a.seed)
        prompt = bpe.render(template, [{"role": "user", "content": "Tell me a story about a fox."}], None, True)
        told = [generate(model, tok, prompt, 200, 0.8, g) for _ in range(a.samples)]
        print(f"\n{a.samples} samples of one story prompt at temperature 0.8: {len({t for t, *_ in told})} different, {sum(e and story_ok(t, n, ['fox']) for t, n, e in told)} pass the check of a story.")


if __name__ == "__main__":
    main()
