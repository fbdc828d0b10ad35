#!/usr/bin/env python3
"""Checks the rules that a compiler does not: run by ctest as `tidy`.

1. src/LAYERS: a folder includes only the folders listed for it, and no cycle.
2. File <= 600 lines, function <= 70 lines, <= 6 parameters, nesting <= 3.
3. SIMD headers (hwy/) only in kernels/*.cc and *-inl.h; no `throw`, no printing
   and no exit outside cli/ and base/.
4. Every source file begins with its licence line.

Functions are found by layout, which .clang-format fixes: at namespace scope or
inside a class, a block that opens on a line ending in "{" and whose header has
a parameter list.
"""
import pathlib
import re
import sys

FILE_LINES, FUNCTION_LINES, PARAMETERS, NESTING = 600, 70, 6, 3
SRC = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "src")
CONTROL = re.compile(r"\b(if|for|while|switch|do|else|try|catch)\b")
TYPE = re.compile(r"\b(class|struct|enum|union|namespace|extern)\b")


def read_layers():
    layers = {}
    for line in (SRC / "LAYERS").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            folder, allowed = line.split(":")
            layers[folder.strip()] = set(allowed.split())
    return layers


def check_order(layers):
    """Exits with the cycle, if the folders have one."""
    done, path = [], []

    def visit(folder):
        if folder in done:
            return
        if folder in path:
            sys.exit("LAYERS has a cycle: " + " -> ".join(path + [folder]))
        path.append(folder)
        for other in sorted(layers[folder] - {"*"}):
            visit(other)
        done.append(path.pop())

    for folder in layers:
        visit(folder)


def strip(text):
    """The text without comments, strings and preprocessor lines, same lines."""
    pattern = re.compile(
        r'R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''
        r"|//[^\n]*|/\*.*?\*/|^[ \t]*#(?:[^\n\\]|\\.)*(?:\\\n(?:[^\n\\]|\\.)*)*",
        re.S | re.M)
    def blank(match):
        if "'" == match[0][0] and re.search(r"[0-9a-fA-F]$",
                                             text[:match.start()][-1:]):
            return match[0]  # a digit separator, not a character
        quoted = '""' if match[0][0] in "\"'R" else ""
        return quoted + "\n" * match[0].count("\n")
    return pattern.sub(blank, text)


def parameters(header):
    """The number of parameters of the first parameter list at depth 0."""
    match = re.search(r"[\w>\]~=+*/<!-]\s*\(", header)
    if not match:
        return 0
    depth, angle, count, empty = 0, 0, 1, True
    for c in header[match.end() - 1:]:
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth == 0:
                return 0 if empty else count
        elif c == "<":
            angle += 1
        elif c == ">":
            angle = max(0, angle - 1)
        elif c == "," and depth == 1 and angle == 0:
            count += 1
        if depth >= 1 and c not in "( \n":
            empty = False
    return count


def check_functions(text):
    """Yields (line, message) for functions that are too long, wide or deep."""
    stack, header, line, header_line = [], "", 1, 1
    for c in text:
        if c == "\n":
            line += 1
        if c == "{":
            inside = next((b for b in stack if b["function"]), None)
            control = CONTROL.search(header) is not None
            function = (inside is None and "(" in header
                        and not TYPE.search(re.sub(r"\(.*", "", header, flags=re.S))
                        and not control and "=" not in header.split("(")[0])
            if function and parameters(header) > PARAMETERS:
                yield header_line, (f"{parameters(header)} parameters; "
                                    f"the limit is {PARAMETERS}")
            depth = 0
            if inside is not None and control:
                depth = 1 + max((b["depth"] for b in stack), default=0)
                if depth == NESTING + 1:
                    yield line, f"nesting of {depth}; the limit is {NESTING}"
            elif stack and inside is not None and "[" not in header:
                depth = stack[-1]["depth"]
            stack.append({"function": function, "line": header_line,
                          "depth": depth})
            header, header_line = "", line
        elif c == "}":
            if stack:
                block = stack.pop()
                length = line - block["line"] + 1
                if block["function"] and length > FUNCTION_LINES:
                    yield block["line"], (f"function of {length} lines; "
                                          f"the limit is {FUNCTION_LINES}")
            header, header_line = "", line
        elif c == ";" and header.count("(") <= header.count(")"):
            header, header_line = "", line
        else:
            if not header.strip():
                header_line = line
            header += c


def check_includes(number, line, folder, allowed, layers, name):
    include = re.match(r'#include ["<](\w+)/', line)
    if not include:
        return
    other = include[1]
    if other in layers and other != folder and "*" not in allowed \
            and other not in allowed:
        yield number, f"{folder}/ may not include {other}/"
    if other == "hwy" and (folder != "kernels" or
                           not re.search(r"(\.cc|-inl\.h)$", name)):
        yield number, "hwy/ belongs in kernels/*.cc and *-inl.h"


def check_file(path, folder, allowed, layers):
    raw = path.read_text()
    lines = raw.splitlines()
    if not lines or "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
        yield 1, "the first line is not the licence identifier"
    if len(lines) > FILE_LINES:
        yield 1, f"{len(lines)} lines; the limit is {FILE_LINES}"
    for number, line in enumerate(lines, 1):
        yield from check_includes(number, line, folder, allowed, layers,
                                  path.name)
    text = strip(raw)
    is_test = path.stem.endswith("_test")
    if folder not in ("cli", "base") and not is_test:
        for number, line in enumerate(text.splitlines(), 1):
            banned = re.search(
                r"\b(throw|std::cout|std::cerr|(?:std::)?f?printf|"
                r"(?:std::)?exit)\b\s*[(<;\w\"]?", line)
            if banned:
                yield number, f"{banned[1]}: return a Result or use base/log.h"
    if not is_test:
        yield from check_functions(text)


def main():
    layers = read_layers()
    check_order(layers)
    errors = files = 0
    for path in sorted(SRC.rglob("*")):
        folder = path.relative_to(SRC).parts[0]
        if path.suffix not in (".h", ".cc", ".cu") or folder not in layers:
            continue
        files += 1
        for number, message in check_file(path, folder, layers[folder], layers):
            print(f"{path}:{number}: {message}")
            errors += 1
    if files == 0:
        sys.exit(f"no source files under {SRC}")
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
