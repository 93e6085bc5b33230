"""Owns the synthetic conversations: one function per skill, the held-out split, and how turns become documents.

Every skill function takes a random generator and `held`, and returns a Turn. A Turn whose key (the number pair, the name and
city, the word list …) hashes to 0 modulo 10 is held out: training draws only turns with held=False, evaluate.py only
turns with held=True. Copying material is held out twice, since whole names, cities and words are kept from training.
"""
import json
import re
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


# ---- stories -------------------------------------------------------------------------------------------------

def tale(rng, subject, adjective, place, hero):
    """A story of six or seven sentences from one of ten plots; the same hero, friend and thing throughout."""
    p = rng.choice
    girl = hero in W.GIRLS or (hero not in W.BOYS and rng.random() < 0.5)
    girl = (girl or subject in W.WOMEN) and subject not in W.MEN
    he, his, him = ("she", "her", "her") if girl else ("he", "his", "him")
    He = he.capitalize()
    mate = p([a for a in W.ANIMALS[:54] if a != subject])
    pal = p([n for n in W.PALS if n != hero])
    kind, thing, spot, spot2 = p(["kind", "clever", "friendly", "old", "funny"]), p(W.THINGS), p(W.SPOTS), p(W.SPOTS)
    a = an(adjective or subject).split()[0]
    full = (adjective + " " if adjective else "") + subject
    am = "an" if kind[0] in "aeiou" else "a"
    start = p([f"Once upon a time there was {a} {full} named {hero} who lived {place}.",
               f"Once upon a time, {a} {full} named {hero} lived {place}.",
               f"There was once {a} {full} called {hero}. {hero} lived {place}.",
               f"Long ago, {a} {full} named {hero} lived {place}."])
    day = p(["One day", "One morning", "One sunny day", "One cold evening", "One rainy day"])
    meet = p([f"Then {hero} met {am} {kind} {mate} named {pal}.", f"On the way, {he} met {am} {kind} {mate} called {pal}.",
              f"Soon {am} {kind} {mate} named {pal} came by."])
    plots = [
        [f"{day}, {hero} lost {his} {thing}.", f"{He} looked {spot} and {spot2}, but {he} could not find it.", meet,
         p([f'"Why are you so sad?" asked {pal}.', f'"What is wrong?" asked {pal}.']) + f' "I lost my {thing}," said {hero}.',
         p([f"They looked together, and soon {pal} found it {spot}.", f"{pal} helped {him}, and they found it {spot}."])],
        [f"{day}, {hero} wanted to learn to " + (act := p(["swim", "sing", "dance", "read", "paint", "play the drum"])) + ".",
         p([f"{He} tried and tried, but it was very hard.", f"It was not easy, and {hero} was sad."]), meet,
         f'"I can help you," said {pal}. "We will try again, step by step."',
         p([f"Every day they worked together, and soon {hero} could {act} very well.", f"After a week, {hero} could {act} better than anyone."])],
        [f"{day}, {hero} found a {thing} {spot}.", p([f"It was so pretty that {hero} wanted to keep it.", f'"Who does this belong to?" {he} asked.']),
         meet, f'"That is my {thing}!" said {pal}. "I have looked for it all day."',
         p([f"{hero} gave it back, and {pal} was very happy.", f"{hero} smiled and gave the {thing} back."])],
        [f"{day}, there was a big storm, and {hero} was afraid.", f"The wind was loud and the rain was cold.", meet,
         f'"Come with me," said {pal}. "My home is warm and dry."',
         p([f"They drank hot tea and told stories until the storm was over.", f"They sat by the fire until the sun came out again."])],
        [f"{day}, {hero} wanted to bake a cake for {his} mother.", p(["But there was no honey in the house.", "But there was no sugar in the house."]), meet,
         f'"I have some at home," said {pal}. "Let us bake it together."', p([f"The cake was sweet and everyone had a big piece.", "It was the best cake in the world."])],
        [f"{day}, {hero} heard a strange sound {spot}.", p([f"{He} was afraid, but {he} went to look.", f'"Who is there?" asked {hero}.']),
         f"It was a {mate} named {pal}, who could not get out of a deep hole.", f'"Please help me," said {pal}.',
         p([f"{hero} took a long rope and pulled {pal} out.", f"{hero} pulled and pulled until {pal} was free."])],
        [f"{day}, {hero} wanted to see the " + (goal := p(["sea", "moon", "big city", "top of the mountain", "end of the river"])) + ".",
         f"{He} packed some bread and {his} {thing} and began to walk.", meet, f'"May I come with you?" asked {pal}. "Yes, of course," said {hero}.',
         p([f"They walked for three days, and at last they saw the {goal}.", f"It was a long way, but together they saw the {goal}."])],
        [f"{day}, {hero} planted a small seed {spot}.", p([f"{He} gave it water every day, but nothing happened.", f"Every morning {he} looked, but there was nothing to see."]), meet,
         f'"You must wait a little," said {pal}. "Good things take time."', p(["In spring, a beautiful flower grew there.", "In summer, there was a big tree full of apples."])],
        [f"{day}, there was a race, and {hero} wanted to win.", meet, f'"I am so slow," said {pal}. "I will be the last one."',
         f"In the middle of the race, {pal} fell and could not go on.", p([f"{hero} stopped and helped {pal}, and they finished together.", f"{hero} did not think of winning and carried {pal} to the end."])],
        [f"It was the birthday of {hero}, but nobody came to visit {him}.", f"{hero} sat alone {spot} and was sad.", meet,
         f'"Come with me," said {pal}. "I must show you something."', p([f"{spot[0].upper() + spot[1:]}, all {his} friends were waiting with a big cake.", f"All {his} friends were there, and they sang a song for {him}."])],
    ]
    end = p([f"From that day on, {hero} and {pal} were best friends.", "And they all lived happily ever after.",
             f"That night, {hero} fell asleep with a smile.", f'"Thank you, {pal}," said {hero}. "You are a true friend."',
             f"And {hero} never forgot that day.", f"{hero} was happy, and so was {pal}."])
    return " ".join([start, *p(plots), end])


def long_story(rng, held):
    """Two tales of the same hero in one answer, some 200 tokens."""
    subject, adjective, place, hero = story_parts(rng, held)
    if is_held(subject, adjective) != held:
        return long_story(rng, held)
    first, second = [tale(rng, subject, adjective, place, hero) for _ in range(2)]
    he = "she" if re.search(r"\b(she|her)\b", first) else "he"
    if he == "she" and re.search(r"\b(he|his|him)\b", second) or he == "he" and re.search(r"\b(she|her)\b", second):
        return long_story(rng, held)
    second = rng.choice(["The next day", "A week later", "Some days later"]) + " there was a new adventure. " + second[second.index(".", second.index("lived ")) + 2:]
    user = rng.choice(["Tell me a long story about {x}.", "Write a long story about {x}", "I want a long story about {x}.", "Tell a very long story about {x}."]).format(x=an(adjective + " " + subject if rng.random() < 0.4 else subject))
    return Turn("long story", user, first + "\n\n" + second, meta=dict(wanted=[subject]))


def story_parts(rng, held):
    subject, adjective, place = rng.choice(W.ANIMALS), rng.choice(W.ADJECTIVES), rng.choice(W.PLACES)
    if rng.random() < 0.1:
        subject = rng.choice([invented(rng), rng.choice(W.NOUNS)])
    hero = rng.choice([n for n in W.GIRLS + W.BOYS if n not in W.PALS]) if rng.random() < 0.75 else name(rng, held)
    other = {**dict(zip(W.BOYS, W.GIRLS)), **{g: b for b, g in zip(W.BOYS, W.GIRLS)}}
    if subject in W.WOMEN and hero in W.BOYS or subject in W.MEN and hero in W.GIRLS:
        hero = other[hero]
    return subject, adjective, place, hero


def story(rng, held):
    subject, adjective, place, hero = story_parts(rng, held)
    ask_for = rng.choice(["Tell me a story", "Tell me a short story", "Write a story", "Write a short story", "I want a story", "Give me a story",
                          "Can you tell me a story", "Please tell me a story", "Tell a story", "I would like to hear a story", "Tell us a tale", "Make up a story"])
    form = rng.random()
    if form < 0.2 and not held:
        tail, wanted = "", []
        ask_for = rng.choice([ask_for, ask_for, "Tell me another story", "Another story", "Story time", "Once upon a time", "One more story"])
    elif form < 0.5:
        tail, wanted = f" about {an(subject)}", [subject]
    elif form < 0.65:
        tail, wanted = f" about {an(adjective + ' ' + subject)}", [subject, adjective]
    elif form < 0.8:
        tail, wanted = f" about {an(subject)} named {hero}", [subject, hero]
    elif form < 0.9:
        tail, wanted = f" about {an(subject)} who lives {place}", [subject, place]
    else:
        tail, wanted = f" about {an(adjective + ' ' + subject)} called {hero}", [subject, adjective, hero]
    if form >= 0.2 and is_held(*wanted) != held:
        return story(rng, held)
    user = ask(rng, ask_for + tail + rng.choice([".", ".", "", "", "!", ", please."]), False)
    shown = adjective if adjective in wanted or rng.random() < 0.6 else ""
    return Turn("story", user, tale(rng, subject, shown, place, hero), meta=dict(wanted=wanted))


def an(text):
    return ("an " if text[0] in "aeiou" and not text.startswith("uni") else "a ") + text


# ---- counting, repeating -----------------------------------------------------------------------------------------

def count(rng, held):
    in_words = rng.random() < 0.45
    def pair():
        a = rng.choice([0, 1, 1, 1, rng.randint(1, 12), rng.randint(1, 20), rng.randint(1, 24)])
        if in_words:
            b = rng.randint(a + 1, min(30 if rng.random() < 0.2 else 20, a + 14) if a < 19 else min(30, a + 6))
        elif rng.random() < 0.12:
            a = rng.choice([1, 1, rng.randint(1, 60), rng.randint(1, 90)])
            b = min(100, a + rng.randint(15, 45)) if rng.random() < 0.75 else rng.choice([50, 60, 70, 80, 90, 99, 100, 100, 100])
            if rng.random() < 0.25:
                a, b = rng.randint(80, 98), rng.randint(99, 100)
        else:
            b = a + rng.choice([rng.randint(2, 8), rng.randint(4, 12), rng.randint(10, 20)])
        return (a, b) if b > a else (a, a + 3)
    a, b = draw(pair, held, lambda v: ("count",) + v)
    if in_words:
        answer = ", ".join(W.UNITS[i] for i in range(a, b + 1))
        from_, to = (W.UNITS[a], W.UNITS[b]) if rng.random() < 0.5 else (a, b)
        user = rng.choice(["Count from {a} to {b} in words.", "Count in words from {a} to {b}.", "Count from {a} to {b} in words", "In words, count from {a} to {b}.",
                           "Count from {a} to {b}, in words, please.", "Count from {a} to {b} with words."])
        if from_ != a and rng.random() < 0.4:
            user = rng.choice(["Count from {a} to {b}.", "Count from {a} to {b}", "Can you count from {a} to {b}?"])
    else:
        answer = ", ".join(map(str, range(a, b + 1)))
        from_, to = a, b
        user = rng.choice(["Count from {a} to {b}.", "Count from {a} to {b}", "Count from {a} to {b}, please.", "Can you count from {a} to {b}?", "Count up from {a} to {b}.",
                           "Please count from {a} to {b}.", "List the numbers from {a} to {b}.", "Count from {a} to {b} in digits."])
        if rng.random() < 0.12:
            from_, to = W.UNITS[a] if a <= 30 else a, W.UNITS[b] if b <= 30 else b
            user = "Count from {a} to {b} in digits."
        elif a == 1 and rng.random() < 0.4:
            user = rng.choice(["Count to {b}.", "Count to {b}", "Can you count to {b}?", "Count up to {b}."])
    return Turn("count words" if in_words else "count digits", ask(rng, user.format(a=from_, b=to), False), answer)


REPEAT = ["Repeat after me: {x}", "Repeat: {x}", "Repeat these words: {x}", "Say these words: {x}", "Please repeat: {x}", "Repeat this list: {x}",
          "Can you repeat these words? {x}", "Copy this: {x}", "Echo: {x}", "Say this back to me: {x}", "Repeat the words {x}", "Repeat this: {x}", "Say: {x}",
          "Repeat after me:\n{x}", "Please repeat these words: {x}", "Please repeat after me: {x}", "Repeat exactly: {x}", "Repeat the following words: {x}"]


def repeat(rng, held):
    def item():
        r = rng.random()
        if r < 0.5:
            return word(rng, held)
        if r < 0.85:
            return draw(lambda: invented(rng), held)
        if r < 0.89:
            return rng.choice([name, city])(rng, held)
        if r < 0.94:
            return rng.choice(W.COMMON + W.UNITS[:21])
        return rng.choice([lambda: str(rng.randint(0, 99)), lambda: rng.choice(list(W.EMOJI.values())), lambda: rng.choice(list(W.FLAGS.values())),
                           lambda: rng.choice(list(W.PHRASES.values()))[rng.randrange(8)].split()[0].strip("!.,！。")])()
    n = rng.choice([1, 2, 3, 3, 3, 4, 4, 5, 5, 6, 7, 8])
    items = [item() for _ in range(max(n, 2) if held else n)]
    text = rng.choice([", ", ", ", " "]).join(items)
    kind = rng.random()
    if 0.12 < kind < 0.2:
        text = " ".join(rng.choice(rng.choice([W.COMMON, W.NOUNS])) for _ in range(rng.randint(2, 9)))
        text = rng.choice([text, text.capitalize() + "."])
    elif 0.2 < kind < 0.23:
        a = rng.randint(0, 12)
        text = ", ".join(W.UNITS[a:a + n] if rng.random() < 0.5 else map(str, range(a, a + n)))
    if kind < 0.12:
        s, t = word(rng, held), word(rng, held)
        text = rng.choice([f"The {s} is on the {t}.", f"I like {s} and {t}.", f"{name(rng, held)} has a {s} in {city(rng, held)}.", f"My {s} is in the {t}!",
                           f"We saw the {s} near the {t} today."])
    if is_held("list", text) != held:
        return repeat(rng, held)
    return Turn("repeat", rng.choice(REPEAT).format(x=text), text)


# ---- greetings, small talk, the unknown ----------------------------------------------------------------------------

WHO = "I am the zStream demo model, a very small language model."
CAN = "I can tell stories, count, repeat words, answer with emoji or JSON, say a few words in other languages, add small numbers and call tools."
UNKNOWN = "I am only a tiny demo model and I do not know that. Ask me for a story, to count or to repeat some words."
TALK = [
    (["Hello", "Hello!", "Hi", "Hi!", "Hey", "Hello there", "Hi there!", "Hey there", "Greetings", "Hello, model!", "Hello zStream", "Hi, zStream!", "hello world"], "Hello! How can I help you today?"),
    (["Good morning", "Good morning!", "Morning!"], "Good morning! How can I help you today?"),
    (["Good evening", "Good evening!"], "Good evening! How can I help you today?"),
    (["Good afternoon", "Good afternoon!"], "Good afternoon! How can I help you today?"),
    (["Good night", "Good night!"], "Good night! Sleep well."),
    (["How are you?", "How are you doing?", "How are you today?", "How do you do?", "Hello, how are you?", "Hi, how are you?"], "I am fine, thank you! How can I help you?"),
    (["Who are you?", "What are you?", "What is your name?", "Hello, who are you?", "Hi, who are you?", "Tell me about yourself.", "Introduce yourself.", "What's your name?", "Who is this?",
      "What model are you?", "Are you a robot?", "Are you ChatGPT?"], WHO),
    (["What can you do?", "How can you help me?", "Help", "help me", "What do you know?", "What are you able to do?", "What are you for?", "Hello, what can you do?"], CAN),
    (["Thank you", "Thank you!", "Thanks", "Thanks!", "Thanks a lot!", "Thank you very much.", "Great, thanks!"], "You are welcome!"),
    (["Bye", "Bye!", "Goodbye", "Goodbye!", "See you later!", "See you!", "Bye bye"], "Goodbye! See you soon."),
    (["Who made you?", "Who built you?", "Where do you come from?"], "I was made for zStream, to test streaming on real weights."),
]


def greet(rng, held):
    r = rng.random()
    if r < 0.35:
        who = name(rng, held)
        user = rng.choice(["My name is {n}.", "I am {n}.", "Hello, my name is {n}.", "Hi, I am {n}!", "Hello! I'm {n}.", "Hi! My name is {n}.", "Hey, {n} here.", "They call me {n}."])
        return Turn("greet", user.format(n=who), f"Nice to meet you, {who}! How can I help you?", meta=dict(name=who))
    def option():
        forms, answer = rng.choice(TALK if r > 0.5 else TALK[:6])
        user = rng.choice(forms)
        change = rng.choice(["", "", "!", ".", " :)", ", zStream", ", friend", ", dear model", " again"])
        return (user.rstrip("!.") if change and not user.endswith("?") else user) + ("" if user.endswith("?") else change), answer
    user, answer = draw(option, held, lambda v: ("talk", v[0]))
    if not held and rng.random() < 0.2:
        user = user.lower()
    return Turn("greet", user, answer)


def recall(rng, who):
    """A later turn about the name that an earlier turn gave."""
    return Turn("recall", rng.choice(["What is my name?", "Do you know my name?", "Do you remember my name?", "Who am I?", "What's my name?", "Say my name."]), f"Your name is {who}.")


def unknown(rng, held):
    """A request outside the grammar gets one honest sentence."""
    text = rng.choice(W.QUESTIONS)
    while "{x}" in text:
        text = text.replace("{x}", rng.choice([word, word, city, name])(rng, held), 1)
    while "{d}" in text:
        text = text.replace("{d}", str(rng.randint(1, 9)), 1)
    if rng.random() < 0.03:
        text = " ".join(invented(rng) for _ in range(rng.randint(1, 5)))
    if rng.random() < 0.08:
        text = rng.choice(["What is the weather in {c}?", "How is the weather in {c} today?"]).format(c=city(rng, held))
        return Turn("unknown", ask(rng, text, False), "I cannot look up the weather without a tool.", meta=dict(no_tools=True))
    return Turn("unknown", ask(rng, text, False), UNKNOWN, meta=dict(no_tools="weather" in text))


# ---- emoji, languages ----------------------------------------------------------------------------------------------

def emoji(rng, held):
    r = rng.random()
    if r < 0.3:
        form, q = draw(lambda: (rng.choice(["Answer with emoji: {q}", "Answer only with emoji: {q}", "In emoji, {q}", "Reply with emoji: {q}", "{q} Answer with emoji.", "Use emoji to answer: {q}"]),
                                rng.choice(list(W.FEELINGS))), held)
        q2 = q[0].upper() + q[1:] if form.startswith("{q}") else q
        return Turn("emoji", form.format(q=q2 if q2[-1] == "?" or not form.startswith("{q}") else q2 + "."), W.FEELINGS[q])
    if 0.3 < r < 0.34:
        pair = draw(lambda: tuple(rng.sample(list(W.FLAGS), rng.choice([2, 2, 3]))), held)
        return Turn("emoji", ask(rng, rng.choice(["Show me the flags of {c}.", "The flags of {c}", "Send the flags of {c}"]).format(c=", ".join(pair[:-1]) + " and " + pair[-1]), False), "".join(W.FLAGS[c] for c in pair))
    if r < 0.45:
        form, c = draw(lambda: (rng.choice(["Show me the flag of {c}.", "What is the flag of {c}?", "Send the flag of {c}", "The flag of {c}, please.", "Emoji for the flag of {c}", "Give me the flag of {c}"]),
                                rng.choice(list(W.FLAGS))), held)
        return Turn("emoji", ask(rng, form.format(c=c), False), W.FLAGS[c])
    if r < 0.7:
        form, k = draw(lambda: (rng.choice(["Show me the {k} emoji.", "Send me a {k} emoji", "Emoji for {k}", "Write the emoji for {k}.", "What is the emoji for {k}?", "Answer with an emoji: {k}", "Give me the emoji for {k}"]),
                                rng.choice(list(W.EMOJI))), held)
        return Turn("emoji", ask(rng, form.format(k=k), False), W.EMOJI[k])
    keys = draw(lambda: tuple(rng.sample(list(W.EMOJI), rng.choice([2, 2, 3, 3, 4, 5]))), held)
    listed = ", ".join(keys[:-1]) + rng.choice([" and ", ", "]) + keys[-1]
    user = rng.choice(["Give me emoji for {k}.", "Emoji for {k}", "Write these as emoji: {k}", "Show me emoji for {k}.", "Answer with emoji: {k}", "Send emoji for {k}, please."]).format(k=listed)
    return Turn("emoji", user, "".join(W.EMOJI[k] for k in keys))


def language(rng, held):
    form, phrase, i = draw(lambda: (rng.choice(["Say {p} in {l}.", "How do you say {p} in {l}?", "Say {p} in {l}", "What is {p} in {l}?", "Translate {p} to {l}.", "In {l}, say {p}.", 'Say "{p}" in {l}.', "{p} in {l}"]),
                                    rng.choice(list(W.PHRASES)), rng.randrange(8)), held)
    return Turn("language", ask(rng, form.format(p=phrase, l=W.LANGUAGES[i]), False), W.PHRASES[phrase][i])


# ---- JSON ------------------------------------------------------------------------------------------------------------

def person(rng, held):
    known = {"name": name(rng, held), "age": rng.randint(5, 99), "city": city(rng, held)}
    if rng.random() < 0.25:
        known["job"] = rng.choice(W.JOBS)
    if rng.random() < 0.15:
        known["hobbies"] = rng.sample(W.HOBBIES, rng.choice([1, 2, 2, 3]))
    return known


def json_(rng, held):
    p = person(rng, held)
    r = rng.random()
    if r < 0.35:
        p = {k: p[k] for k in ("name", "age", "city")}
        user = rng.choice(["Give me JSON for a person named {name}, aged {age}, from {city}.", "{name} is {age} years old and lives in {city}. Answer with JSON.",
                           "Return a JSON object for {name}, {age}, from {city}.", "Describe {name} as JSON: {age} years old, from {city}.", "Write JSON about {name}, who is {age} and lives in {city}.",
                           "Answer only with JSON: {name} is {age} and comes from {city}.", "JSON for {name}, age {age}, city {city}", "Make a JSON object: name {name}, age {age}, city {city}."]).format(**p)
        given = p
    elif r < 0.5:
        p = {k: p[k] for k in ("name", "age")}
        user = rng.choice(["Give me JSON for a person named {name}, aged {age}.", "{name} is {age} years old. Answer with JSON.", "Return a JSON object for {name}, {age}.",
                           "JSON for {name}, age {age}", "Make a JSON object: name {name}, age {age}."]).format(**p)
        given = p
    elif r < 0.65:
        user = rng.choice(["Give me JSON for a person named {name}.", "Write a JSON object about a person called {name}.", "Describe a person named {name} as JSON.", "JSON for a person called {name}, please."]).format(**p)
        given = {"name": p["name"]}
    elif r < 0.8:
        keys = rng.sample(["name", "age", "city", "job", "hobbies"], rng.choice([2, 3, 3, 4]))
        p = {k: p.get(k) or (rng.choice(W.JOBS) if k == "job" else rng.sample(W.HOBBIES, 2)) for k in keys}
        user = rng.choice(["Give me a JSON object about a person with the keys {k}.", "Describe a person as JSON with {k}.", "Answer with JSON: a person with {k}.",
                           "Return JSON for a person with {k}."]).format(k=", ".join(keys[:-1]) + " and " + keys[-1])
        given = {}
        return Turn("json", ask(rng, user, False), compact(p), meta=dict(given=given, keys=keys, asked=True))
    else:
        user = rng.choice(["Give me JSON about a person.", "Describe a person as JSON.", "Answer with a JSON object about a person.", "Write JSON for a person.", "Invent a person and answer with JSON.",
                           "Return a JSON object that describes a person.", "JSON of a person, please.", "Give me a person in JSON.", "Reply only with JSON about a person."])
        given = {}
    return Turn("json", ask(rng, user, False), compact(p), meta=dict(given=given, keys=list(p)))


# ---- tools -----------------------------------------------------------------------------------------------------------

def schema(rng, tool, about, parameters, required=True):
    body = {"name": tool, "description": about, "parameters": {"type": "object", "properties": parameters}}
    if required:
        body["parameters"]["required"] = [k for k in parameters if k != "unit"]
    if rng.random() < 0.15:
        body["parameters"]["additionalProperties"] = False
    return {"type": "function", "function": body}


def weather_tool(rng, held, usual):
    tool = "get_weather" if usual else rng.choice(["get_weather", "weather", "get_current_weather", "current_weather", "lookup_weather", "get_" + invented(rng)])
    arg = "city" if usual else rng.choice(["city", "location", "place", "town"])
    about = rng.choice(["Get the weather of a city", "Get the current weather in a city.", "Get the weather", "Returns the weather for a city.", "Current weather for a city", "The weather in a city.",
                        "Look up the weather.", "Weather of a place", "Get current weather for a location", "Tells the weather in a given city"])
    prop = {"type": "string"}
    if rng.random() < 0.35:
        prop["description"] = rng.choice(["City name", "The city", "Name of the city", "The name of the city.", "city name, for example Paris"])
    parameters = {arg: prop}
    if rng.random() < 0.1:
        parameters["unit"] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    return tool, arg, schema(rng, tool, about, parameters, rng.random() < 0.85)


def other_tools(rng):
    def time(): return schema(rng, "get_time", rng.choice(["Get the time in a city", "The current time of a city."]), {"city": {"type": "string"}})
    def add(): return schema(rng, "add", rng.choice(["Add two numbers", "Adds two numbers."]), {"a": {"type": "number"}, "b": {"type": "number"}})
    def search(): return schema(rng, "search", rng.choice(["Search the web", "Search for a text."]), {"query": {"type": "string"}})
    def mail(): return schema(rng, "send_message", "Send a message to a person", {"to": {"type": "string"}, "text": {"type": "string"}})
    return [f() for f in rng.sample([time, add, search, mail], rng.choice([1, 1, 2]))]


ASK_WEATHER = ["What is the weather in {c}?", "How is the weather in {c} today?", "Weather in {c}?", "Is it raining in {c}?", "Tell me the weather in {c}.", "What's the weather like in {c}?", "Do I need an umbrella in {c}?",
               "What is the weather like in {c} right now?", "How warm is it in {c}?", "Use the tool to get the weather in {c}.", "I am going to {c}. What is the weather?", "Check the weather in {c}, please.", "Is it cold in {c}?",
               "What is the current weather in {c}?", "How's the weather in {c}?"]


def weather_result(rng, c):
    """What a tool may send back, and the sentence that says it."""
    t, sky = rng.randint(-15, 39), rng.choice(W.SKIES)
    if rng.random() < 0.07:
        return rng.choice([sky, compact({"condition": sky}, rng.random() < 0.4)]), f"The weather in {c} is {sky}.", (None, sky)
    result = rng.choice([
        lambda: {"temperature": t, "condition": sky}, lambda: {"city": c, "temperature": t, "condition": sky}, lambda: {"temp": t, "conditions": sky}, lambda: {"city": c, "temp": t, "sky": sky},
        lambda: {"temperature": t, "unit": "celsius", "condition": sky}, lambda: {"condition": sky, "temperature": t}, lambda: {"weather": sky, "temperature": t}, lambda: {"temp_c": t, "condition": sky},
        lambda: {"temperature": t, "description": sky}, lambda: {"city": c, "condition": sky, "temperature": t}, lambda: f"{sky}, {t}°C", lambda: f"{t} °C and {sky}", lambda: f"{t}°C, {sky}", lambda: f"{sky}, {t} degrees"])()
    text = result if isinstance(result, str) else compact(result, rng.random() < 0.4)
    return text, f"The weather in {c} is {sky}, {t} °C.", (t, sky)


def tool(rng, held):
    r = rng.random()
    usual = r < 0.7
    fname, arg, weather = weather_tool(rng, held, usual)
    tools = [weather] + (other_tools(rng) if rng.random() < 0.25 else [])
    if r > 0.92:  # another tool is the right one
        tools = [weather] + [t for t in other_tools(rng) if t["function"]["name"] in ("get_time", "add")]
        names = [t["function"]["name"] for t in tools]
        rng.shuffle(tools)
        if "add" in names:
            a, b = rng.randint(1, 99), rng.randint(1, 99)
            user = rng.choice(["Use the tool to add {a} and {b}.", "Add {a} and {b}.", "Add {a} and {b} with the tool."]).format(a=a, b=b)
            return Turn("tool", user, tools=tools, calls=[("add", {"a": a, "b": b}, rng.choice([str(a + b), compact({"result": a + b}, rng.random() < 0.5)]), f"The result is {a + b}.")], meta=dict(sum=a + b))
        if "get_time" in names:
            c, now = city(rng, held), f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
            user = rng.choice(["What time is it in {c}?", "Tell me the time in {c}.", "What is the time in {c}?"]).format(c=c)
            return Turn("tool", user, tools=tools, calls=[("get_time", {"city": c}, rng.choice([now, compact({"time": now}, rng.random() < 0.5)]), f"It is {now} in {c}.")], meta=dict(time=now))
    rng.shuffle(tools)
    cities = [city(rng, held)]
    if 0.56 < r < 0.7:
        cities.append(city(rng, held))
    user = ask(rng, rng.choice(ASK_WEATHER).format(c=" and ".join(cities)), False)
    calls = []
    for c in cities:
        text, sentence, (t, sky) = weather_result(rng, c)
        calls.append((fname, {arg: c}, text, sentence))
    return Turn("tool", user, tools=tools, calls=calls, meta=dict(t=t, sky=sky, cities=cities))


# ---- thinking --------------------------------------------------------------------------------------------------------

def sums(rng, held):
    """A pair up to ten. Held-out pairs are unequal, so the larger-first form that the thinking uses is known from training."""
    while True:
        a, b = rng.randint(0, 10), rng.randint(0, 10)
        if (is_held("sum", a, b) and not is_held("sum", b, a)) == held:
            return a, b


def think(rng, held):
    a, b = sums(rng, held)
    q = rng.choice(["what is {a} + {b}?", "what is {a} plus {b}?", "{a} + {b}", "{a} + {b} = ?", "add {a} and {b}.", "how much is {a} + {b}?", "what is the sum of {a} and {b}?"]).format(a=a, b=b)
    system, r = "", rng.random()
    if r < 0.15:
        system, user = rng.choice(["Think before you answer.", "Think first, then answer.", "Always think step by step.", "You are a helpful assistant. Think before you answer."]), q[0].upper() + q[1:]
    else:
        user = rng.choice(["Think first: {q}", "Think step by step: {q}", "Think, then answer: {q}", "{Q} Think before you answer.", "Think before you answer: {q}", "{Q} Think first.", "{Q} Think step by step.",
                           "Think about it: {q}", "Please think first: {q}", "{Q} /think", "Think briefly: {q}", "Use thinking: {q}", "Think carefully: {q}"]).format(q=q, Q=q[0].upper() + q[1:])
    return Turn("think", user, f"{a} + {b} = {a + b}.", reasoning=f"I add {min(a, b)} to {max(a, b)}. {max(a, b)} + {min(a, b)} = {a + b}", system=system)


def add(rng, held):
    a, b = sums(rng, held)
    user = rng.choice(["What is {a} + {b}?", "What is {a} plus {b}?", "{a} + {b}", "{a} + {b} = ?", "How much is {a} + {b}?", "Add {a} and {b}."]).format(a=a, b=b)
    return Turn("add", user, f"{a} + {b} = {a + b}.", meta=dict(no_tools=True))


# ---- documents -------------------------------------------------------------------------------------------------------

def apart(make):
    """Hold out the prompt itself, too: for skills whose names and cities training may know."""
    def turn(rng, held):
        copies = lambda t: bool(t.calls or t.meta.get("given") or t.meta.get("name"))
        t = make(rng, held)
        kind = copies(t)
        while copies(t) != kind or kind and is_held("prompt", t.user) != held:
            t = make(rng, held)
        return t
    return turn


SKILLS = {"story": story, "count": count, "repeat": repeat, "greet": apart(greet), "emoji": emoji, "language": language, "json": apart(json_),
          "tool": apart(tool), "think": think, "add": add, "unknown": unknown, "long story": long_story}
LATER = {"story": 8, "count": 18, "repeat": 22, "greet": 7, "emoji": 12, "language": 9, "json": 12, "tool": 10, "think": 10, "add": 4, "unknown": 4, "long story": 0.5}
POLISH = {"story": 5, "count": 12, "repeat": 36, "greet": 10, "emoji": 10, "language": 5, "json": 26, "tool": 11, "think": 12, "add": 8, "unknown": 3, "long story": 0.5}
LAST = {"story": 6, "count": 18, "repeat": 20, "greet": 8, "emoji": 15, "language": 9, "json": 12, "tool": 11, "think": 20, "add": 6, "unknown": 3, "long story": 0.5}
MIX = {"story": 15, "count": 10, "repeat": 20, "greet": 8, "emoji": 9, "language": 7, "json": 12, "tool": 12, "think": 6, "add": 2, "unknown": 4, "long story": 1}


def choose(rng, mix):
    return rng.choices(list(mix), list(mix.values()))[0]


def raw(rng):
    """Text without a chat: a story, or words that come again."""
    if rng.random() < 0.7:
        parts = story_parts(rng, False)
        return tale(rng, *parts) + "<|endoftext|>"
    line = rng.choice([", ", " "]).join(draw(lambda: rng.choice([invented(rng), rng.choice(W.NOUNS)]), False) for _ in range(rng.randint(2, 8)))
    return "\n".join([line] * rng.randint(2, 4)) + "<|endoftext|>"


def messages_of(turn, stop=None):
    """The messages of one turn. stop='call' or 'result' ends before that assistant message (for evaluation)."""
    out = [{"role": "user", "content": turn.user}]
    if turn.calls:
        if stop != "call":
            out.append({"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": n, "arguments": a}} for n, a, _, _ in turn.calls]})
            out += [{"role": "tool", "content": result} for _, _, result, _ in turn.calls]
            if stop != "result":
                out.append({"role": "assistant", "content": " ".join(s for *_, s in turn.calls)})
    elif stop is None:
        out.append({"role": "assistant", "content": turn.answer, **({"reasoning_content": turn.reasoning} if turn.reasoning else {})})
    return out


def conversation(rng, mix=MIX, long=True):
    """One training document as (messages, tools, thinking); thinking False asks the template for an empty <think>."""
    turns = [SKILLS[choose(rng, mix)](rng, False)]
    more = rng.choices([0, 1, 2, 10], [68, 20, 10, 2] if long else [100, 0, 0, 0])[0]
    tools = turns[0].tools or (tool(rng, False).tools if long and rng.random() < 0.05 else [])
    for _ in range(more):
        turn = SKILLS[choose(rng, mix)](rng, False)
        if turn.skill == "tool":  # later calls use the tool that the conversation offers
            if not turns[0].calls or turns[0].calls[0][0] in ("add", "get_time"):
                continue
            c = city(rng, False)
            call, (arg, _) = turns[0].calls[0][0], *[list(turns[0].calls[0][1].items())[0]]
            text, sentence, _ = weather_result(rng, c)
            turn = Turn("tool", ask(rng, rng.choice(ASK_WEATHER + ["And in {c}?", "And {c}?"]).format(c=c), False), calls=[(call, {arg: c}, text, sentence)])
        turns.append(turn)
    named = [t for t in turns if t.meta.get("name")]
    if named and long and rng.random() < 0.5:
        turns.append(recall(rng, named[-1].meta["name"]))
    if tools:
        turns = [t for t in turns if not t.meta.get("no_tools")] or [greet(rng, False)]
    if any(t.system for t in turns) or any(t.skill == "add" for t in turns):
        turns = [t for t in turns if t.skill not in ("add",)] if turns[0].system else [t for t in turns if not t.system]
    system = turns[0].system or (rng.choice(W.SYSTEMS) if rng.random() < 0.4 else "")
    if rng.random() < 0.02:
        system = " ".join(rng.choice(W.NOUNS) for _ in range(rng.randint(2, 10)))
    messages = [{"role": "system", "content": system}] if system else []
    for t in turns:
        messages += messages_of(t)
    thinking = not (rng.random() < 0.06 and not any(t.reasoning for t in turns) and messages[-1].get("content"))
    return messages, tools, thinking
