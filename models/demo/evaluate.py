"""Owns the figures of the card: held-out prompts per skill, answered at temperature 0 by the weights of the GGUF.

The Q8_0 weights are read back from the file and run in torch; the rules of the split are in grammar.py and base.py (is_held), the
rules of what counts as right are here, and strict: the exact text wherever only one text is right. No grammar helps the model here.
"""
import argparse
import json
import multiprocessing
import random
import re
import sys

import torch

import bpe
import export
import grammar
import objects
import words

FIRST, LAST = 0, -1  # which reply of a turn with tools is asked for


def tool(kind, apart=False):
    """A turn with tools; calls of several things at once come in one reply, or one by one where `apart`."""
    def turn(rng):
        while kind in ("twice", "both") and bool((t := grammar.SKILLS["tool"](rng, True, kind)).steps) != apart:
            pass
        return t if kind in ("twice", "both") else grammar.SKILLS["tool"](rng, True, kind)
    return turn


def thought_about(rng):
    while (t := grammar.think_else(rng, True)).meta.get("kind") in ("twice", "both") and t.steps:
        pass
    return t


def only(skill, make):
    def turn(rng):
        while (t := make(rng, True)).skill != skill:
            pass
        return t
    return turn


def off(rng):
    """A request to think, under enable_thinking: false."""
    t = thought_about(rng) if rng.random() < 0.5 else grammar.think(rng, True)
    t.meta["off"] = True
    return t


# name -> (how a turn is made, which reply is asked for)
SKILLS = {
    "story": (lambda r: grammar.story(r, True), FIRST), "count digits": (only("count digits", grammar.count), FIRST), "count words": (only("count words", grammar.count), FIRST), "repeat": (lambda r: grammar.repeat(r, True), FIRST),
    "greet": (lambda r: grammar.SKILLS["greet"](r, True), FIRST), "emoji": (lambda r: grammar.emoji(r, True), FIRST), "language": (lambda r: grammar.language(r, True), FIRST), "unknown": (lambda r: grammar.unknown(r, True), FIRST),
    "json: a person": (lambda r: grammar.SKILLS["json"](r, True), FIRST), "json: other objects": (lambda r: grammar.SKILLS["thing"](r, True), FIRST),
    "tool: one call": (tool("one"), FIRST), "tool: the same for two or three": (tool("twice"), FIRST), "tool: two tools at once": (tool("both"), FIRST), "tool: second of several one by one": (tool("twice", True), 1), "tool: first of two in turn": (tool("chain"), FIRST), "tool: second of two in turn": (tool("chain"), 1),
    "tool: answer after one result": (tool("one"), LAST), "tool: answer after several": (lambda r: tool(r.choice(["twice", "both", "chain"]))(r), LAST), "tool: answer after a failure": (tool("failed"), LAST), "tool: none fits": (tool("none"), FIRST),
    "tool: none needed": (lambda r: grammar.not_needed(r, True), FIRST),
    "think: sums to 10": (lambda r: grammar.think(r, True, 10), FIRST), "think: sums to 99": (lambda r: grammar.think(r, True, 99), FIRST), "think: anything else": (thought_about, FIRST), "think: switched off": (off, FIRST),
    "add: sums to 10": (lambda r: grammar.add(r, True, 10), FIRST), "add: sums to 99": (lambda r: grammar.add(r, True, 99), FIRST),
}
PEOPLE = set(words.GIRLS + words.BOYS + words.NAMES)


@torch.no_grad()
def generate(model, tok, prompts, limit=260, temperature=0.0, generator=None):
    """The replies to some prompts together. -> [(text, tokens, ended)]."""
    stop = {tok.id[b"<|im_end|>"], tok.id[b"<|endoftext|>"]}
    encoded = [tok.encode(p) for p in prompts]
    width = max(map(len, encoded))
    ids = torch.tensor([[0] * (width - len(e)) + e for e in encoded])  # positions are relative, so rows may begin late
    hide = torch.tensor([[True] * (width - len(e)) + [False] * len(e) for e in encoded])
    rows, cache, out, ended = list(range(len(prompts))), [], [[] for _ in prompts], [False] * len(prompts)
    for _ in range(limit + 1):
        states = model.hidden(ids, cache, hide)
        logits = model.logits(states.view(*ids.shape, -1)[:, -1])
        chosen = (torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0] if temperature else logits.argmax(-1)).tolist()
        keep = []
        for i, (row, token) in enumerate(zip(rows, chosen)):
            if token in stop:
                ended[row] = True
            else:
                out[row].append(token)
                keep.append(i)
        if not keep:
            break
        if len(keep) < len(rows):  # those that have ended leave
            cache[:], hide, rows = [(k[keep], v[keep]) for k, v in cache], hide[keep], [rows[i] for i in keep]
        ids = torch.tensor([[out[row][-1]] for row in rows])
        hide = torch.cat([hide, torch.zeros(len(rows), 1, dtype=torch.bool)], 1)
    return [(tok.decode(o), len(o), e) for o, e in zip(out, ended)]


def story_ok(text, tokens, wanted):
    """The asked-for words, the right length, an end, a hero who stays, and nobody who was not introduced."""
    met = re.findall(r"\b(?:named|called) ([A-Z]\w+)", text)
    people = {w for w in re.findall(r"\w+", text) if w in PEOPLE}
    return (60 <= tokens <= 150 and all(w in text for w in wanted) and len(set(met)) == 2 and people <= set(met)
            and text.count(met[0]) >= 2 and text.count(met[1]) >= 1 and text[-1] in '."' and text.count('"') % 2 == 0)


def fits(value, schema):
    """JSON Schema, as far as grammar's schemas go."""
    kind = schema["type"]
    if kind == "object":
        return isinstance(value, dict) and set(value) == set(schema["properties"]) and all(fits(value[k], s) for k, s in schema["properties"].items())
    if kind == "array":
        return isinstance(value, list) and all(fits(v, schema["items"]) for v in value)
    if kind in ("integer", "number"):
        return isinstance(value, int if kind == "integer" else (int, float)) and not isinstance(value, bool)
    return isinstance(value, bool) if kind == "boolean" else isinstance(value, str) and value in schema.get("enum", [value])


def alike(value, sample):
    """The same kind of value as the grammar would write under this key."""
    number = lambda v: isinstance(v, (int, float)) and not isinstance(v, bool)
    return number(value) and number(sample) or type(value) is type(sample) and (not isinstance(value, dict) or set(value) == set(sample)) and (not isinstance(value, list) or not value or alike(value[0], sample[0]))


def json_ok(text, meta):
    """A JSON value with the given values, with exactly the keys that were asked for, of the kinds that the keys or the schema say."""
    try:
        value = json.loads(text)
    except ValueError:
        return False
    if "length" in meta:
        return isinstance(value, list) and len(value) == meta["length"]
    if "schema" in meta:
        return fits(value, meta["schema"])
    make = random.Random(1)
    known = all(k in objects.FIELDS and alike(v, objects.FIELDS[k](make, False)) for k, v in value.items() if k not in meta["given"]) if isinstance(value, dict) else False
    return bool(value) and known and all(value.get(k) == v for k, v in meta["given"].items()) and (not meta.get("asked") or set(value) == set(meta["keys"]))


def calls_of(text):
    try:
        found = [json.loads(m) for m in re.findall(r"<tool_call>\n(.*?)\n</tool_call>", text, re.S)]
        return [(c["name"], c["arguments"]) for c in found] if re.sub(r"<tool_call>\n(.*?)\n</tool_call>", "", text, flags=re.S).strip() == "" else None
    except (ValueError, KeyError, TypeError):
        return None


def prompts(skill, n, seed):
    """n held-out turns of a skill, each prompt once while there are enough."""
    rng, out, used = random.Random(seed), [], set()
    for _ in range(150 * n):
        turn = SKILLS[skill][0](rng)
        if (turn.user, turn.system) not in used:
            used.add((turn.user, turn.system))
            out.append(turn)
            if len(out) == n:
                break
    return out


def asked(skill, turn, template):
    """-> (the text before the reply, how many replies of the turn it has already)."""
    steps = turn.steps or ([len(turn.calls)] if turn.calls else [])
    stop = len(steps) if SKILLS[skill][1] == LAST else SKILLS[skill][1]
    messages = grammar.messages_of(turn, stop)
    if turn.system:
        messages.insert(0, {"role": "system", "content": turn.system})
    return bpe.render(template, messages, turn.tools, True, not turn.meta.get("off")), stop


def judge(turn, stop, text, ended, tok):
    """-> (right, what was expected)."""
    thinks = bool(turn.meta.get("cued")) and not turn.meta.get("off")
    steps = turn.steps or ([len(turn.calls)] if turn.calls else [])
    answer = text
    if thinks and stop == 0:
        m = re.fullmatch(r"<think>\n(.+?)\n</think>\n\n(.*)", text, re.S)
        if not m or m[1] != turn.reasoning and turn.skill not in ("story", "json", "thing"):
            return False, turn.reasoning
        answer = m[2]
    if stop < len(steps):
        at = sum(steps[:stop])
        expected = [(c, a) for c, a, _, _ in turn.calls[at:at + steps[stop]]]
        right = calls_of(answer) == expected
    elif turn.skill == "story":
        expected, right = turn.meta, story_ok(answer, len(tok.encode(answer)), turn.meta["wanted"])
    elif turn.skill in ("json", "thing"):
        expected, right = turn.meta, json_ok(answer, turn.meta)
    else:
        expected = " ".join(s for *_, s in turn.calls) if turn.calls else turn.answer
        right = answer == expected
    return ended and right, expected


def work(task):
    path, skill, n, seed = task
    torch.set_num_threads(1)
    model, tok = export.load(path)
    template, good, bad = bpe.environment(), 0, []
    asks = [(*asked(skill, turn, template), turn) for turn in prompts(skill, n, seed)]
    asks.sort(key=lambda a: len(tok.encode(a[0])))
    for at in range(0, len(asks), 25):
        some = asks[at:at + 25]
        for (_, stop, turn), (text, _, ended) in zip(some, generate(model, tok, [a[0] for a in some])):
            right, expected = judge(turn, stop, text, ended, tok)
            good += right
            if not right:
                bad.append((turn.system, turn.user, text, expected))
    return skill, len(asks), good, bad


def main():
    ap = argparse.ArgumentParser(description="Answer held-out prompts and count what is right.")
    ap.add_argument("--model", required=True)
    ap.add_argument("-n", type=int, default=200)
    ap.add_argument("--seed", type=int, default=2026)
    ap.add_argument("--skills", default=",".join(SKILLS))
    ap.add_argument("--samples", type=int, default=50, help="stories sampled at temperature 0.8")
    ap.add_argument("--show", type=int, default=0, help="print so many failures of each skill")
    ap.add_argument("--jobs", type=int, default=1, help="processes")
    a = ap.parse_args()
    print("| skill | held-out prompts | right |\n|---|---:|---:|", flush=True)
    with multiprocessing.Pool(a.jobs) as pool:
        for skill, n, good, bad in pool.imap(work, [(a.model, s, a.n, a.seed) for s in a.skills.split(",")]):
            print(f"| {skill} | {n} | {100 * good / n:.1f} % |", flush=True)
            for b in bad[:a.show]:
                print("   ", b, file=sys.stderr, flush=True)
    if a.samples:
        torch.set_num_threads(1)
        model, tok = export.load(a.model)
        g = torch.Generator().manual_seed(a.seed)
        prompt = bpe.render(bpe.environment(), [{"role": "user", "content": "Tell me a story about a fox."}], None, True)
        told = generate(model, tok, [prompt] * a.samples, 200, 0.8, g)
        print(f"\n{a.samples} samples of one story prompt at temperature 0.8: {len({t for t, *_ in told})} different, {sum(e and story_ok(t, n, ['fox']) for t, n, e in told)} pass the check of a story.")


if __name__ == "__main__":
    main()
