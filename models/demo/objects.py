"""Owns the JSON skill: objects of known kinds, keys that the prompt names, values that it gives, and small schemas.

A key decides the kind of its value, whatever object it stands in, so that keys forced by a grammar get sensible values.
"""

import words as W
from base import Turn, an, ask, city, compact, draw, invented, name

COUNTRIES = [c for c in W.FLAGS if " " not in c]
COLORS = "red green blue yellow black white brown pink purple".split()
TITLES = ["The {a} {n}", "{n}", "A {n} for {p}", "The {n} and the {m}", "{p} and the {n}", "My {n}"]


def title(rng, held):
    cap = lambda w: w.capitalize()
    return rng.choice(TITLES).format(a=cap(rng.choice(W.ADJECTIVES)), n=cap(rng.choice(W.NOUNS)), m=cap(rng.choice(W.NOUNS)), p=name(rng, held))


def some(rng, words, least=1, most=4):
    return rng.sample(words, rng.randint(least, most))


FOOD = "apple pear plum lemon banana cherry bread butter cheese honey sugar salt pepper rice egg milk tea fish".split()
THING = lambda rng, held: rng.choice(W.NOUNS)
DATE = lambda rng, held: f"20{rng.randint(10, 39)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
CLOCK = lambda rng, held: f"{rng.randint(0, 23):02d}:{rng.choice(['00', '15', '30', '45'])}"
WHOLE = lambda low, high: lambda rng, held: rng.randint(low, high)
FRACTION = lambda low, high: lambda rng, held: round(rng.uniform(low, high), 1) + 0.0
YES = lambda rng, held: rng.random() < 0.5
ONE = lambda words: lambda rng, held: rng.choice(words)
MANY = lambda words, least=1, most=4: lambda rng, held: some(rng, words, least, most)
SENTENCE = lambda rng, held: f"{an(rng.choice(W.ADJECTIVES)).capitalize()} {rng.choice(W.NOUNS)} {rng.choice(W.PLACES)}"
MAIL = lambda rng, held: f"{name(rng, held).lower()}@example.{rng.choice(['com', 'org'])}"

FIELDS = {
    "name": name, "firstName": name, "lastName": name, "author": name, "director": name, "artist": name, "owner": name, "teacher": name, "customer": name, "friend": name, "username": lambda r, h: name(r, h).lower(),
    "city": city, "town": city, "birthplace": city, "capital": city, "location": city, "from": city, "to": city, "country": ONE(COUNTRIES), "language": ONE(W.LANGUAGES), "street": lambda r, h: r.choice(W.NOUNS).capitalize() + " Street",
    "title": title, "subject": THING, "item": THING, "product": THING, "summary": SENTENCE, "description": SENTENCE, "text": SENTENCE, "message": SENTENCE, "email": MAIL,
    "age": WHOLE(5, 99), "year": WHOLE(1900, 2030), "pages": WHOLE(20, 900), "minutes": WHOLE(5, 120), "duration": WHOLE(5, 240), "seconds": WHOLE(5, 300), "hours": WHOLE(1, 24), "servings": WHOLE(1, 8), "quantity": WHOLE(1, 20),
    "count": WHOLE(0, 99), "population": WHOLE(1000, 999999), "id": WHOLE(1, 999), "number": WHOLE(1, 99), "score": WHOLE(0, 100), "speed": WHOLE(10, 300), "legs": ONE([0, 2, 4, 6, 8]), "doors": ONE([2, 3, 4, 5]), "rooms": WHOLE(1, 9),
    "employees": WHOLE(2, 900), "level": WHOLE(1, 10), "size": WHOLE(1, 50), "floor": WHOLE(0, 20), "total": FRACTION(1, 200), "price": FRACTION(1, 99), "rating": FRACTION(1, 5), "weight": FRACTION(1, 90), "height": FRACTION(1, 3),
    "temperature": WHOLE(-15, 39), "humidity": WHOLE(10, 99), "wind": WHOLE(0, 60), "condition": ONE(W.SKIES), "unit": ONE(["celsius", "fahrenheit"]), "currency": ONE(["euro", "dollar", "yen"]),
    "active": YES, "available": YES, "inStock": YES, "in_stock": YES, "done": YES, "vegetarian": YES, "wild": YES, "electric": YES, "paid": YES, "married": YES, "admin": YES, "open": YES, "happy": YES,
    "job": ONE(W.JOBS), "color": ONE(COLORS), "species": ONE(W.ANIMALS[:54]), "kind": ONE(W.ANIMALS[:54]), "pet": ONE(W.ANIMALS[:54]), "genre": ONE(["fantasy", "crime", "comedy", "drama", "history", "science"]),
    "difficulty": ONE(["easy", "medium", "hard"]), "priority": ONE(["low", "medium", "high"]), "status": ONE(["open", "done", "new"]), "brand": lambda r, h: invented(r).capitalize(), "date": DATE, "birthday": DATE, "due": DATE, "time": CLOCK, "start": CLOCK,
    "hobbies": MANY(W.HOBBIES, 1, 3), "tags": MANY(W.NOUNS, 1, 4), "ingredients": MANY(FOOD, 2, 5), "items": MANY(W.NOUNS, 1, 4), "colors": MANY(COLORS, 1, 3), "genres": MANY(["fantasy", "crime", "comedy", "drama", "history", "science"], 1, 2),
    "languages": MANY(W.LANGUAGES, 1, 3), "friends": lambda r, h: [name(r, h) for _ in range(r.randint(1, 3))], "guests": lambda r, h: [name(r, h) for _ in range(r.randint(1, 3))], "numbers": lambda r, h: [r.randint(0, 99) for _ in range(r.randint(2, 5))],
    "steps": lambda r, h: [f"{a} the {b}" for a, b in zip(some(r, ["Mix", "Cut", "Cook", "Bake", "Wash", "Add"], 3, 3), some(r, FOOD, 3, 3))][:r.randint(2, 3)],
    "animals": MANY(W.ANIMALS[:54], 1, 4), "scores": lambda r, h: [r.randint(0, 100) for _ in range(r.randint(2, 4))],
}
FIELDS["address"] = lambda r, h: {"street": FIELDS["street"](r, h), "number": r.randint(1, 99), "city": city(r, h)}
FIELDS["contact"] = lambda r, h: {"name": name(r, h), "email": MAIL(r, h)}
FIELDS["orders"] = lambda r, h: [{"item": THING(r, h), "quantity": r.randint(1, 9)} for _ in range(r.randint(1, 2))]

KINDS = {
    "person": ["name", "age", "city", "job", "hobbies"], "user": ["id", "username", "email", "active", "admin"], "recipe": ["title", "ingredients", "minutes", "servings", "vegetarian", "difficulty", "steps"],
    "book": ["title", "author", "year", "pages", "genre", "available"], "movie": ["title", "director", "year", "rating", "genres"], "city": ["name", "country", "population"], "weather report": ["city", "temperature", "condition", "humidity", "wind"],
    "product": ["name", "price", "currency", "inStock", "tags", "color"], "event": ["title", "date", "time", "location", "guests"], "animal": ["name", "species", "age", "color", "legs", "wild"], "car": ["brand", "color", "year", "doors", "electric", "price"],
    "song": ["title", "artist", "year", "seconds"], "order": ["id", "customer", "orders", "total", "paid"], "task": ["title", "done", "priority", "due"], "house": ["address", "rooms", "price", "color"], "company": ["name", "city", "employees", "contact"],
    "student": ["firstName", "lastName", "age", "teacher", "scores"], "game": ["title", "level", "score", "genre"], "pet": ["name", "species", "age", "owner"], "trip": ["from", "to", "date", "hours"], "profile": ["name", "age", "hobbies", "languages", "address"],
}


def value(rng, held, kind, key):
    if key == "name" and kind in ("product", "city"):
        return rng.choice(W.NOUNS) if kind == "product" else city(rng, held)
    if key == "title" and kind == "recipe":
        return f"{rng.choice(FOOD).capitalize()} {rng.choice(['soup', 'cake', 'pie', 'bread', 'salad'])}"
    if key == "name" and kind == "company":
        return invented(rng).capitalize()
    return FIELDS[key](rng, held)


def listed(keys):
    return keys[0] if len(keys) == 1 else ", ".join(keys[:-1]) + " and " + keys[-1]


def schema_of(v, rng):
    """The JSON Schema of a value, as users write it."""
    if isinstance(v, bool):
        return {"type": "boolean"}
    if isinstance(v, int):
        return {"type": rng.choice(["integer", "integer", "number"])}
    if isinstance(v, float):
        return {"type": "number"}
    if isinstance(v, str):
        return {"type": "string"}
    if isinstance(v, list):
        return {"type": "array", "items": schema_of(v[0], rng)}
    out = {"type": "object", "properties": {k: schema_of(x, rng) for k, x in v.items()}}
    if rng.random() < 0.6:
        out["required"] = list(v)
    if rng.random() < 0.3:
        out["additionalProperties"] = False
    return out


def strange(rng, held):
    """A key that no table knows, with a value of some simple type."""
    key = draw(lambda: invented(rng), held)
    return key, rng.choice([lambda: rng.choice(W.NOUNS), lambda: rng.randint(0, 99), lambda: rng.random() < 0.5, lambda: some(rng, W.NOUNS, 1, 3)])()


def any_value(rng, held, depth=0):
    """A value of any type, for keys whose type a caller's schema decides."""
    r = rng.random()
    if r < 0.45 or depth > 1:
        return rng.choice([lambda: rng.choice(W.NOUNS), lambda: name(rng, held), lambda: rng.randint(0, 99), lambda: round(rng.uniform(0, 99), 1), lambda: rng.random() < 0.5, lambda: SENTENCE(rng, held)])()
    if r < 0.65:
        return rng.choice([lambda: some(rng, W.NOUNS, 1, 3), lambda: [rng.randint(0, 99) for _ in range(rng.randint(1, 3))], lambda: [name(rng, held) for _ in range(rng.randint(1, 3))]])()
    keys = [rng.choice([rng.choice(list(FIELDS)), rng.choice(W.NOUNS), invented(rng), "name", "amount"]) for _ in range(rng.randint(1, 3))]
    one = lambda: {k: value(rng, held, "", k) if k in FIELDS and rng.random() < 0.7 else any_value(rng, held, depth + 1) for k in keys}
    return one() if r < 0.8 else [one() for _ in range(rng.randint(1, 3))]


def forced(rng, held, obj):
    """The same object as a grammar may force it: now and then (in training alone) a key too many, a key too few, or another type. So the model
    knows how to go on where it may not do what it wants; what it wants stays the same."""
    if held:
        return obj
    if rng.random() < 0.03 and len(obj) > 1:
        obj = dict(list(obj.items())[:rng.randint(1, len(obj) - 1)])
    if rng.random() < 0.03:
        for _ in range(rng.randint(1, 3)):
            k = rng.choice([rng.choice(list(FIELDS)), rng.choice(W.NOUNS), invented(rng)])
            obj = {**obj, k: value(rng, held, "", k) if k in FIELDS else any_value(rng, held)}
    return {k: any_value(rng, held) if rng.random() < 0.02 else v for k, v in obj.items()}


def object_of(rng, held, keys=None):
    kind = rng.choice(list(KINDS))
    if keys is None:
        keys = KINDS[kind][:]
        if rng.random() < 0.6:
            keys = rng.sample(keys, rng.randint(min(2, len(keys)), len(keys)))
        if rng.random() < 0.25:
            keys += [k for k in rng.sample(list(FIELDS), rng.choice([1, 1, 2, 3])) if k not in keys]
            rng.shuffle(keys)
    return kind, {k: value(rng, held, kind, k) for k in keys}


GIVE = ["Give me JSON for {x}", "Give me a JSON object for {x}", "Describe {x} as JSON", "Return JSON for {x}", "Write JSON for {x}", "Answer with JSON: {x}", "Reply only with JSON: {x}", "JSON for {x}", "Make a JSON object for {x}",
        "Create JSON that describes {x}", "Give me {x} as JSON", "Invent {x} and answer with JSON", "Give me JSON about {x}", "I need JSON for {x}"]
WITH = [" with the keys {k}", " with {k}", " with the fields {k}", " with keys {k}", " and use the keys {k}", " ({k})", " with the properties {k}"]


def plain(v):
    return "true" if v is True else "false" if v is False else listed([str(x) for x in v]) if isinstance(v, list) else str(v)


def thing(rng, held):
    """An object of some kind: free, by its keys, with given values, or by a schema."""
    kind, obj = object_of(rng, held)
    r, asked = rng.random(), True
    given = {}
    if r < 0.25:
        user, asked = (rng.choice(GIVE) if rng.random() < 0.85 else rng.choice(["Describe {x}", "Invent {x}"])).format(x=an(kind)) + rng.choice([".", "", "."]), False
    elif r < 0.5:
        user = rng.choice(GIVE).format(x=an(kind)) + rng.choice(WITH).format(k=listed(list(obj))) + rng.choice([".", "", "."])
    elif r < 0.68:
        obj = {k: v for k, v in obj.items() if not isinstance(v, dict) and not (isinstance(v, list) and (isinstance(v[0], dict) or len(v) > 1 and rng.random() < 0.5))} or {"name": name(rng, held)}
        given = obj
        pair = rng.choice(["{k} {v}", "{k} {v}", "{k}: {v}", "{k} = {v}"])
        pairs = [pair.format(k=k, v=plain(v)) for k, v in obj.items()]
        user = rng.choice([rng.choice(GIVE).format(x=an(kind)) + rng.choice([": ", " with ", ", "]) + rng.choice([", ", ", ", "; "]).join(pairs), "Write this as JSON: " + ", ".join(pairs), "As JSON: " + "; ".join(pairs)]) + rng.choice([".", "", ""])
    elif r < 0.86:
        if rng.random() < 0.4:
            obj = dict([*obj.items()][:2] + [strange(rng, held) for _ in range(rng.randint(1, 2))])
        if rng.random() < 0.4:
            obj = {**dict([*obj.items()][:rng.randint(0, 3)]), **{rng.choice([rng.choice(list(FIELDS)), rng.choice(W.NOUNS), invented(rng)]): any_value(rng, held) for _ in range(rng.randint(1, 3))}}
        s = schema_of(obj, rng)
        if rng.random() < 0.25:
            k, options = rng.choice(["color", "size", "state", "mood"]), some(rng, W.NOUNS, 2, 4)
            obj[k], s["properties"][k] = rng.choice(options), {"type": "string", "enum": options}
            if "required" in s:
                s["required"].append(k)
        text = compact(s, rng.random() < 0.6)
        user = rng.choice(["Answer with JSON for this schema: {s}", "Give me JSON that matches this schema: {s}", "Follow this JSON schema: {s}", "JSON schema: {s}\nGive me an example.", "Fill this schema: {s}",
                           "Reply with JSON that fits the schema {s}"]).format(s=text)
        system = ""
        if rng.random() < 0.25:  # as the AI SDK writes it
            system = f"JSON schema:\n{text}\nYou MUST answer with a JSON object that matches the JSON schema above."
            user = rng.choice(GIVE + ["Describe {x}", "Generate {x}", "Tell me about {x}"]).format(x=an(kind)) + rng.choice([".", ""])
        return Turn("thing", user, compact(obj), system=system, meta=dict(given={}, keys=list(obj), asked=True, schema=s))
    else:
        n = rng.randint(2, 4)
        if rng.random() < 0.6:
            what, make = rng.choice([("animals", ONE(W.ANIMALS[:54])), ("names", name), ("cities", city), ("colors", ONE(COLORS)), ("words", THING), ("numbers", WHOLE(0, 99)), ("jobs", ONE(W.JOBS)), ("hobbies", ONE(W.HOBBIES)), ("fruits", ONE(FOOD[:6]))])
            out = []
            while len(out) < n:
                v = make(rng, held)
                if v not in out:
                    out.append(v)
        else:
            what = rng.choice(["people", "users", "books", "animals with names"])
            keys = {"people": ["name", "age"], "users": ["id", "username"], "books": ["title", "year"], "animals with names": ["name", "species"]}[what]
            out = [{k: FIELDS[k](rng, held) for k in keys} for _ in range(n)]
        user = rng.choice(["Give me a JSON array of {n} {w}.", "{N} {w} as a JSON array", "List {n} {w} as JSON.", "Return a JSON list with {n} {w}.", "Give me JSON with a list of {n} {w}."]).format(n=rng.choice([n, W.UNITS[n]]), N=W.UNITS[n].capitalize(), w=what)
        return Turn("thing", user, compact(out), meta=dict(given={}, length=n))
    system = ""
    if rng.random() < 0.05:
        system, user = rng.choice(["Answer only with JSON.", "Always answer with JSON.", "You answer in JSON.", "Reply with a JSON object."]), rng.choice(["Describe {x}.", "Invent {x}.", "Give me {x}."]).format(x=an(kind))
        given, asked = {}, False
        obj = {k: value(rng, held, kind, k) for k in KINDS[kind][:rng.randint(2, 5)]}
    return Turn("thing", ask(rng, user, False) if rng.random() < 0.3 else user, compact(forced(rng, held, obj)), system=system, meta=dict(given=given, keys=list(obj), asked=asked))


# ---- people ----------------------------------------------------------------------------------------------------------

def person(rng, held):
    known = {"name": name(rng, held), "age": rng.randint(5, 99), "city": city(rng, held)}
    if rng.random() < 0.25:
        known["job"] = rng.choice(W.JOBS)
    if rng.random() < 0.15:
        known["hobbies"] = rng.sample(W.HOBBIES, rng.choice([1, 2, 2, 3]))
    return known


def json_(rng, held):
    """A person, by the values that the prompt gives or by the keys that it names."""
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
        user = rng.choice(["Give me JSON for a person named {name}.", "Write a JSON object about a person called {name}.", "Describe a person named {name} as JSON.", "JSON for a person called {name}, please.", "Describe a person named {name}."]).format(**p)
        given = {"name": p["name"]}
    elif r < 0.8:
        keys = rng.sample(["name", "age", "city", "job", "hobbies"], rng.choice([2, 3, 3, 4]))
        p = {k: p.get(k) or (rng.choice(W.JOBS) if k == "job" else rng.sample(W.HOBBIES, 2)) for k in keys}
        user = rng.choice(["Give me a JSON object about a person with the keys {k}.", "Describe a person as JSON with {k}.", "Answer with JSON: a person with {k}.",
                           "Return JSON for a person with {k}."]).format(k=", ".join(keys[:-1]) + " and " + keys[-1])
        given = {}
        return Turn("json", ask(rng, user, False), compact(forced(rng, held, p)), meta=dict(given=given, keys=keys, asked=True))
    else:
        user = rng.choice(["Give me JSON about a person.", "Describe a person as JSON.", "Answer with a JSON object about a person.", "Write JSON for a person.", "Invent a person and answer with JSON.",
                           "Return a JSON object that describes a person.", "JSON of a person, please.", "Give me a person in JSON.", "Reply only with JSON about a person."])
        given = {}
    return Turn("json", ask(rng, user, False), compact(forced(rng, held, p)), meta=dict(given=given, keys=list(p)))
