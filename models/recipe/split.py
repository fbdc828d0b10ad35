# SPDX-License-Identifier: Apache-2.0
"""Which content is held out: by a hash of what an example is about, never by
where it happens to stand in a stream, so that train and test cannot share it."""
import hashlib


def fraction(*key):
    """A number in [0, 1) that depends on the key alone."""
    text = "\x1f".join(str(k) for k in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6],
                          "big") / 2**48


def held_out(*key, share=0.1):
    """True: this content is for the test set and is never trained on."""
    return fraction("split", *key) < share
