"""Owns the synthetic conversations: the skills that need no tools, the thinking, the mixes, and how turns become documents.

Every skill function takes a random generator and `held`, and returns a Turn. A Turn whose key (the number pair, the name and
city, the word list …) hashes to 0 modulo 10 is held out: training draws only turns with held=False, evaluate.py only
turns with held=True. Copying material is held out twice, since invented names, cities and words are kept from training.
"""
import re

import objects
import tools
import words as W
from base import Turn, an, ask, city, draw, invented, is_held, name, word
from objects import json_, thing


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
    return Turn("unknown", ask(rng, text, False), UNKNOWN, meta=dict(no_tools=True))


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


# ---- thinking --------------------------------------------------------------------------------------------------------

def sums(rng, held, top=None):
    """A pair, mostly up to ten. Held-out pairs are unequal, so the larger-first form that the thinking uses is known from training."""
    top = top or rng.choices([10, 20, 99], [45, 25, 30])[0]
    while True:
        a, b = rng.randint(0, top), rng.randint(0, top)
        if (is_held("sum", a, b) and not is_held("sum", b, a)) == held:
            return a, b


def thought_of_sum(a, b):
    low, high = min(a, b), max(a, b)
    if high <= 10:
        return f"I add {low} to {high}. {high} + {low} = {a + b}"
    ones, tens = high % 10 + low % 10, high // 10 * 10 + low // 10 * 10
    return f"I add {low} to {high}. {high % 10} + {low % 10} = {ones}, {high // 10 * 10} + {low // 10 * 10} = {tens}, {tens} + {ones} = {a + b}"


def add(rng, held, top=None):
    a, b = sums(rng, held, top)
    user = rng.choice(["What is {a} + {b}?", "What is {a} plus {b}?", "{a} + {b}", "{a} + {b} = ?", "How much is {a} + {b}?", "Add {a} and {b}.", "What is the sum of {a} and {b}?"]).format(a=a, b=b)
    return Turn("add", user, f"{a} + {b} = {a + b}.", reasoning=thought_of_sum(a, b), meta=dict(no_tools=True))


def thought(turn):
    """What a thinking model notes before this answer."""
    if turn.reasoning:
        return turn.reasoning
    if turn.calls:
        first = turn.calls[:turn.steps[0] if turn.steps else None]
        need = lambda n, a: f"{n}" + (" with " + ", ".join(f"{k} {objects.plain(v)}" for k, v in a.items()) if a else "")
        return "I need " + " and ".join(need(n, a) for n, a, *_ in first) + "."
    if turn.tools:
        return "None of the tools fits."
    if turn.skill in ("story", "long story"):
        wanted = turn.meta["wanted"]
        return (f"The story is about {an(wanted[0])}. " if wanted else "") + "I need a hero, a friend and a good end."
    if turn.skill.startswith("count"):
        parts = turn.answer.split(", ")
        return f"I start with {parts[0]} and stop after {parts[-1]}."
    if turn.skill in ("json", "thing"):
        return "I need a JSON array." if turn.answer[0] == "[" else f"I need a JSON object with {objects.listed(turn.meta['keys'])}."
    return {"repeat": "I say the same words again.", "recall": "The user told me the name.", "greet": "The user is friendly, and so am I.", "emoji": "I look for the right emoji.", "language": "I know this phrase.", "unknown": "I do not know this, and I should say so."}[turn.skill]


CUES = ["Think first: {q}", "Think step by step: {q}", "Think, then answer: {q}", "{Q} Think before you answer.", "Think before you answer: {q}", "{Q} Think first.", "{Q} Think step by step.", "Think about it: {q}", "Please think first: {q}", "{Q} /think",
        "Think briefly: {q}", "Use thinking: {q}", "Think carefully: {q}", "Think first. {Q}"]
THINKING = ["Think before you answer.", "Think before you answer.", "Think first, then answer.", "Always think step by step.", "You are a helpful assistant. Think before you answer."]


def cued(rng, turn):
    """The same turn, asked so that the model thinks first."""
    turn.reasoning = thought(turn)
    if rng.random() < 0.25 and not turn.system:
        turn.system = rng.choice(THINKING) if rng.random() < 0.6 else rng.choice(W.SYSTEMS) + "\n\nThink before you answer."  # as the template writes an effort
    else:
        q = turn.user
        small = q[0].lower() + q[1:] if q.split()[0] in ("What", "Add", "How", "Tell", "Count", "Give", "Write", "Say", "Show", "Repeat", "Is") else q
        turn.user = rng.choice(CUES).format(q=rng.choice([small, small, q]), Q=q[0].upper() + q[1:])
    turn.meta["cued"] = True
    return turn


def think(rng, held, top=None):
    """A sum that is thought about first."""
    turn = cued(rng, add(rng, held, top))
    turn.skill, turn.meta = "think", dict(cued=True, no_tools=True)
    return turn


def think_else(rng, held):
    """Any other request, thought about first; tools included."""
    skill = rng.choices(["story", "count", "repeat", "greet", "emoji", "language", "json", "thing", "tool", "unknown"], [10, 10, 10, 10, 8, 8, 10, 10, 22, 4])[0]
    turn = SKILLS[skill](rng, held)
    return cued(rng, turn)


# ---- documents -------------------------------------------------------------------------------------------------------

def apart(make):
    """Hold out the prompt itself, too: for skills whose names and cities training may know."""
    def turn(rng, held, *more):
        copies = lambda t: bool(t.calls or t.meta.get("given") or t.meta.get("name") or t.skill == "thing")
        t = make(rng, held, *more)
        kind = copies(t)
        while copies(t) != kind or kind and is_held("prompt", t.user) != held:
            t = make(rng, held, *more)
        return t
    return turn


def not_needed(rng, held):
    """A request that needs none of the tools on offer."""
    other = tools.tool(rng, held, "one")
    while True:
        turn = SKILLS[rng.choice(["story", "count", "repeat", "greet", "emoji", "language", "json", "thing"])](rng, held)
        if not turn.system:
            turn.tools = other.tools
            if not held and rng.random() < 0.04:  # so that it can call one all the same, where toolChoice demands it
                turn.meta["forced"] = other.calls
                turn.answer = rng.choice([turn.answer, ""])
            return turn


SKILLS = {"story": story, "count": count, "repeat": repeat, "greet": apart(greet), "emoji": emoji, "language": language, "json": apart(json_), "thing": apart(thing),
          "tool": apart(tools.tool), "not needed": not_needed, "think": think, "think else": think_else, "add": add, "unknown": unknown, "long story": long_story}
# The first mix makes the model discover copying; the second is everything that it shall know.
EARLY = {"repeat": 60, "json": 12, "greet": 10, "count": 6, "story": 6, "emoji": 3, "language": 3}
MIX = {"story": 6, "count": 12, "repeat": 13, "greet": 8, "emoji": 9, "language": 6, "json": 11, "thing": 13, "tool": 38, "not needed": 5, "think": 9, "think else": 9, "add": 9, "unknown": 4, "long story": 0.7}


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
    """The messages of one turn. A number as `stop` ends before that reply of the model's, 0 being the first (for evaluation)."""
    out, replies = [{"role": "user", "content": turn.user}], 0

    def reply(**message):
        nonlocal replies
        if stop is not None and replies >= stop:
            return False
        thinks = {"reasoning_content": turn.reasoning, "cut": turn.meta.get("cut", False)} if turn.meta.get("cued") and not replies else {}
        out.append({"role": "assistant", **message, **thinks})
        replies += 1
        return True

    at = 0
    for n in turn.steps or ([len(turn.calls)] if turn.calls else []):
        calls, at = turn.calls[at:at + n], at + n
        if not reply(content="", tool_calls=[{"type": "function", "function": {"name": name, "arguments": arguments}} for name, arguments, *_ in calls]):
            return out
        out += [{"role": "tool", "content": result} for _, _, result, _ in calls]
    forced = turn.meta.get("forced")  # a call that only a caller can demand
    reply(content=" ".join(s for *_, s in turn.calls) if turn.calls else turn.answer, **({"tool_calls": [{"type": "function", "function": {"name": n, "arguments": a}} for n, a, *_ in forced]} if forced else {}))
    return out


def mute(messages):
    """Marks replies that training must not copy."""
    for m in messages:
        if m["role"] == "assistant":
            m["mute"] = True
    return messages


def conversation(rng, mix=MIX, long=True):
    """One training document as (messages, tools, thinking). With thinking False the template puts an empty <think> before the last reply.
    Replies marked "mute" are read and not learnt, thoughts marked "cut" neither: those that thought before the template dropped it, and the first of calls made one by one."""
    first = SKILLS[choose(rng, mix)](rng, False)
    turns, offers = [first], first.tools
    if not offers and long and not first.meta.get("no_tools") and rng.random() < 0.03:
        offers = tools.tool(rng, False).tools
    for _ in range(rng.choices([0, 1, 2, 10], [72, 18, 8, 2] if long else [100, 0, 0, 0])[0]):
        turn = SKILLS[choose(rng, mix)](rng, False)
        if turn.tools or turn.calls:  # later calls use the tool that the conversation offers
            if not first.calls:
                continue
            turn = tools.again(rng, False, first)
        if turn.system or turn.meta.get("no_tools") and offers:
            continue
        turns.append(turn)
    named = [t for t in turns if t.meta.get("name")]
    if named and long and rng.random() < 0.5:
        turns.append(recall(rng, named[-1].meta["name"]))
    if first.system and first.meta.get("cued"):  # a system prompt that asks for thinking holds for every turn
        for t in turns[1:]:
            t.reasoning, t.meta["cued"] = thought(t), True
    system = first.system or (rng.choice(W.SYSTEMS) if rng.random() < 0.4 else "")
    if rng.random() < 0.02 and not first.system:
        system = " ".join(rng.choice(W.NOUNS) for _ in range(rng.randint(2, 10)))
    messages = [{"role": "system", "content": system}] if system else []
    thinking = rng.random() > (0.3 if turns[-1].meta.get("cued") else 0.06) if long else True
    for t in turns:
        if t is turns[-1] and t.meta.get("cued") and rng.random() < 0.06:  # a thought that a budget ends; the answer is learnt, not the end
            words = t.reasoning.split(" ")
            t.reasoning, t.meta["cut"] = " ".join(words[:rng.randint(1, len(words))]), True
        own = messages_of(t)
        if t.meta.get("cued") and t is not turns[-1]:
            mute(own)
        if t.meta.get("kind") in ("twice", "both") and len(t.steps) > 1:
            mute(own[:2])
        if t is turns[-1] and t.meta.get("cued") and rng.random() < 0.2 and t.calls:  # clients that do not send thoughts back
            own[1].pop("reasoning_content")
            own[1].pop("cut")
            mute(own[:2])
        messages += own
    if not thinking:
        last = max(i for i, m in enumerate(messages) if m["role"] == "user")
        replies = [i for i, m in enumerate(messages) if i > last and m["role"] == "assistant" and not m.get("mute")]
        if not replies:
            return messages, offers, True
        messages = messages[:rng.choice(replies) + 1]
        for m in messages[last:]:
            m.pop("reasoning_content", None)
            m.pop("cut", None)
        if turns[-1].meta.get("cued"):
            mute(messages[last:-1])
    return messages, offers, thinking
