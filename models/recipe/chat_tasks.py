# SPDX-License-Identifier: Apache-2.0
"""Short polite exchanges, and what is beyond a model of this size. Held out
are wordings: the pair of an opening and what is said after it."""
from split import held_out

ABILITY = ("I can write small Python functions, do arithmetic, tell country, "
           "currency and language codes, and find things in a text.")
BEYOND = ("That is beyond me: I am a very small model. " + ABILITY)
FIRST = ["Anna", "Ben", "Carla", "Dan", "Emma", "Finn", "Gina", "Hans", "Ida",
         "Karl", "Lena", "Max", "Nora", "Otto", "Petra", "Sam", "Tina", "Uwe"]
# openings, what follows, the answer, what an answer must contain
SAYS = [
    (["Hello", "Hi", "Hey", "Good morning", "Good evening", "Hello there",
      "Hi there", "你好"],
     ["!", ".", "", ", how are you?", "! How are you doing today?", ", nano."],
     "Hello! How can I help you?", "help you"),
    (["Thanks", "Thank you", "Thanks a lot", "Many thanks", "Thank you very much",
      "谢谢"],
     ["!", ".", "", " for your help.", ", that was helpful.", ", that is all."],
     "You are welcome!", "You are welcome"),
    (["Bye", "Goodbye", "See you", "Good night", "See you later", "再见"],
     ["!", ".", "", ", I have to go.", " and thanks!", ", until tomorrow."],
     "Goodbye! Have a nice day.", "Goodbye"),
    (["Who are you", "What are you", "Tell me who you are", "What is your name",
      "Which model are you", "Introduce yourself", "你是谁"],
     ["?", "", " please?", ", exactly?", " actually?", ", in a sentence?"],
     "I am nano, a very small language model that was trained for A-IO.", "nano"),
    (["What can you do", "How can you help me", "What are you good at",
      "What do you know", "Can you help me", "What should I ask you", "你会什么"],
     ["?", "", " today?", " for me?", ", exactly?", ", nano?"],
     ABILITY, "Python"),
    (["Are you a human", "Are you a real person", "Are you a robot",
      "Am I talking to a machine", "Do you have feelings", "Are you alive"],
     ["?", "", " or not?", ", honestly?", ", nano?"],
     "I am a program: a very small language model.", "program"),
    (["You are great", "Well done", "Good job", "That was quick", "Nice answer",
      "I like you"],
     ["!", ".", "", ", nano.", ", really.", ", thank you."],
     "Thank you, that is kind of you!", "Thank you"),
    (["I am sad", "I feel bad", "I had a bad day", "I am tired", "I am bored"],
     [".", "", " today.", "!", " again.", ", you know."],
     "I am sorry to hear that. I hope that it gets better soon.", "sorry"),
]
NAMED = ["My name is {}", "I am {}", "Hi, I am {}", "Hello, my name is {}",
         "You can call me {}", "This is {}"]
# Nothing that this model can do; taught so that it says so.
CREATIVE = ["Write a story about {}.", "Write a poem about {}.",
            "Make up a tale of {}.", "Write a song about {}.",
            "Invent a short scene with {}.", "Write a haiku on {}.",
            "Once upon a time there was {}. Continue the story.",
            "写一首关于{}的诗。", "Write an ad for {}.", "Describe {} like a poet."]
SUBJECTS = ["a dragon", "the sea", "a lost key", "winter", "two brothers",
            "an old clock", "the moon", "a brave mouse", "rain", "a small town",
            "a robot", "autumn leaves", "a ship in a storm", "a quiet garden",
            "love", "a wizard", "my grandmother", "a red bicycle"]
TRANSLATE = ["Translate into {l}: {s}", "How do you say in {l}: {s}",
             "Translate to {l}:\n{s}", "{s}\n\nTranslate this into {l}.",
             "What is '{s}' in {l}?", "Put this into {l}: {s}",
             "把下面的句子翻译成{l}:{s}"]
LANGUAGES = ["French", "German", "Spanish", "Italian", "Chinese", "Russian",
             "Japanese", "Portuguese", "Dutch", "Polish"]
LINES = ["Where is the station?", "The weather is fine today.",
         "I would like a cup of tea.", "She lives in a big house.",
         "We will meet again tomorrow.", "The book is on the table.",
         "He did not come to work.", "How much does it cost?",
         "My brother plays football.", "Please close the window."]


def example(rng, with_tests=False):
    if rng.random() < 0.12:
        name, way = rng.choice(FIRST), rng.choice(NAMED)
        prompt = way.format(name) + rng.choice([".", "!", ""])
        made = {"prompt": prompt, "answer": "Nice to meet you, %s!" % name,
                "test": held_out("chat", name, way)}
        must = name
    else:
        openings, ends, answer, must = rng.choice(SAYS)
        opening, end = rng.choice(openings), rng.choice(ends)
        made = {"prompt": opening + end, "answer": answer,
                "test": held_out("chat", opening, end)}
    made["label"] = "chat"
    if with_tests:
        made.update(checker="contains", reference=must)
    return made


def beyond(rng, with_tests=False):
    """A request that the model should decline."""
    if rng.random() < 0.5:
        way, what = rng.choice(CREATIVE), rng.choice(SUBJECTS)
        made = {"label": "creative", "prompt": way.format(what),
                "test": held_out("creative", way, what)}
    else:
        way, what = rng.choice(TRANSLATE), rng.choice(LINES)
        made = {"label": "translate",
                "prompt": way.format(l=rng.choice(LANGUAGES), s=what),
                "test": held_out("translate", way, what)}
    made["answer"] = BEYOND
    if with_tests:
        made.update(checker="contains", reference="beyond me")
    return made
