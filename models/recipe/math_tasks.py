# SPDX-License-Identifier: Apache-2.0
"""Arithmetic and word problems of one and two steps, answered with their
steps. Held out are the numbers of a problem with its operations. A pair held
out of the problems of one step stands in no step of training either; the steps
of a held-out problem of two may have been seen, but never one after the other.
"""
from split import held_out

NAMES = ["Tom", "Anna", "Ben", "Lucy", "Omar", "Mia", "Ravi", "Sara", "Leo",
         "Nina", "Paul", "Ella", "Ivan", "Rosa", "Jack", "Lily"]
THINGS = ["apples", "books", "coins", "stamps", "cards", "eggs", "pens",
          "shells", "cookies", "tickets", "marbles", "toys"]
# text, operations on (a, b, c) from left to right
ONE = [("{n} has {a} {t} and buys {b} more. How many {t} does {n} have now?", "+"),
       ("{n} has {a} {t}. {m} gives {n} {b} more. How many {t} does {n} have?", "+"),
       ("There are {a} {t} in one box and {b} in another. How many {t} are there in all?", "+"),
       ("{n} had {a} {t} and lost {b}. How many {t} are left?", "-"),
       ("{n} has {a} {t} and gives {b} to {m}. How many {t} does {n} have left?", "-"),
       ("A shop had {a} {t} and sold {b}. How many {t} remain?", "-"),
       ("There are {a} boxes with {b} {t} each. How many {t} are there?", "*"),
       ("{n} buys {a} bags of {b} {t}. How many {t} does {n} have?", "*"),
       ("One of the {t} costs {b} dollars. How much do {a} {t} cost?", "*"),
       ("{n} shares {a} {t} equally among {b} friends. How many does each get?", "/"),
       ("{a} {t} are packed in boxes of {b}. How many boxes are needed?", "/"),
       ("小明有{a}个苹果,又买了{b}个。他现在有几个苹果?", "+"),
       ("盒子里有{a}支笔,拿走了{b}支,还剩几支?", "-")]
TWO = [("{n} has {a} {t}, buys {b} more and then gives away {c}. How many {t} are left?", "+-"),
       ("{n} had {a} {t}, lost {b} and found {c}. How many {t} does {n} have?", "-+"),
       ("{n} has {a} {t}. {m} has {b} more than {n}, and {o} has {c} more than {m}. How many {t} does {o} have?", "++"),
       ("{n} buys {a} boxes of {b} {t} and gets {c} more as a gift. How many {t} does {n} have?", "*+"),
       ("{n} buys {a} bags of {b} {t} and eats {c}. How many {t} are left?", "*-"),
       ("A class of {a} gets {b} new pupils. Each pupil brings {c} {t}. How many {t} are there?", "+*"),
       ("{n} had {a} {t} and sold {b}. The rest are sold for {c} dollars each. How many dollars does {n} get for them?", "-*"),
       ("{n} packs {a} {t} in bags of {b}, and {m} brings {c} more bags. How many bags are there?", "/+"),
       ("{n} reads {a} pages on Monday and {b} on Tuesday. The book has {c} pages more than that. How many pages has the book?", "++"),
       ("A bus has {a} people. {b} get off and {c} get on. How many people are on the bus?", "-+")]
BARE = ["What is {}?", "Compute {}.", "{} = ?", "Calculate {}.", "How much is {}?",
        "计算 {}"]


MOST = 30  # the largest number that is added, or begins a problem


def apply(op, a, b):
    return {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else 0}[op]


def second(rng, op, a):
    """A b that keeps (a op b) a small whole number, or None."""
    if op == "+":
        return rng.randint(2, MOST)
    if op == "-":
        return rng.randint(1, a) if a >= 1 else None
    if op == "*":
        return rng.randint(2, 9) if a <= 30 else None
    divisors = [d for d in range(2, 13) if a % d == 0]
    return rng.choice(divisors) if divisors else None


def numbers(rng, ops):
    while True:
        small = ops[0] == "*" or len(ops) > 1 and ops[1] == "*"
        a = rng.randint(2, 14 if small else MOST)
        if ops[0] == "/":
            a = rng.randint(2, 9) * rng.randint(2, 9)
        values, at = [a], a
        for op in ops:
            b = second(rng, op, at)
            if b is None or (op == "+" and small and len(values) == 1 and b > 14):
                break
            values.append(b)
            at = apply(op, at, b)
        else:
            return values


def worked(ops, values):
    at, steps = values[0], []
    for op, b in zip(ops, values[1:]):
        result = apply(op, at, b)
        steps.append("%d %s %d = %d" % (at, op, b, result))
        at = result
    return steps, at


def text_of(rng, ops, values, template):
    if template is None:
        text = "%d %s %d" % (values[0], ops[0], values[1])
        if len(ops) == 2:
            tight = ops[1] in "*/" and ops[0] in "+-"
            text = "%s %s %d" % ("(%s)" % text if tight else text, ops[1],
                                 values[2])
        return rng.choice(BARE).format(text)
    n, m, o = rng.sample(NAMES, 3)
    a, b, c = (values + [0])[:3]
    return template.format(n=n, m=m, o=o, t=rng.choice(THINGS), a=a, b=b, c=c)


def example(rng, with_tests=False):
    kind = rng.random()
    template = None
    if kind < 0.25:
        ops = rng.choice("++--**/")
    elif kind < 0.40:
        ops = rng.choice(["+-", "-+", "*+", "*-", "+*", "++", "-*"])
    else:
        template, ops = rng.choice(ONE if kind < 0.65 else TWO)
    values = numbers(rng, ops)
    steps, result = worked(ops, values)
    test = held_out("math", ops, *values)
    at, barred = values[0], test
    for op, b in zip(ops, values[1:]):
        barred = barred or held_out("math", op, at, b)
        at = apply(op, at, b)
    made = {"label": "math", "prompt": text_of(rng, ops, values, template),
            "answer": ". ".join(steps) + ". The answer is %d." % result,
            "test": test, "train": not barred}
    if with_tests:
        made.update(checker="number", reference=str(result))
    return made
