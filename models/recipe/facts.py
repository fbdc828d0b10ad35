# SPDX-License-Identifier: Apache-2.0
"""Closed-book facts from public lists as Debian ships them: ISO 3166-1 and -2,
4217 and 639-2 with Chinese translations (package iso-codes) and the capitals
of kgeography-data. Only the facts are used, none of the files' wording."""
import gettext
import json
import re
import xml.etree.ElementTree as xml

from split import held_out

ISO = "/usr/share/iso-codes/json/iso_%s.json"
WORLD = "/usr/share/kgeography/world.kgm"

# relation -> ways to ask; {0} is what is known. The answer is the bare fact.
ASK = {
    "capital": ["What is the capital of {0}?", "Name the capital of {0}.",
                "Which city is the capital of {0}?", "{0}: what is its capital?",
                "Tell me the capital city of {0}."],
    "capital_of": ["Which country has the capital {0}?",
                   "{0} is the capital of which country?",
                   "Of which country is {0} the capital?"],
    "code": ["What is the two-letter country code of {0}?",
             "What is the ISO code of {0}?", "Country code for {0}?",
             "Which two letters stand for {0} in ISO 3166?",
             "{0}的两位国家代码是什么?"],
    "code_of": ["Which country has the code {0}?",
                "What country does {0} stand for?",
                "Whose country code is {0}?"],
    "chinese": ["What is {0} called in Chinese?",
                "How do you say {0} in Chinese?",
                "What is the Chinese name of {0}?"],
    "english": ["{0}的英文名是什么?", "{0}用英语怎么说?",
                "Which country is {0} in English?"],
    "currency": ["What is the currency code of the {0}?",
                 "Which code stands for the {0}?",
                 "ISO 4217 code of the {0}?"],
    "currency_of": ["Which currency has the code {0}?",
                    "What currency is {0}?", "What does the code {0} pay with?"],
    "language": ["What is the two-letter code of the {0} language?",
                 "Language code for {0}?", "Which ISO 639 code has {0}?"],
    # The long tail: there are as many of these as of all others.
    "region": ["Which country is {0} in?", "In which country is {0}?",
               "{0} is a part of which country?", "Where is {0}?"],
}
REGIONS = {"State", "Province", "Prefecture", "Department", "Canton",
           "Governorate", "Land"}
CODES = {"code", "currency", "language"}  # answers that are told letter by letter


def short(name):
    """"Bolivia, Plurinational State of" -> "Bolivia"."""
    return name.split(",")[0].split(";")[0].split("(")[0].strip()


def listed(number, key):
    with open(ISO % number, encoding="utf-8") as file:
        return json.load(file)[key]


def capitals():
    """country -> capital, one a country."""
    found = {}
    for division in xml.parse(WORLD).getroot().iter("division"):
        name, capital = division.findtext("name"), division.findtext("capital")
        if name and capital and "(" not in name:
            found[name] = capital.split("(")[0].strip()
    return found


def load():
    """[(relation, known, answer)], sorted; a known thing with two answers is
    left out, since a question about it has none."""
    chinese = gettext.translation("iso_3166-1", languages=["zh_CN"],
                                  fallback=False).gettext
    rows = []
    for c in listed("3166-1", "3166-1"):
        name = short(c.get("common_name", c["name"]))
        rows += [("code", name, c["alpha_2"]), ("code_of", c["alpha_2"], name)]
        translated = chinese(c.get("common_name", c["name"]))
        if translated == c.get("common_name", c["name"]):
            translated = chinese(c["name"])
        if translated.isascii() or len(translated) > 9:
            continue
        rows += [("chinese", name, translated), ("english", translated, name)]
    for name, capital in capitals().items():
        rows += [("capital", name, capital), ("capital_of", capital, name)]
    countries = {c["alpha_2"]: short(c.get("common_name", c["name"]))
                 for c in listed("3166-1", "3166-1")}
    for region in listed("3166-2", "3166-2"):
        name = region["name"]
        if (region["type"] in REGIONS and name not in countries.values() and
                re.fullmatch(r"[^\W\d_]+([ -][^\W\d_]+)?", name)):
            rows.append(("region", name, countries[region["code"][:2]]))
    for c in listed("4217", "4217"):
        if not c["alpha_3"].startswith("X") and "(" not in c["name"]:
            rows += [("currency", c["name"], c["alpha_3"]),
                     ("currency_of", c["alpha_3"], c["name"])]
    for c in listed("639-2", "639-2"):
        if "alpha_2" in c:
            rows.append(("language", short(c["name"]), c["alpha_2"]))
    answers = {}
    for relation, known, answer in rows:
        answers.setdefault((relation, known), set()).add(answer)
    return sorted((r, k, a.pop()) for (r, k), a in answers.items()
                  if len(a) == 1)


def questions(facts):
    """-> [(question, answer, relation, test)]. All facts are trained on:
    closed book means that nothing else could tell them. What is held out is
    the pair of a fact and a way to ask for it; each fact keeps at least one."""
    rows = []
    for relation, known, answer in facts:
        ways = list(enumerate(ASK[relation]))
        test = [w for w, _ in ways if held_out("qa", relation, known, w)]
        if len(test) == len(ways):
            test.pop()
        for way, text in ways:
            rows.append((text.format(known), answer, relation, way in test))
    return rows
