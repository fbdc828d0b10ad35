# SPDX-License-Identifier: Apache-2.0
"""Small Python functions, composed of parts: what is held out is the
composition ("the largest square of the odd numbers"), not the constants."""
from split import held_out

# text, expression of x; {k} is a constant
MAPS = [("{}", "x"), ("squares of the {}", "x * x"),
        ("doubles of the {}", "2 * x"), ("{} plus {k}", "x + {k}"),
        ("{} times {k}", "x * {k}"), ("negatives of the {}", "-x"),
        ("{} minus {k}", "x - {k}")]
FILTERS = [("numbers", ""), ("even numbers", "x % 2 == 0"),
           ("odd numbers", "x % 2 == 1"), ("positive numbers", "x > 0"),
           ("negative numbers", "x < 0"),
           ("numbers greater than {c}", "x > {c}"),
           ("numbers less than {c}", "x < {c}"),
           ("multiples of {m}", "x % {m} == 0"),
           ("numbers that are not {c}", "x != {c}")]
TOTALS = [("the sum of the {}", "sum({})"),
          ("the largest of the {}", "max({}, default=0)"),
          ("the smallest of the {}", "min({}, default=0)"),
          ("a list of the {}", "[{}]"),
          ("a sorted list of the {}", "sorted({})"),
          ("the set of the {}", "set({})"),
          ("how many different values the {} have", "len(set({}))")]
STRINGS = [("in upper case", "{}.upper()"), ("in lower case", "{}.lower()"),
           ("reversed", "{}[::-1]"), ("without spaces", '{}.replace(" ", "")'),
           ("with dashes for spaces", '{}.replace(" ", "-")'),
           ("without its first {k} characters", "{}[{k}:]"),
           ("cut to {k} characters", "{}[:{k}]"), ("twice", "{} * 2"),
           ("with its words sorted", '" ".join(sorted({}.split()))')]
TESTS = [("even", "n % 2 == 0"), ("odd", "n % 2 == 1"), ("positive", "n > 0"),
         ("greater than {k}", "n > {k}"), ("less than {c}", "n < {c}"),
         ("divisible by {m}", "n % {m} == 0"), ("equal to {k}", "n == {k}")]
STEPS = [("n plus {k}", "n + {k}"), ("n times {k}", "n * {k}"),
         ("n squared", "n * n"), ("n minus {c}", "n - {c}"), ("0", "0"),
         ("the half of n, rounded down", "n // 2"), ("minus n", "-n")]
WORDS = [("how many words of s {}", "len([w for w in s.split() if {}])"),
         ("a list of the words of s that {}", "[w for w in s.split() if {}]"),
         ("the words of s that {}, joined by commas",
          '",".join(w for w in s.split() if {})'),
         ("whether any word of s {}", "any({} for w in s.split())"),
         ("whether all words of s {}", "all({} for w in s.split())")]
ABOUT = [("have more than {k} letters", "len(w) > {k}"),
         ("start with {q}", "w.startswith({q})"),
         ("end with {q}", "w.endswith({q})"), ("contain {q}", "{q} in w"),
         ("have {k} letters", "len(w) == {k}")]
PAIRS = [("a list of the keys of d whose value is {}",
          "[k for k, n in d.items() if {}]"),
         ("the sum of the values of d that are {}",
          "sum(n for n in d.values() if {})"),
         ("how many values of d are {}",
          "len([n for n in d.values() if {}])"),
         ("d without the values that are {}",
          "{{k: n for k, n in d.items() if not {}}}")]
LISTS = ["xs", "numbers", "values", "items", "nums", "data"]
ASKS = ["Complete this Python function.\n\n{}", "Complete the function:\n\n{}",
        "{}\n\nComplete this function.", "Write the body of this function.\n\n{}",
        "Finish this Python function:\n\n{}", "Implement this function.\n\n{}"]
NAMES = ["solve", "compute", "process", "f", "run", "calc", "answer", "work",
         "result_of", "convert", "check", "get", "make", "transform", "apply"]


def constants(rng):
    return {"k": rng.randint(1, 9), "c": rng.randint(1, 20),
            "m": rng.choice([3, 4, 5, 6, 7]), "q": repr(rng.choice("aestrnblm"))}


def fill(text, values):
    for key, value in values.items():
        text = text.replace("{%s}" % key, str(value))
    return text


def over_list(rng):
    i, j, k = (rng.randrange(len(x)) for x in (TOTALS, MAPS, FILTERS))
    name = rng.choice(LISTS)
    what = MAPS[j][0].replace("{}", FILTERS[k][0])
    inner = "%s for x in %s" % (MAPS[j][1], name)
    if FILTERS[k][1]:
        inner += " if " + FILTERS[k][1]
    body = TOTALS[i][1].replace("{}", inner)
    if "default" in body:
        body = body.replace(inner, "(%s)" % inner)
    text = TOTALS[i][0].replace("{}", what) + " in " + name
    return ("list", i, j, k), name, text, body, lambda r: [
        [r.randint(-12, 24) for _ in range(r.randint(3, 8))]]


def over_string(rng):
    i, j = rng.sample(range(len(STRINGS)), 2)
    first, second = STRINGS[i], STRINGS[j]
    body = first[1].replace("{}", "s")
    body = second[1].replace("{}", "(%s)" % body if "*" in body else body)
    text = "s %s, then %s" % (first[0], second[0])
    return ("string", i, j), "s", text, body, sentence


def over_number(rng):
    i, (j, k) = rng.randrange(len(TESTS)), rng.sample(range(len(STEPS)), 2)
    text = "%s if n is %s, else %s" % (STEPS[j][0], TESTS[i][0], STEPS[k][0])
    body = "%s if %s else %s" % (STEPS[j][1], TESTS[i][1], STEPS[k][1])
    return ("number", i, j, k), "n", text, body, number


def over_tests(rng):
    i, j = rng.sample(range(len(TESTS)), 2)
    word = rng.choice(["and", "or"])
    text = "True if n is %s %s %s" % (TESTS[i][0], word, TESTS[j][0])
    body = "%s %s %s" % (TESTS[i][1], word, TESTS[j][1])
    return ("tests", i, j, word), "n", text, body, number


def over_words(rng):
    i, j = rng.randrange(len(WORDS)), rng.randrange(len(ABOUT))
    body = WORDS[i][1].replace("{}", ABOUT[j][1])
    return ("words", i, j), "s", WORDS[i][0].replace("{}", ABOUT[j][0]), body, \
        sentence


def over_dict(rng):
    i, j = rng.randrange(len(PAIRS)), rng.randrange(len(TESTS))
    body = PAIRS[i][1].replace("{}", TESTS[j][1])
    body = body.replace("{{", "{").replace("}}", "}")
    return ("dict", i, j), "d", PAIRS[i][0].replace("{}", TESTS[j][0]), body, \
        lambda r: [{w: r.randint(-9, 20) for w in r.sample("abcdefg", 5)}]


def sentence(rng):
    words = ["tea", "Blue", "stream", "ant", "market", "sun", "Letter", "bees",
             "almost", "mill", "tables", "era", "Noise", "rest", "lamb"]
    return [" ".join(rng.sample(words, rng.randint(3, 6)))]


def number(rng):
    return [rng.randint(-10, 40)]


FAMILIES = [over_list, over_list, over_list, over_string, over_number,
            over_tests, over_words, over_dict]


def tests_of(name, code, arguments, rng):
    """Assertions whose expected values the reference code computed."""
    scope = {}
    exec(code, scope)  # our own code, from the parts above
    lines = []
    for _ in range(6):
        values = arguments(rng)
        call = "%s(%s)" % (name, ", ".join(map(repr, values)))
        lines.append("assert %s == %r" % (call, eval(call, scope)))
    return "\n".join(lines)


def example(rng, with_tests=False):
    key, args, text, body, arguments = rng.choice(FAMILIES)(rng)
    values = constants(rng)
    text, body = fill(text, values), fill(body, values)
    name = rng.choice(NAMES) + rng.choice(["", "", "_" + args, "_it", "_all"])
    head = "def %s(%s):\n" % (name, args)
    prompt = '%s    """Return %s."""' % (head, text)
    code = head + "    return " + body
    made = {"label": "code", "prompt": rng.choice(ASKS).format(prompt),
            "answer": code, "test": held_out("code", *key)}
    if with_tests:
        made.update(checker="python-tests", entry_point=name,
                    reference=tests_of(name, code, arguments, rng))
    return made
