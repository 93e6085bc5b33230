"""Owns the tool skill: turns that call no tool, one, two at once, or one after another, and what is said of the results (toolbox.py has the tools)."""
import objects
from base import Turn, ask, draw, name
from toolbox import (ADD, ANYTHING, CONVERT, CURRENCIES, FIXED, HOME, MULTIPLY, NOUNS, PRICE, SAME, SEARCH, SEND, SUBTRACT, TIME, WEATHER, failure, fine, generic, key_of, offer, some_tool)

NO_TOOL = "I have no tool for that."


def request(rng, held, offered):
    """-> (what the user says, the values that the call needs)."""
    tool, fname, used, _ = offered
    v = tool.fill(rng, held)
    form = rng.choice(tool.asks)
    if tool.key == "by name":
        shown = {k: objects.plain(x) for k, x in v.items()}
        how = rng.choice([" {k} {v}", " {k} {v}", " {k} = {v}", " {k}: {v}"])
        pairs = objects.listed([how.format(k=used[k], v=x).strip() for k, x in shown.items()]) if shown else ""
        return rng.choice(["Use", "Call", "Run", "Please use", "Please call", "Use the tool"]) + f" {fname}" + (" with " + pairs if pairs else "") + rng.choice([".", ""]), v
    return form.format(**v), v


def call_of(rng, offered, v, ok=False):
    """-> (name, arguments, result, sentence)."""
    tool, fname, used, _ = offered
    arguments = {used[slot]: v[slot] for slot in used if slot in v}
    r = rng.random()
    result, sentence = failure(rng) if r < 0.08 and not ok else generic(rng, True) if r < 0.14 and not ok and tool.reply is not fine else tool.reply(rng, v)
    return fname, arguments, result, sentence


def lower(text):
    return text[0].lower() + text[1:] if text.split()[0].lower() in ("what", "how", "where", "is", "do", "tell", "set", "add", "search", "send", "get", "play", "find", "read", "turn", "what's", "look", "open", "check", "use", "call", "run", "please", "order", "put") else text


def distractors(rng, taken, least=0):
    out = []
    for _ in range(max(least, rng.choice([0, 0, 0, 1, 1, 2, 3, rng.randint(0, 6)]))):
        tool = some_tool(rng)
        if tool.key not in taken and not any(tool.key in same and taken & same for same in SAME):
            taken.add(tool.key)
            out.append(offer(rng, tool))
    return out


def offered_on(rng, tool, held, usual):
    """Held-out turns have names that no training conversation has; the tool's usual names are known to all."""
    return offer(rng, tool, True) if usual else draw(lambda: offer(rng, tool), held, lambda o: ("schema", *key_of(o)))


def different(rng, first, held):
    while (tool := some_tool(rng)).key == first.key or tool.key == "by name" or any({tool.key, first.key} <= same for same in SAME):
        pass
    return offered_on(rng, tool, held, rng.random() < 0.3)


def chain(rng, held):
    """Two calls, the second of which needs what the first one brought. -> (request, offers, calls)."""
    r = rng.random()
    on = lambda tool: offered_on(rng, tool, held, rng.random() < 0.4)
    if r < 0.3:
        a, b = on(HOME), on(rng.choice([WEATHER, WEATHER, TIME]))
        who = name(rng, held)
        first = call_of(rng, a, {"person": who}, True)
        c = first[3].split(" lives in ")[1][:-1]
        user = rng.choice({"weather": ["What is the weather where {p} lives?", "How is the weather in the city of {p}?", "What is the weather at the home of {p}?", "Where does {p} live, and what is the weather there?", "Find out where {p} lives and tell me the weather there."],
                           "time": ["What time is it where {p} lives?", "What is the time in the city of {p}?", "Where does {p} live, and what time is it there?"]}[b[0].key]).format(p=who)
        return user, [a, b], [first, call_of(rng, b, {"city": c})]
    if r < 0.5:
        a, b = on(rng.choice([WEATHER, WEATHER, TIME, SEARCH])), on(SEND)
        v, who = a[0].fill(rng, held), name(rng, held)
        first = call_of(rng, a, v, True)
        what = {"weather": "the weather in {city}", "time": "the time in {city}", "search": "what you find about {query}"}[a[0].key].format(**v)
        user = rng.choice(["Send {w} to {p}.", "Tell {p} {w}.", "Get {w} and send it to {p}.", "Find out {w} and tell {p}.", "Look up {w}, then send it to {p}.", "Send {p} {w}."]).format(w=what, p=who)
        return user, [a, b], [first, call_of(rng, b, {"to": who, "text": first[3]})]
    if r < 0.7:
        a, b = (on(t) for t in rng.sample([ADD, MULTIPLY, SUBTRACT], 2))
        x, y, z = (rng.randint(1, 30) for _ in range(3))
        first = call_of(rng, a, {"a": x, "b": y}, True)
        value = int(first[3].rsplit(" ", 1)[1][:-1])
        say = {"sum": ["Add {x} and {y}", "add {y}"], "product": ["Multiply {x} by {y}", "multiply by {y}"], "difference": ["Subtract {y} from {x}", "subtract {y}"]}
        user = say[a[0].key][0].format(x=x, y=y) + rng.choice([", then ", " and then ", ". Then "]) + say[b[0].key][1].format(y=z) + "."
        return user, [a, b], [first, call_of(rng, b, {"a": value, "b": z})]
    if r < 0.8:
        a, b = on(PRICE), on(CONVERT)
        item, to = ANYTHING(rng, held), rng.choice(CURRENCIES)
        v = {"item": item}
        while True:
            first = call_of(rng, a, v, True)
            words = first[3][:-1].split(" ")
            if words[-1] in CURRENCIES and words[-1] != to:
                break
        amount = float(words[-2]) if "." in words[-2] else int(words[-2])
        user = rng.choice(["What is the price of {i} in {t}?", "How much is {i} in {t}?", "Get the price of {i} and convert it to {t}."]).format(i=item, t=to)
        return user, [a, b], [first, call_of(rng, b, {"amount": amount, "from": words[-1], "to": to})]
    a = on(some_tool(rng))
    b = different(rng, a[0], held)
    (u1, v1), (u2, v2) = request(rng, held, a), request(rng, held, b)
    user = rng.choice(["First {x}, then {y}", "{X}. Then {y}", "{X}, and after that {y}", "First {x}. Then {y}"]).format(x=lower(u1).rstrip(".?!"), X=u1.rstrip(".?!"), y=lower(u2))
    return user, [a, b], [call_of(rng, a, v1), call_of(rng, b, v2)]


FOREIGN = ["Why?", "Who won the game?", "Write an essay about {y}.", "Draw a {y}.", "Fix my {y}, please.", "Is the {x} better than the {y}?", "Explain {y} to me.", "Can you help me with my {y}?", "asdf {y}", "Who wrote {y}?", "Why is the {y} so big?", "Write a poem about {y}."]
KINDS = {"one": 52, "twice": 13, "both": 7, "chain": 16, "none": 4, "failed": 8}


def tool(rng, held, kind=None):
    """A turn with tools on offer. kind: one call, the same tool twice, two tools at once, one after the other, none that fits, or one that fails."""
    kind = kind or rng.choices(list(KINDS), list(KINDS.values()))[0]
    usual = rng.random() < 0.35
    if kind == "chain":
        user, offers, calls = chain(rng, held)
        steps = [1, 1]
        if rng.random() < 0.08 and offers[0][0] in (HOME, PRICE, SEARCH):
            calls, steps = [calls[0][:2] + failure(rng)], []  # then there is nothing to go on with
    elif kind == "none":
        missing = rng.choice([t for t in FIXED if t is not SEARCH])
        near = {k for same in SAME if missing.key in same for k in same}
        offers, calls, steps = [o for o in distractors(rng, {missing.key, "search", "by name"} | near, 1)], [], []
        if not offers:
            return tool(rng, held, kind)
        user = request(rng, held, offer(rng, missing))[0] if rng.random() < 0.7 else rng.choice(FOREIGN).format(x=rng.choice(NOUNS), y=ANYTHING(rng, held))
    else:
        first = offered_on(rng, WEATHER if usual and rng.random() < 0.6 else some_tool(rng), held, usual)
        offers, steps = [first], []
        user, v = request(rng, held, first)
        calls = [call_of(rng, first, v, kind == "failed")]
        if kind == "failed":
            calls = [calls[0][:2] + failure(rng)]
        if kind == "twice":
            if first[0].key not in ("weather", "time", "price", "home", "stock", "file") and not first[0].key.startswith("of "):
                return tool(rng, held, kind)
            slot = next(iter(first[0].args))
            values = [v] + [first[0].fill(rng, held) for _ in range(rng.choice([1, 1, 1, 2]))]
            if len({str(x[slot]) for x in values}) < len(values):
                return tool(rng, held, kind)
            user = rng.choice(first[0].asks).format(**{slot: objects.listed([x[slot] for x in values])})
            calls = [call_of(rng, first, x) for x in values]
        if kind == "both":
            second = different(rng, first[0], held)
            if first[0].key == "by name":
                return tool(rng, held, kind)
            u2, v2 = request(rng, held, second)
            if rng.random() < 0.3 and first[0].key == "weather":
                second, v2, u2 = offered_on(rng, TIME, held, True), v, "What time is it there?"
                if rng.random() < 0.6:
                    user, u2 = rng.choice(["What is the weather and the time in {city}?", "The weather and the time in {city}, please.", "Tell me the weather and the time in {city}.", "What are the weather and the time in {city}?"]).format(**v), ""
            offers.append(second)
            user = user if not u2 else rng.choice([f"{user} {u2}", user.rstrip(".?!") + ", and " + lower(u2), user.rstrip(".?!") + " and " + lower(u2), f"{user} And {lower(u2)}"])
            calls.append(call_of(rng, second, v2))
    offers += distractors(rng, {o[0].key for o in offers} | {"by name"} | ({missing.key, "search"} | near if kind == "none" else set()))
    if kind in ("twice", "both") and rng.random() < 0.2:
        steps = [1] * len(calls)  # where only one call at a time is allowed; grammar.py does not train the first of them
    unit = offers[0][2].get("unit") if kind == "one" and offers[0][0] is WEATHER else None
    if unit and rng.random() < 0.5:
        wanted = rng.choice(["celsius", "fahrenheit"])
        user, calls = user.rstrip(".?!") + f" in {wanted}?", [(calls[0][0], {**calls[0][1], unit: wanted}, *calls[0][2:])]
    names = [o[1] for o in offers]
    if len(set(names)) < len(names):
        return tool(rng, held, kind)
    shown = offers[:]
    rng.shuffle(shown)
    return Turn("tool", ask(rng, user, False) if calls and offers[0][0].key != "by name" and kind in ("one", "twice") else user, "" if calls else NO_TOOL, tools=[o[3] for o in shown], calls=calls, steps=steps, meta=dict(kind=kind, offers=offers))


def again(rng, held, first):
    """A later turn that uses a tool which the conversation offers already."""
    offers = first.meta["offers"]
    offered = offers[0] if rng.random() < 0.6 else rng.choice(offers)
    user, v = request(rng, held, offered)
    if offered is first.meta.get("last", offers[0]) and offered[0].key in ("weather", "time") and rng.random() < 0.5:
        user = rng.choice(["And in {city}?", "And {city}?", "What about {city}?", "How about {city}?"]).format(**v)
    first.meta["last"] = offered
    return Turn("tool", user, calls=[call_of(rng, offered, v)], meta=dict(kind="one", offers=[offered]))
