# SPDX-License-Identifier: Apache-2.0
"""Passages with a question whose answer stands in them, and short news to be
put in one sentence. Held out are passages: by the family name in them."""
import json

from split import held_out

FIRST = ["Alice", "Bruno", "Clara", "David", "Elena", "Felix", "Greta", "Hugo",
         "Irene", "Jonas", "Karin", "Lars", "Marta", "Nils", "Olga", "Pedro",
         "Ruth", "Stefan", "Tara", "Victor", "Wanda", "Yusuf", "Zoe", "Amir"]
START = ["Ba", "Ber", "Ca", "Cor", "Da", "Del", "Fa", "Gar", "Hol", "Jan", "Ka",
         "Kel", "La", "Lin", "Ma", "Mor", "Na", "Pe", "Ra", "Ros", "Sa", "Sel",
         "Ta", "Tor", "Va", "Wal", "Zim"]
MIDDLE = ["", "ri", "lo", "ne", "ta", "mi", "do", "ve", "sa", "ko"]
END = ["son", "berg", "man", "ner", "ski", "ton", "well", "ley", "dez", "rini",
       "field", "mark", "nov", "ters"]
JOBS = ["nurse", "teacher", "baker", "pilot", "lawyer", "farmer", "plumber",
        "designer", "chemist", "driver", "architect", "librarian"]
CITIES = ["Lisbon", "Oslo", "Nairobi", "Lima", "Hanoi", "Quebec", "Porto",
          "Kyoto", "Tampa", "Leeds", "Cairo", "Perth", "Graz", "Turin", "Dakar"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July",
          "August", "September", "October", "November", "December"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
ITEMS = ["lamps", "chairs", "printers", "blankets", "kettles", "cables",
         "mirrors", "shelves", "radios", "helmets"]
TOPICS = ["budget", "safety", "hiring", "sales", "design", "travel", "planning",
          "training"]
PLANS = ["open a new office", "build a school", "close its old factory",
         "hire two hundred people", "start a bus line", "plant ten thousand trees",
         "raise the price of water", "test electric ferries", "repair the bridge",
         "give free lessons", "publish its accounts", "move its archive"]
FILLERS = ["The plan has been discussed for years.",
           "Residents were told by letter.", "No further details were given.",
           "The work should take about two years.",
           "Local shops hope for more visitors.",
           "A spokesman said that the costs are known.",
           "The mayor thanked everyone involved.",
           "Critics say that it comes too late.",
           "A first meeting takes place next week.",
           "Similar plans exist in other towns."]
FIND = ["What is the {}?", "Extract the {} from the text.", "Find the {}.",
        "Give me the {}.", "Which {} is mentioned?"]
AGAIN = ["Repeat: {}", "Write this again: {}", "Copy {}", "{}\n\nSay it again.",
         "Repeat after me: {}", "Echo {}"]
SHAPE = ["{q}\n\n{p}", "{p}\n\n{q}", "Text: {p}\n\n{q}", "{q}\n\nText: {p}"]
BRIEF = ["Summarize in one sentence:\n\n{}", "{}\n\nSummarize this.",
         "Give a one-sentence summary.\n\n{}", "Summarize the following text:\n\n{}",
         "{}\n\nTL;DR", "What is the main point of this text?\n\n{}"]


def family_name(rng):
    return rng.choice(START) + rng.choice(MIDDLE) + rng.choice(END)


def digits(rng, n):
    return "".join(rng.choice("0123456789") for _ in range(n))


def profile(rng, who):
    p = {"name": who, "job": rng.choice(JOBS), "city": rng.choice(CITIES),
         "company": family_name(rng) + rng.choice([" Ltd", " Works", " Group"]),
         "phone number": "%s-%s" % (digits(rng, 3), digits(rng, 4)),
         "year": str(rng.randint(1985, 2024))}
    text = rng.choice([
        "{name} is a {job} from {city}, works for {company} and can be reached at {phone number}. The contract began in {year}.",
        "Since {year}, {name} has worked for {company} as a {job}. Home town: {city}. Phone: {phone number}.",
        "Contact: {name}, {job}, {company}, {city}. Call {phone number}. On file since {year}."])
    return text.format(**p), p


def order(rng, who):
    p = {"name": who, "order number": rng.choice("ABCDK") + digits(rng, 5),
         "date": "%d %s" % (rng.randint(1, 28), rng.choice(MONTHS)),
         "item": rng.choice(ITEMS), "amount": str(rng.randint(2, 90)),
         "price": "%d dollars" % rng.randint(15, 980), "city": rng.choice(CITIES)}
    text = rng.choice([
        "Order {order number} was placed by {name} on {date}. It contains {amount} {item}, costs {price} and ships to {city}.",
        "On {date} {name} ordered {amount} {item} for {price}, to be sent to {city}. The order number is {order number}."])
    return text.format(**p), p


def meeting(rng, who):
    p = {"chair": who, "topic": rng.choice(TOPICS), "day": rng.choice(DAYS),
         "time": "%d:%s" % (rng.randint(8, 18), rng.choice(["00", "15", "30", "45"])),
         "room": rng.choice("ABCDEFG") + digits(rng, 3),
         "note taker": rng.choice(FIRST) + " " + family_name(rng)}
    text = rng.choice([
        "The {topic} meeting is on {day} at {time} in room {room}. {chair} will chair it and {note taker} will take notes.",
        "{chair} invites you to the {topic} meeting: {day}, {time}, room {room}. Notes by {note taker}."])
    return text.format(**p), p


def card(rng, who):
    """A form: some of the lines below, in any order."""
    p = {"room": rng.choice("ABCDEFG") + digits(rng, 2),
         "day": rng.choice(DAYS), "city": rng.choice(CITIES),
         "item": rng.choice(ITEMS), "job": rng.choice(JOBS),
         "month": rng.choice(MONTHS), "company": family_name(rng) + " Ltd",
         "code": digits(rng, 4), "price": "%d dollars" % rng.randint(15, 980)}
    p = {k: p[k] for k in rng.sample(sorted(p), rng.randint(2, 5))}
    lines = ["%s: %s" % item for item in p.items()]
    lines.insert(rng.randrange(len(lines) + 1), "name: " + who)
    return "\n".join(lines), dict(p, name=who)


def person(rng):
    family = family_name(rng)
    return rng.choice(FIRST) + " " + family, held_out("passage", family)


def another(rng, test):
    """Somebody on the same side of the split."""
    while True:
        who, side = person(rng)
        if side == test:
            return who


def among(rng, passage, another):
    """The passage, somewhere between one to three others of its kind."""
    many = rng.randint(12, 18) if rng.random() < 0.015 else rng.randint(1, 3)
    records = [another() for _ in range(many)]
    records.insert(rng.randrange(len(records) + 1), passage)
    return "\n\n".join(records)


def extract(rng, with_tests=False):
    """The answer names the field before its value, as people do: a model of
    this size finds the value by what it has just written."""
    kind = rng.choice([profile, order, meeting, card])
    who, test = person(rng)
    passage, fields = kind(rng, who)
    way = rng.random()
    key = rng.choice([k for k in fields if k not in ("name", "chair")])
    if way < 0.3:  # several records; the question names the one it is about
        passage = among(rng, passage, lambda: kind(rng, another(rng, test))[0])
        question = "What is the %s for %s?" % (key, who)
        answer = "The %s for %s is %s." % (key, who, fields[key])
    elif way < 0.85:
        question = rng.choice(FIND).format(key)
        answer = "The %s is %s." % (key, fields[key])
    else:
        keys = rng.sample(sorted(fields), 2)
        question = "Extract the %s and the %s as JSON." % tuple(keys)
        answer = json.dumps({k: fields[k] for k in keys})
    made = {"label": "extract", "test": test, "answer": answer,
            "prompt": rng.choice(SHAPE).format(q=question, p=passage)}
    if with_tests:
        made.update(checker="exact", reference=answer)
    return made


def summarize(rng, with_tests=False):
    family = family_name(rng)
    test = held_out("passage", family)
    org = family + rng.choice([" Ltd", " Works", " Group", " Council", " Bank"])
    plan, city = rng.choice(PLANS), rng.choice(CITIES)
    key = rng.choice([
        "{o} said on {d} that it will {p} in {c}.",
        "On {d} {o} announced plans to {p} in {c}.",
        "In {c}, {o} wants to {p}, as it said on {d}."]).format(
            o=org, d=rng.choice(DAYS), p=plan, c=city)
    rest = rng.sample(FILLERS, rng.randint(2, 5))
    rest.insert(0 if rng.random() < 0.7 else rng.randrange(len(rest)), key)
    answer = "%s will %s in %s." % (org, plan, city)
    made = {"label": "summarize", "test": test, "answer": answer,
            "prompt": rng.choice(BRIEF).format(" ".join(rest))}
    if with_tests:
        made.update(checker="exact", reference=answer)
    return made


def repeat(rng, with_tests=False):
    """A string to write again: teaches copying, which finding needs. Strings
    are random, so there is nothing to hold out; never a test."""
    kind = rng.random()
    if kind < 0.25:
        text = digits(rng, rng.randint(2, 9))
    elif kind < 0.4:
        text = rng.choice("ABCDKQX") + digits(rng, rng.randint(3, 6))
    elif kind < 0.55:
        text = "%s-%s" % (digits(rng, 3), digits(rng, 4))
    elif kind < 0.8:
        text = " ".join(person(rng)[0] if rng.random() < 0.5 else
                        digits(rng, 2) for _ in range(rng.randint(2, 5)))
    else:
        text = " ".join(rng.sample(CITIES + ITEMS + JOBS + MONTHS,
                                   rng.randint(3, 10)))
    return {"label": "extract", "test": False, "answer": text,
            "prompt": rng.choice(AGAIN).format(text)}
