"""Owns the tools of the tool skill: some thirty in changing words, what they send back, and the sentence that says it.

A tool's name, its arguments' names and their descriptions are drawn anew for each conversation, and often invented, so that a call can only be
copied from the schema. A schema is held out as a whole, by a hash of its names.
"""

import objects
import words as W
from base import city, compact, draw, invented, name

CITIES = ["city", "city", "location", "place", "town", "name"]
NOUNS = W.NOUNS
TEXT, WHOLE, NUMBER, YES = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
ENUM = lambda *options: {"type": "string", "enum": list(options)}
DONE = "Done."


class Tool:
    """One thing that a tool can do. args: slot -> (names that the argument may have, schema, descriptions); asks: requests with the slots in
    braces; fill: values of the slots; reply: slots -> (what the tool may send back, the sentence that says it)."""

    def __init__(self, key, names, about, args, asks, fill, reply, more=None):
        self.key, self.names, self.about, self.args, self.asks, self.fill, self.reply, self.more = key, names, about, args, asks, fill, reply, more or {}


def offer(rng, tool, usual=False):
    """A tool under the names of one conversation: (Tool, its function's name, slot -> argument's name, the schema that is shown)."""
    fname = tool.names[0] if usual else rng.choice(tool.names)
    if not usual and rng.random() < 0.25:
        fname = rng.choice([invented(rng), "get_" + invented(rng), fname + "_" + invented(rng), fname + rng.choice(["2", "_tool", "_now", "_v2"]), "my_" + fname])
    if not usual and rng.random() < 0.12:
        words = fname.split("_")
        fname = words[0] + "".join(w.capitalize() for w in words[1:])
    used, properties = {}, {}
    slots = list(tool.args.items())
    if not usual and len(slots) > 1 and rng.random() < 0.2:
        rng.shuffle(slots)
    detail = rng.random() < 0.4
    for slot, (names, kind, about) in slots:
        arg = names[0] if usual else rng.choice(names)
        if not usual and rng.random() < 0.1:
            arg = invented(rng)
        while arg in properties:
            arg = rng.choice([*names, invented(rng)])
        used[slot] = arg
        properties[arg] = {**kind, "description": rng.choice(about)} if detail or rng.random() < 0.1 else dict(kind)
    required = list(properties)
    for slot, (names, kind, about) in tool.more.items():  # optional arguments, named only when the request asks for them
        if rng.random() < 0.2:
            used[slot] = rng.choice(names)
            properties[used[slot]] = dict(kind)
    parameters = {"type": "object", "properties": properties}
    if rng.random() < 0.85:
        parameters["required"] = required
    if rng.random() < 0.25:
        parameters["additionalProperties"] = False
    if rng.random() < 0.1:
        parameters = {"$schema": rng.choice(["https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"]), **parameters}
    body = {"name": fname, "description": rng.choice(tool.about), "parameters": parameters}
    if rng.random() < 0.05:
        del body["description"]
    return tool, fname, used, {"type": "function", "function": body}


def key_of(offered):
    return offered[1], *offered[2].values()


# ---- what tools send back --------------------------------------------------------------------------------------------

FAILURES = ["city not found", "not found", "timeout", "the service is down", "no such file", "permission denied", "invalid argument", "unknown user", "connection refused", "too many requests", "out of stock", "no answer",
            "the network is unreachable", "bad request", "nothing found", "access denied", "internal error", "fetch failed", "no such place", "not available"]


def failure(rng):
    what = rng.choice(FAILURES)
    if rng.random() < 0.45:
        what = " ".join(rng.choice([rng.choice(W.COMMON), rng.choice(NOUNS), invented(rng), str(rng.randint(1, 504))]) for _ in range(rng.randint(1, 8)))
    if rng.random() < 0.25:
        what = what[0].upper() + what[1:]
    if rng.random() < 0.15:
        what = rng.choice(["Network failure", "City", "Bad input", invented(rng).capitalize(), rng.choice(FAILURES), rng.choice(NOUNS)]) + ": " + what
    if rng.random() < 0.1:
        what = what.replace(" ", ", ", 1) + rng.choice(["", " (" + rng.choice(NOUNS) + ")"])
    if rng.random() < 0.2:
        return failure_text(rng, what + "."), f"The tool failed: {what}."
    return failure_text(rng, what), f"The tool failed: {what}."


def failure_text(rng, what):
    return rng.choice([f"Error: {what}", f"Error: {what}", f"error: {what}", f"Failed: {what}", compact({"error": what}, rng.random() < 0.4), compact({"error": what}, rng.random() < 0.4), compact({"error": {"message": what}}, False),
                       compact({"status": "error", "message": what}, rng.random() < 0.4), compact({"ok": False, "error": what}, False), compact({"success": False, "error": what}, False), f"TypeError: {what}", compact({"error": True, "message": what}, False)])


def generic(rng, keys_only=False):
    """A result of any shape, said key by key."""
    r = 1 if keys_only else rng.random()
    if rng.random() < (0.3 if keys_only else 0.12):  # a sentence is said as it is
        v = " ".join(rng.choice([rng.choice(W.COMMON), rng.choice(NOUNS), invented(rng)]) for _ in range(rng.randint(3, 9)))
        v = rng.choice([v.capitalize(), objects.SENTENCE(rng, False), f"It is {rng.choice(W.SKIES)} and {rng.choice(W.SKIES)}", f"There is {rng.choice(W.SKIES)} today"]) + "."
        return rng.choice([v, v, compact({"text": v}, rng.random() < 0.4)]), v
    if r < 0.25:
        v = rng.choice([lambda: rng.choice(NOUNS), lambda: invented(rng), lambda: str(rng.randint(0, 999)), lambda: " ".join(rng.choice(W.COMMON + NOUNS) for _ in range(rng.randint(2, 7)))])()
        return rng.choice([v, compact({"result": v}, rng.random() < 0.4)]), f"The result is {v}."
    if r < 0.4:
        v = rng.sample(NOUNS, rng.randint(2, 4))
        return rng.choice([compact(v, rng.random() < 0.4), "\n".join(v)]), f"The result is {objects.listed(v)}."
    obj = {}
    for _ in range(rng.choice([1, 1, 2, 2, 3])):
        k = rng.choice([rng.choice(NOUNS), invented(rng), rng.choice(["total", "level", "count", "state", "info", "data", "kind", "next", "note"])])
        obj[k] = rng.choice([lambda: rng.choice(NOUNS), lambda: invented(rng), lambda: rng.randint(0, 999), lambda: round(rng.uniform(0, 99), 1)])()
    return compact(obj, rng.random() < 0.4), "The result: " + ", ".join(f"{k} {v}" for k, v in obj.items()) + "."


def simple(rng, v, *keys):
    """A value as tools give it: bare, or under a key."""
    return str(v) if rng.random() < 0.4 else compact({rng.choice([*keys, "result", "value"]): v}, rng.random() < 0.4)


def fine(rng, v):
    return rng.choice(["ok", "OK", "done", "true", "success", compact({"ok": True}, rng.random() < 0.4), compact({"status": "ok"}, rng.random() < 0.4), compact({"success": True}, rng.random() < 0.4), compact({"done": True}, False), "null"]), DONE


def sky(rng, v):
    c, t, s = v["city"], rng.randint(-15, 39), rng.choice(W.SKIES)
    if rng.random() < 0.15:
        s = rng.choice([f"{s} with {rng.choice(W.SKIES)} {rng.choice(NOUNS)}", f"{s} and {rng.choice(W.SKIES)}", f"{rng.choice(NOUNS)} {s}"])
    shown = s.capitalize() if rng.random() < 0.12 else s
    if rng.random() < 0.07:
        return rng.choice([shown, compact({"condition": shown}, rng.random() < 0.4)]), f"The weather in {c} is {s}."
    result = rng.choice([
        lambda: {"temperature": t, "condition": shown}, lambda: {"city": c, "temperature": t, "condition": shown}, lambda: {"temp": t, "conditions": shown}, lambda: {"city": c, "temp": t, "sky": shown}, lambda: {"temperature": t, "unit": "celsius", "condition": shown},
        lambda: {"condition": shown, "temperature": t}, lambda: {"weather": shown, "temperature": t}, lambda: {"temp_c": t, "condition": shown}, lambda: {"temperature": t, "description": shown}, lambda: {"city": c, "condition": shown, "temperature": t}, lambda: {"temperature": t, "sky": shown},
        lambda: {"temperature": t, "unit": "C", "sky": shown}, lambda: {"celsius": t, "sky": shown}, lambda: {"degrees": t, "weather": shown}, lambda: {"location": c, "temperature": t, "conditions": shown}, lambda: {"city": c, "celsius": t, "summary": shown}, lambda: {"temperature": t, "sky": shown, rng.choice(["humidity", "wind", "zone", invented(rng)]): rng.choice([rng.randint(0, 99), rng.choice(NOUNS)])}, lambda: f"{shown}, {t}°C", lambda: f"{t} °C and {s}", lambda: f"{t}°C, {shown}", lambda: f"{shown}, {t} degrees"])()
    return result if isinstance(result, str) else compact(result, rng.random() < 0.4), f"The weather in {c} is {s}, {t} °C."


# ---- the tools -------------------------------------------------------------------------------------------------------

def number(rng):
    return rng.randint(0, 99) if rng.random() < 0.8 else rng.randint(100, 999)


def clock(rng):
    return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"


def two(rng, held, make):
    a = make(rng, held)
    while (b := make(rng, held)) == a:
        pass
    return a, b


def expression(rng):
    part = lambda: str(number(rng)) if rng.random() < 0.75 else f"({number(rng)} {rng.choice('+-*/')} {number(rng)})"
    return f" {rng.choice('+-*/')} ".join(part() for _ in range(rng.choice([2, 2, 3])))


CALCULATE = Tool("calculation", ["calculate", "calculator", "calculator", "evaluate", "compute", "math"], ["Calculate an expression", "Evaluates an expression.", "A calculator", "Does arithmetic"], {"expression": (["expression", "expression", "formula", "input", "query"], TEXT, ["The expression", "What to calculate"])},
                 ["Calculate {expression}", "Calculate {expression}.", "What is {expression}?", "How much is {expression}?", "Compute {expression}", "{expression}", "Use the calculator for {expression}."], lambda r, h: {"expression": expression(r)},
                 lambda r, v: ((lambda x: (simple(r, x, "answer"), f"The result is {x}."))(r.choice([r.randint(-99, 9999), round(r.uniform(-99, 99), 2)]))))
FIND = Tool("record", ["find_user", "get_user", "lookup_user", "find_person", "get_person", "find_customer", "user_info"], ["Find a user by name", "Look up a person", "Get a user", "Information on a customer"], {"person": (["name", "name", "user", "person", "username"], TEXT, ["Name of the user"])},
            ["Find the user {person}.", "Find user {person}", "Look up {person}.", "Who is {person}?", "Look up the user {person}.", "Find {person}.", "Get the user {person}.", "Show me the user {person}.", "Find the customer {person}."], lambda r, h: {"person": name(r, h)}, lambda r, v: generic(r))
ORDER = Tool("order", ["get_order", "lookup_order", "find_order", "order_status", "get_invoice"], ["Look up an order", "Get an order by its number", "Status of an order", "Find an order by id"], {"id": (["id", "order_id", "number", "order"], WHOLE, ["Number of the order", "The id"])},
             ["Look up order {id}.", "Find order {id}.", "What is the status of order {id}?", "Where is order {id}?", "Show me order {id}.", "Get the order {id}.", "Order {id}?"], lambda r, h: {"id": r.randint(1, 9999)}, lambda r, v: generic(r))

FILES = ["notes", "todo", "readme", "list", "data", "report", "letter", "config", "story", "index"]
SYMBOL = lambda rng: "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(2, 4)))
ANYTHING = lambda rng, held: rng.choice([lambda: rng.choice(NOUNS), lambda: rng.choice(NOUNS), lambda: draw(lambda: invented(rng), held), lambda: rng.choice(W.ADJECTIVES) + " " + rng.choice(NOUNS)])()
ROOMS = ["kitchen", "bedroom", "garden", "office", "bathroom", "garage", "hall", "cellar"]
CURRENCIES = ["euro", "dollar", "yen", "pound", "franc", "peso"]

WEATHER = Tool("weather", ["get_weather", "get_weather", "weather", "get_current_weather", "current_weather", "lookup_weather", "weather_report", "fetch_weather", "check_weather", "forecast", "get_forecast"],
               ["Get the weather of a city", "Get the current weather in a city.", "Get the weather", "Returns the weather for a city.", "Current weather for a city", "The weather in a city.", "Look up the weather.", "Weather of a place", "Get current weather for a location",
                "Tells the weather in a given city", "The weather now", "What the weather is like", "Get the weather in a given city", "Get weather"],
               {"city": (CITIES, TEXT, ["City name", "The city", "Name of the city", "The name of the city.", "city name, for example Paris", "Which city", "The city and country, e.g. Paris"])},
               ["What is the weather in {city}?", "How is the weather in {city} today?", "Weather in {city}?", "Is it raining in {city}?", "Tell me the weather in {city}.", "What's the weather like in {city}?", "Do I need an umbrella in {city}?", "What is the weather like in {city} right now?",
                "How warm is it in {city}?", "Use the tool to get the weather in {city}.", "I am going to {city}. What is the weather?", "Check the weather in {city}, please.", "Is it cold in {city}?", "What is the current weather in {city}?", "How's the weather in {city}?", "What's the weather in {city}?", "What should I wear in {city} today?", "Is it warm in {city}?", "I am in {city}. Is it warm?", "Should I take an umbrella in {city}?", "Get the weather for {city}.", "Will it rain in {city}?"],
               lambda r, h: {"city": city(r, h)}, sky, {"unit": (["unit", "units"], ENUM("celsius", "fahrenheit"), [""])})

TIME = Tool("time", ["get_time", "get_time", "current_time", "time_in", "clock", "get_local_time", "time"], ["Get the time in a city", "The current time of a city.", "Get the current time", "What time it is in a place", "Local time of a city"],
            {"city": (CITIES + ["timezone"], TEXT, ["City name", "The city", "Where"])}, ["What time is it in {city}?", "Tell me the time in {city}.", "What is the time in {city}?", "What's the time in {city}?", "Time in {city}?", "What time is it now in {city}?", "How late is it in {city}?"],
            lambda r, h: {"city": city(r, h)}, lambda r, v: ((lambda t: (r.choice([simple(r, t, "time", "now"), compact({"city": v["city"], "time": t}, r.random() < 0.4), compact({"time": t, r.choice(["zone", "timezone", "day"]): r.choice(["JST", "CET", "UTC", r.choice(NOUNS)])}, r.random() < 0.4)]), f"It is {t} in {v['city']}."))(clock(r))))


def arithmetic(key, names, about, asks, act):
    return Tool(key, names, about, {"a": (["a", "a", "x", "first", "left"], NUMBER, ["First number", "The first number"]), "b": (["b", "b", "y", "second", "right"], NUMBER, ["Second number", "The second number"])}, asks,
                lambda r, h: dict(zip("ab", (number(r), number(r)))), lambda r, v: (simple(r, act(v["a"], v["b"]), key, "answer"), f"The result is {act(v['a'], v['b'])}."))


ADD = arithmetic("sum", ["add", "add", "sum", "plus", "add_numbers", "calculate_sum"], ["Add two numbers", "Adds two numbers.", "The sum of two numbers", "Sum of a and b"],
                 ["Use the tool to add {a} and {b}.", "Add {a} and {b}.", "Add {a} and {b} with the tool.", "What is {a} plus {b}? Use the tool.", "What is {a} + {b}?", "Calculate {a} + {b}.", "What is the sum of {a} and {b}?", "What is {a} plus {b}?"], lambda a, b: a + b)
MULTIPLY = arithmetic("product", ["multiply", "multiply", "times", "product", "mul"], ["Multiply two numbers", "Multiplies two numbers.", "The product of two numbers"],
                      ["Multiply {a} by {b}.", "Multiply {a} and {b}.", "What is {a} times {b}?", "What is {a} * {b}?", "Calculate {a} * {b}.", "What is {a} x {b}?"], lambda a, b: a * b)
SUBTRACT = arithmetic("difference", ["subtract", "minus", "difference", "sub"], ["Subtract two numbers", "a minus b", "The difference of two numbers"], ["What is {a} minus {b}?", "What is {a} - {b}?", "Calculate {a} - {b}.", "Take {a} minus {b}."], lambda a, b: a - b)


def worth(rng, v):
    p, c = rng.choice([rng.randint(1, 99), round(rng.uniform(1, 99), 2)]), rng.choice(CURRENCIES)
    if rng.random() < 0.3:
        return simple(rng, p, "price"), f"The price of {v['item']} is {p}."
    return rng.choice([compact({"price": p, "currency": c}, rng.random() < 0.4), compact({"item": v["item"], "price": p, "currency": c}, rng.random() < 0.4), f"{p} {c}"]), f"The price of {v['item']} is {p} {c}."


PRICE = Tool("price", ["get_price", "get_price", "price", "lookup_price", "price_of", "find_price"], ["Get the price of a product", "The price of something.", "Look up what a thing costs"], {"item": (["product", "item", "name", "article"], TEXT, ["The product", "Name of the product"])},
             ["What is the price of {item}?", "How much is {item}?", "What does {item} cost?", "Price of {item}?", "Tell me the price of {item}.", "How much does {item} cost?", "Get the price of {item}."], lambda r, h: {"item": ANYTHING(r, h)}, worth)


def money(rng, v):
    x = rng.choice([rng.randint(1, 2000), round(rng.uniform(1, 999), 2)])
    return rng.choice([simple(rng, x, "amount", "converted"), compact({"amount": x, "currency": v["to"]}, rng.random() < 0.4)]), f"{v['amount']} {v['from']} is {x} {v['to']}."


CONVERT = Tool("amount", ["convert", "convert_currency", "convert_currency", "exchange", "currency"], ["Convert money", "Convert an amount from one currency to another.", "Currency exchange"],
               {"amount": (["amount", "value", "sum"], NUMBER, ["How much"]), "from": (["from", "source", "base", "from_currency"], TEXT, ["From which currency"]), "to": (["to", "target", "to_currency"], TEXT, ["To which currency"])},
               ["Convert {amount} {from} to {to}.", "How much is {amount} {from} in {to}?", "What is {amount} {from} in {to}?", "Change {amount} {from} into {to}."], lambda r, h: dict(amount=number(r), **dict(zip(("from", "to"), two(r, h, lambda r, h: r.choice(CURRENCIES))))), money)
SEARCH = Tool("search", ["search", "search", "web_search", "search_web", "lookup", "google", "find"], ["Search the web", "Search for a text.", "Search the internet", "Look something up", "Search documents"], {"query": (["query", "query", "q", "text", "term"], TEXT, ["What to search for", "The query"])},
              ["Search for {query}.", "Search the web for {query}.", "Look up {query}.", "Find {query} on the web.", "Please search for {query}.", "Google {query}.", "Search: {query}"],
              lambda r, h: {"query": " ".join(ANYTHING(r, h) for _ in range(r.choice([1, 1, 2])))}, lambda r, v: ((lambda s: (r.choice([simple(r, s, "answer", "text"), compact([{"title": s}], False), compact({"results": [s]}, False)]), f"I found: {s}"))(
                  r.choice([objects.SENTENCE(r, False), "The " + r.choice(NOUNS) + " is on the " + r.choice(NOUNS), objects.title(r, False)]))))
SEND = Tool("sent", ["send_message", "send_message", "send", "message", "send_text", "write_to", "send_email"], ["Send a message to a person", "Sends a message.", "Write to somebody", "Send a text"],
            {"to": (["to", "to", "recipient", "person", "name"], TEXT, ["Who gets it", "The person"]), "text": (["text", "message", "body", "content"], TEXT, ["The message", "What to say"])},
            ["Send {text} to {to}.", "Send {to} the message {text}.", "Tell {to}: {text}", "Write to {to}: {text}", "Send the message {text} to {to}.", "Message {to}: {text}", "Send \"{text}\" to {to}."],
            lambda r, h: {"to": name(r, h), "text": r.choice(["hello", "good morning", "I am late", "thank you", "see you soon", "call me", "happy birthday", "I like " + r.choice(NOUNS), "bring " + ANYTHING(r, h), r.choice(NOUNS)])}, fine)
TIMER = Tool("timer", ["set_timer", "set_timer", "timer", "start_timer"], ["Set a timer", "Starts a timer.", "Start a timer for some minutes"], {"minutes": (["minutes", "minutes", "duration", "time"], WHOLE, ["How many minutes"])},
             ["Set a timer for {minutes} minutes.", "Timer for {minutes} minutes", "Start a timer of {minutes} minutes.", "Wake me in {minutes} minutes.", "Please set a timer for {minutes} minutes."], lambda r, h: {"minutes": r.randint(2, 90)}, fine)
LIGHT = Tool("light", ["set_light", "set_light", "light", "switch_light", "toggle_light"], ["Switch a light on or off", "Turns the light in a room on or off.", "Control the lights"],
             {"room": (["room", "room", "place", "location", "where"], TEXT, ["Which room"]), "on": (["on", "on", "state", "enabled"], YES, ["true for on", "Whether it is on"])},
             ["Turn {state} the light in the {room}.", "Turn the light in the {room} {state}.", "Switch {state} the light in the {room}.", "Light {state} in the {room}, please."], lambda r, h: (lambda on: {"room": r.choice(ROOMS + NOUNS[60:90]), "on": on, "state": "on" if on else "off"})(r.random() < 0.5), fine)
HEAT = Tool("heating", ["set_temperature", "set_heating", "thermostat", "heat"], ["Set the temperature of a room", "Controls the heating."], {"room": (["room", "place", "zone"], TEXT, ["Which room"]), "degrees": (["degrees", "temperature", "celsius", "value"], WHOLE, ["The temperature"])},
            ["Set the {room} to {degrees} degrees.", "Heat the {room} to {degrees} degrees.", "Make the {room} {degrees} degrees warm.", "{degrees} degrees in the {room}, please."], lambda r, h: {"room": r.choice(ROOMS), "degrees": r.randint(5, 30)}, fine)
LIST = Tool("list", ["add_item", "add_to_list", "shopping_list", "add_items", "buy"], ["Add things to the shopping list", "Puts items on a list."], {"items": (["items", "items", "things", "list"], {"type": "array", "items": {"type": "string"}}, ["The things"])},
            ["Add {shown} to the list.", "Put {shown} on the shopping list.", "I need {shown}. Put it on the list.", "Add {shown} to my shopping list."], lambda r, h: (lambda x: {"items": x, "shown": objects.listed(x)})(r.sample(NOUNS, r.choice([1, 2, 2, 3, 3]))), fine)
BOOK = Tool("table", ["book_table", "reserve", "reserve_table", "book"], ["Book a table in a restaurant", "Reserves a table."], {"people": (["people", "persons", "guests", "seats"], WHOLE, ["How many people"]), "time": (["time", "at", "hour"], TEXT, ["When"])},
            ["Book a table for {people} people at {time}.", "Reserve a table for {people} at {time}.", "A table for {people} at {time}, please.", "I need a table for {people} people at {time}."], lambda r, h: {"people": r.randint(2, 12), "time": f"{r.randint(11, 22)}:{r.choice(['00', '15', '30', '45'])}"}, fine)
PIZZA = Tool("pizza", ["order_pizza", "order", "pizza", "order_food"], ["Order a pizza", "Orders pizza."], {"size": (["size"], ENUM("small", "medium", "large"), ["The size"]), "topping": (["topping", "kind", "with"], TEXT, ["What is on it"]), "count": (["count", "number", "quantity"], WHOLE, ["How many"])},
             ["Order {count} {size} pizzas with {topping}.", "I want {count} {size} pizzas with {topping}.", "{count} {size} pizzas with {topping}, please."], lambda r, h: {"count": r.randint(2, 9), "size": r.choice(["small", "medium", "large"]), "topping": r.choice(objects.FOOD + NOUNS[:30])}, fine)
TRANSLATE = Tool("translation", ["translate", "translate", "translate_text", "translation"], ["Translate a text", "Translates a text into another language."], {"text": (["text", "text", "input", "source"], TEXT, ["The text"]), "language": (["language", "to", "target", "lang"], TEXT, ["Into which language"])},
                 ["Translate {text} to {language}.", "Translate {text} into {language}.", "Translate {text} to {language} with the tool.", "Use the tool to translate {text} to {language}."], lambda r, h: {"text": " ".join(r.sample(NOUNS, r.choice([1, 1, 2, 3]))), "language": r.choice(W.LANGUAGES)},
                 lambda r, v: ((lambda s: (simple(r, s, "translation", "text"), f"In {v['language']}: {s}"))(" ".join(invented(r) for _ in range(r.choice([1, 2]))) if r.random() < 0.7 else r.choice(W.PHRASES[r.choice(list(W.PHRASES))]))))
READ = Tool("file", ["read_file", "read_file", "open_file", "cat", "load_file"], ["Read a file", "Returns the text of a file."], {"path": (["path", "path", "file", "filename", "name"], TEXT, ["The file", "Path of the file"])}, ["Read the file {path}.", "What is in {path}?", "Show me the file {path}.", "Open {path}.", "Read {path}"],
            lambda r, h: {"path": r.choice(["", "", "docs/", "src/", invented(r) + "/"]) + r.choice([r.choice(FILES), draw(lambda: invented(r), h)]) + r.choice([".txt", ".md", ".json", ".csv", ".js"])}, lambda r, v: ((lambda s: (simple(r, s, "content", "text"), f"The file says: {s}"))(" ".join(r.choice(W.COMMON + NOUNS) for _ in range(r.randint(2, 8))))))
HOME = Tool("home", ["find_home", "get_home", "where_lives", "home_of", "find_person", "get_user"], ["Find the city where a person lives", "The home of a person.", "Where somebody lives"], {"person": (["name", "name", "person", "user", "who"], TEXT, ["The person", "Name of the person"])},
            ["Where does {person} live?", "Where does {person} live?", "In which city does {person} live?", "Where is {person} at home?", "Find the home of {person}."], lambda r, h: {"person": name(r, h)}, lambda r, v: ((lambda c: (r.choice([simple(r, c, "city", "home"), compact({"name": v["person"], "city": c}, r.random() < 0.4), compact({"name": v["person"], "city": c, "age": r.randint(5, 99)}, r.random() < 0.4), compact({"id": r.randint(1, 999), "name": v["person"], "city": c}, r.random() < 0.4), compact({"city": c, r.choice(["age", "job", "id"]): r.choice([r.randint(1, 99), r.choice(W.JOBS)])}, r.random() < 0.4)]), f"{v['person']} lives in {c}."))(city(r, False))))
DISTANCE = Tool("distance", ["get_distance", "distance", "route", "how_far"], ["The distance between two cities", "Distance in km."], {"from": (["from", "from", "start", "origin"], TEXT, ["From where"]), "to": (["to", "to", "end", "destination"], TEXT, ["To where"])},
                ["How far is it from {from} to {to}?", "What is the distance from {from} to {to}?", "Distance from {from} to {to}?", "How far is {to} from {from}?"], lambda r, h: dict(zip(("from", "to"), two(r, h, city))),
                lambda r, v: ((lambda d: (r.choice([simple(r, d, "km", "distance"), f"{d} km"]), f"From {v['from']} to {v['to']} it is {d} km."))(r.randint(20, 9000))))
DICE = Tool("random", ["roll_dice", "random_number", "random", "roll"], ["A random number", "Rolls dice."], {"low": (["min", "low", "from"], WHOLE, ["The least"]), "high": (["max", "high", "to"], WHOLE, ["The greatest"])},
            ["Give me a random number from {low} to {high}.", "Draw a number between {low} and {high}.", "Random number from {low} to {high}", "Pick a number between {low} and {high}."], lambda r, h: (lambda a: {"low": a, "high": a + r.randint(2, 99)})(r.randint(0, 9)), lambda r, v: ((lambda n: (simple(r, n, "number"), f"The number is {n}."))(r.randint(v["low"], v["high"]))))
STOCK = Tool("stock", ["get_stock", "stock_price", "quote", "get_quote"], ["The price of a stock", "Get a stock quote."], {"symbol": (["symbol", "symbol", "ticker", "name"], TEXT, ["The symbol"])}, ["What is the stock price of {symbol}?", "How is the stock {symbol}?", "Get the quote of {symbol}.", "Stock price of {symbol}?"],
             lambda r, h: {"symbol": SYMBOL(r)}, lambda r, v: ((lambda p: (r.choice([simple(r, p, "price", "quote"), compact({"symbol": v["symbol"], "price": p}, r.random() < 0.4)]), f"The stock {v['symbol']} is at {p}."))(r.choice([r.randint(1, 900), round(r.uniform(1, 900), 2)]))))
REMIND = Tool("reminder", ["remind", "set_reminder", "create_reminder", "add_event", "create_event"], ["Set a reminder", "Creates an event in the calendar."], {"text": (["text", "title", "what", "message"], TEXT, ["What it is about"]), "time": (["time", "at", "when"], TEXT, ["When"])},
              ["Remind me of {text} at {time}.", "Remind me at {time} of {text}.", "Set a reminder for {text} at {time}.", "Put {text} at {time} into my calendar."], lambda r, h: {"text": r.choice(["the " + r.choice(NOUNS), r.choice(NOUNS), "my " + r.choice(NOUNS)]), "time": f"{r.randint(6, 22)}:{r.choice(['00', '15', '30', '45'])}"}, fine)
PLAY = Tool("music", ["play_music", "play", "play_song", "start_music"], ["Play a song", "Plays music."], {"song": (["song", "title", "name", "track"], TEXT, ["The song"])}, ["Play {song}.", "Play the song {song}.", "I want to hear {song}.", "Please play {song}."], lambda r, h: {"song": objects.title(r, h)}, fine)

NOUN_OF = ["capital", "population", "color", "age", "owner", "size", "height", "weight", "name", "address", "phone number", "email", "birthday", "language", "currency", "status", "score", "level", "author", "definition", "meaning", "history", "length"]


def attribute(rng):
    """Any property of anything: the tool's name says which."""
    noun = rng.choice([lambda: rng.choice(NOUN_OF), lambda: rng.choice(NOUNS), lambda: invented(rng)])()
    word = noun.replace(" ", "_")
    return Tool("of " + noun, [f"get_{word}", f"{word}_of", f"lookup_{word}", f"find_{word}", f"{word}", f"fetch_{word}", f"get_{word}_of"], [f"Get the {noun}", f"The {noun} of something.", f"Returns the {noun}", f"Look up the {noun} of a thing", f"Get the {noun} by name"],
                {"x": (["name", "item", "country", "id", "of", "key", "subject", "thing", "user", "city"], TEXT, ["Which one", "The name"])},
                [f"What is the {noun} of {{x}}?", f"Get the {noun} of {{x}}.", f"Tell me the {noun} of {{x}}.", f"What's the {noun} of {{x}}?", f"Find the {noun} of {{x}}.", f"{noun.capitalize()} of {{x}}?", f"Look up the {noun} of {{x}}."],
                lambda r, h: {"x": r.choice([ANYTHING, city, name, lambda r, h: r.choice(objects.COUNTRIES)])(r, h)},
                lambda r, v: ((lambda s: (simple(r, s, word, "value"), f"The {noun} of {v['x']} is {s}."))(r.choice([lambda: r.choice(NOUNS), lambda: r.randint(0, 9999), lambda: invented(r), lambda: city(r, False)])())))


def action(rng):
    """Any verb on anything: done or failed."""
    verb, noun = rng.choice("open close delete start stop lock unlock create remove clean show hide save load move check test update".split()), rng.choice([lambda: rng.choice(NOUNS), lambda: rng.choice(["file", "user", "door", "server", "task", "page", "order", "job"])])()
    return Tool(f"{verb} {noun}", [f"{verb}_{noun}", f"{verb}_{noun}", f"{verb}"], [f"{verb.capitalize()} a {noun}", f"{verb.capitalize()}s a {noun}.", f"{verb.capitalize()} the {noun}"], {"x": (["name", "id", noun, "target", "which"], TEXT, [f"Which {noun}"])},
                [f"{verb.capitalize()} the {noun} {{x}}.", f"{verb.capitalize()} {noun} {{x}}", f"Please {verb} the {noun} {{x}}.", f"Can you {verb} the {noun} {{x}}?"], lambda r, h: {"x": r.choice([lambda: draw(lambda: invented(r), h), lambda: r.choice(NOUNS), lambda: name(r, h)])()}, fine)


def by_name(rng):
    """A tool that is asked for by its name, with arguments of any name and kind."""
    fname = rng.choice([lambda: invented(rng), lambda: rng.choice(NOUNS) + "_" + rng.choice(NOUNS), lambda: rng.choice(["run", "call", "do", "make"]) + "_" + rng.choice(NOUNS)])()
    keys = []
    for i in range(rng.choice([0, 1, 1, 2, 2, 3])):
        k = rng.choice([lambda: rng.choice(NOUNS), lambda: invented(rng), lambda: rng.choice(["size", "color", "count", "mode", "name", "value", "x", "y", "path", "id", "limit"])])()
        if k not in [x for x, _ in keys]:
            keys.append((k, rng.choice(["text", "text", "whole", "yes", "enum", "number"])))
    kinds, args = {}, {}
    for i, (k, kind) in enumerate(keys):
        kinds[k] = ENUM(*rng.sample(NOUNS, rng.randint(2, 4))) if kind == "enum" else {"text": TEXT, "whole": WHOLE, "yes": YES, "number": NUMBER}[kind]
        args[k] = ([k], kinds[k], [f"The {k}"])

    def fill(r, h):
        out = {}
        for k, kind in kinds.items():
            out[k] = r.choice(kind["enum"]) if "enum" in kind else {"string": lambda: ANYTHING(r, h), "integer": lambda: number(r), "boolean": lambda: r.random() < 0.5, "number": lambda: r.choice([number(r), round(r.uniform(0, 99), 1)])}[kind["type"]]()
        return out
    return Tool("by name", [fname], [f"Makes {rng.choice(NOUNS)}", f"The {fname} tool", "A tool", f"{rng.choice(NOUNS).capitalize()} for {rng.choice(NOUNS)}"], args, ["by name"], fill, lambda r, v: generic(r))


FIXED = [CALCULATE, FIND, ORDER, WEATHER, TIME, ADD, MULTIPLY, SUBTRACT, PRICE, CONVERT, SEARCH, SEND, TIMER, LIGHT, HEAT, LIST, BOOK, PIZZA, TRANSLATE, READ, HOME, DISTANCE, DICE, STOCK, REMIND, PLAY]


# Tools that answer the same requests are not offered side by side.
SAME = [{"sum", "calculation"}, {"product", "calculation"}, {"difference", "calculation"}, {"home", "record"}, {"search", "record"}, {"search", "weather"}, {"price", "stock"}]


def some_tool(rng):
    r = rng.random()
    return WEATHER if r < 0.2 else TIME if r < 0.25 else ADD if r < 0.3 else attribute(rng) if r < 0.42 else action(rng) if r < 0.48 else by_name(rng) if r < 0.6 else rng.choice(FIXED)
