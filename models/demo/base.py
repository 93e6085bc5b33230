"""Owns what all skills share: the turn, the held-out split, the noise of real prompts, and words that exist only here."""
import json
import zlib
from dataclasses import dataclass, field

import words as W


@dataclass
class Turn:
    skill: str
    user: str
    answer: str = ""
    reasoning: str = ""
    system: str = ""                           # a system prompt that this turn needs
    calls: list = field(default_factory=list)  # [(name, arguments, result, sentence)] when tools are called
    steps: list = field(default_factory=list)  # how many of the calls each reply makes; all in one where it is empty
    tools: list = field(default_factory=list)
    meta: dict = field(default_factory=dict)


def is_held(*key):
    return zlib.crc32("|".join(map(str, key)).encode()) % 10 == 0


def draw(make, held, key=lambda v: v):
    """Draw values until one lies on the wanted side of the split."""
    while True:
        value = make()
        k = key(value)
        if is_held(*(k if isinstance(k, tuple) else (k,))) == held:
            return value


def compact(value, spaced=True):
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ") if spaced else (",", ":"))


def ask(rng, text, polite=True):
    """The noise of real prompts: case, final punctuation, a 'please'."""
    if polite and rng.random() < 0.12:
        text = rng.choice(["Please ", "Can you please ", "Could you ", "Now "]) + text[0].lower() + text[1:]
    if rng.random() < 0.15:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.12:
        text = text[:-1] if text[-1] in ".!?" else text + rng.choice([".", "!", " please", ", please."])
    return text


# Words that exist only here, so that copying cannot be learnt by heart.
def invented(rng):
    r = rng.random()
    if r < 0.25:  # halves of two known words
        a, b = (draw(lambda: rng.choice(rng.choice([W.NOUNS, W.NAMES, W.CITIES[:160]])), False).lower() for _ in range(2))
        return a[:rng.randint(1, len(a))] + b[rng.randint(0, len(b) - 1):]
    if r < 0.45:  # short runs of letters, doubled ones too
        return "".join(rng.choice(rng.choice(["aeiou", "bcdfghjklmnpqrstvwxyz"])) * rng.choice([1, 1, 1, 2]) for _ in range(rng.randint(2, 5)))
    syllable = lambda: rng.choice("b br c ch d dr f fl g gr h j k kl l m n p pl qu r s sh st t tr v w z".split()) + \
        rng.choice("a e i o u a e i o ai ee oo ou".split()) + rng.choice(["", "", "n", "r", "l", "t", "m", "s", "x", "p", "ck", "nd"])
    return "".join(syllable() for _ in range(rng.choice([1, 2, 2, 2, 3])))


def word(rng, held):
    return rng.choice(W.NOUNS)  # words are few and known; the list they stand in is what is held out


def name(rng, held):
    if rng.random() < 0.35:
        return draw(lambda: invented(rng).capitalize(), held)
    return draw(lambda: rng.choice(W.NAMES), True) if held else rng.choice(W.NAMES)


def city(rng, held):
    if rng.random() < 0.35:
        return draw(lambda: invented(rng).capitalize(), held)
    return draw(lambda: rng.choice(W.CITIES), True) if held else rng.choice(W.CITIES)


def an(text):
    return ("an " if text[0] in "aeiou" and not text.startswith(("uni", "user")) else "a ") + text
