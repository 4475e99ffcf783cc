"""Code at most 100 columns wide, for pages only: the sources have 120.

Lines are broken where Python allows it. What comes out parses to the same program; else it is left as it was"""
import ast
import io
import re
import tokenize
from typing import NamedTuple

COLUMNS = 100
STEP = ' ' * 4
OPENING, CLOSING = '([{', ')]}'
VALUE = re.compile(r'''(\s*(?:return |raise |\w+ = ))(\w*(["']).*\3)''')  # a string outside brackets
COMPOUND = 'if', 'for', 'while', 'with', 'def', 'class', 'else', 'elif', 'try', 'except', 'finally'
LAST = 100  # added to the depth of places that are taken where there is no other
BEFORE = {'and', 'or', 'if', 'else', 'for', 'in', '+', '-', '*', '/', '@', '|', '==', '<', '>', '<=', '>='}


class Break(NamedTuple):
    "A place in a line where it may go on in the next"
    depth: int  # brackets around it: the fewer, the better
    column: int
    indent: int  # of the next line
    mark: str = ''  # what the first part ends with, outside brackets


def tokens(source):
    "The tokens of a source; raises `tokenize.TokenError` or `IndentationError` where it is no Python"
    return list(tokenize.generate_tokens(io.StringIO(source).readline))


def is_statement(before): return all(t.type in (tokenize.INDENT, tokenize.DEDENT) for t in before)


def brackets_before(every, row):
    "The brackets that are open at the beginning of a row, as (character, None): their columns are in other rows"
    found = []
    for token in every:
        if token.start[0] >= row: break
        if token.type == tokenize.OP and token.string in CLOSING: found.pop()
        if token.type == tokenize.OP and token.string in OPENING: found.append((token.string, None))
    return found


def places(every, row, line):
    "Every `Break` of a row"
    found, brackets = [], brackets_before(every, row)
    indent = len(line) - len(line.lstrip())
    first = next((t.string for t in every if t.start[0] == row and t.string.strip()), '')
    after_lambda = False
    for token, following in zip(every, every[1:]):
        if token.start[0] != row or token.end[0] != row: continue
        is_op = token.type == tokenize.OP
        if is_op and token.string in CLOSING and brackets: brackets.pop()
        after_lambda = after_lambda or token.string == 'lambda'
        inner = next((column for _, column in reversed(brackets) if column is not None), None)
        hang = (indent if brackets else indent + 4) if inner is None else inner + 1
        mark, depth = ('', 2 * len(brackets)) if brackets else (' \\', 1)
        if token.string in BEFORE and token.start[1] > indent and not after_lambda:
            if not is_op or line[token.start[1] - 1] == ' ': found.append(Break(depth, token.start[1], hang, mark))
        if is_op and token.string in OPENING:
            brackets.append((token.string, token.end[1] - 1))
            found.append(Break(2 * len(brackets) + LAST, token.end[1], indent + 4))
        is_last = following.start[0] != row or following.type in (tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT)
        if is_last or not is_op: continue
        if token.string == ',': found.append(Break(depth if brackets else LAST, token.end[1], hang, mark))
        if token.string == ':' and brackets and brackets[-1][0] == '{' and not after_lambda:
            found.append(Break(depth + 1, token.end[1], hang + 4))
        ends_head = token.string == ':' and not brackets and first in COMPOUND and not after_lambda
        if ends_head: found.append(Break(0, token.end[1], indent + 4))
    return found


def broken_line(line, breaks):
    "A row in two lines, at the outermost place that fits; None where there is none"
    code = line.rstrip()
    fits = [b for b in breaks if b.column + len(b.mark) <= COLUMNS and code[b.column:].strip()]
    fits = [b for b in fits if code[:b.column].strip() and b.indent < min(b.column, 60)]
    if not fits: return None
    best = min(fits, key=lambda b: (b.depth, -b.column))
    head = f'{code[:best.column].rstrip()}{best.mark}'
    return [head, ' ' * best.indent + code[best.column:].lstrip()]


def pieces_of(text, width):
    "A text in lines of at most `width` characters, torn at spaces and never within braces"
    lines = ['']
    for word in re.split(r'(?<= )(?=\S)', text):
        if lines[-1] and len(lines[-1]) + len(word) > width: lines.append('')
        lines[-1] += word
    whole = [lines[0]]
    for line in lines[1:]:  # an expression in braces stays in one piece
        is_torn = whole[-1].count('{') > whole[-1].count('}')
        if is_torn: whole[-1] += line
        else: whole.append(line)
    return whole


def broken_literal(token, line, is_within):
    "A long string of one row: adjacent literals inside brackets, a docstring of several lines as a statement"
    match = re.fullmatch(r'''(\w*)("""|\'\'\'|"|')(.*)\2''', token.string, re.S)
    if not match or '\n' in token.string: return None
    prefix, quote, text = match.groups()
    start = token.start[1]
    before, after = line[:start], line[token.end[1]:].rstrip()
    if not before.strip() and not is_within and not prefix:
        parts = [part.rstrip() for part in pieces_of(text, COLUMNS - start - 6)]
        if len(parts) < 2: return None
        return [f'{before}"""{parts[0]}', *(before + part for part in parts[1:-1]), f'{before}{parts[-1]}"""{after}']
    if not is_within or len(quote) > 1: return None
    parts = pieces_of(text, COLUMNS - start - len(prefix) - 2 - len(after))
    if len(parts) < 2: return None
    literals = [f'{prefix}{quote}{part}{quote}' for part in parts]
    return [before + literals[0], *(' ' * start + literal for literal in literals[1:-1]),
            ' ' * start + literals[-1] + after]


def broken_comment(token, line):
    "A comment that goes on below itself, or stands above its code where it has no room beside it"
    start, before = token.start[1], line[:token.start[1]]
    if start > COLUMNS - 24:
        indent = ' ' * (len(line) - len(line.lstrip()))
        return [indent + token.string, before.rstrip()]
    words = pieces_of(token.string[1:].strip(), COLUMNS - start - 2)
    if len(words) < 2: return None
    return [f'{before}# {words[0].rstrip()}', *(f'{" " * start}# {part.rstrip()}' for part in words[1:])]


def within_string(every, row):
    "Does the row lie in a string of several rows?"
    return any(t.type == tokenize.STRING and t.start[0] <= row <= t.end[0] != t.start[0] for t in every)


def broken_text(line):
    "A row of a docstring"
    indent = ' ' * (len(line) - len(line.lstrip()))
    return [indent + part.rstrip() for part in pieces_of(line.strip(), COLUMNS - len(indent))]


def broken_strings(every, row, line, inside):
    "A row whose string is too long for any break beside it"
    depth = len(brackets_before(every, row))
    for token in inside:
        if token.type == tokenize.OP: depth += (token.string in OPENING) - (token.string in CLOSING)
        if token.type == tokenize.STRING and token.end[1] > COLUMNS:
            found = broken_literal(token, line, depth > 0)
            if found: return found
    match = None if depth else VALUE.fullmatch(line)
    return [f'{match[1]}({match[2]})'] if match else None


def shorter(every, row, line):
    "A row in several lines, or None"
    if within_string(every, row): return broken_text(line)
    inside = [t for t in every if t.start[0] == row == t.end[0]]
    comment = next((t for t in inside if t.type == tokenize.COMMENT), None)
    if comment and len(line[:comment.start[1]].rstrip()) <= COLUMNS: return broken_comment(comment, line)
    if comment: return [line[:len(line) - len(line.lstrip())] + comment.string, line[:comment.start[1]].rstrip()]
    easily = broken_line(line, [b for b in places(every, row, line) if b.depth < LAST])
    return easily or broken_strings(every, row, line, inside) or broken_line(line, places(every, row, line))


def meaning(source):
    "What a source says to Python, but for the white space of its docstrings"
    tree = ast.parse(source)
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text and isinstance(node.value.value, str): node.value.value = ' '.join(node.value.value.split())
    return ast.dump(tree)


def rounds(lines, choose):
    "Every long row broken again and again, the last first: rows above keep their places"
    wanted, finished = meaning('\n'.join(lines)), set()
    while True:
        long = [i for i, line in enumerate(lines) if len(line) > COLUMNS and line not in finished]
        if not long: return lines
        every, attempt = tokens('\n'.join(lines)), list(lines)
        for i in choose(long):
            found = shorter(every, i + 1, lines[i]) or [lines[i]]
            if found == [lines[i]]: finished.add(lines[i])
            attempt[i:i + 1] = found
        if says(attempt) == wanted: lines = attempt
        else: finished.update(lines[i] for i in choose(long))


def says(lines):
    "As `meaning`; None where it isn't Python"
    try:
        return meaning('\n'.join(lines))
    except SyntaxError:
        return None


def narrow(source):
    "A cell of Python with lines of at most 100 columns; as it was where that can't be had, or it is no Python"
    lines = source.split('\n')
    if max(map(len, lines)) <= COLUMNS: return source
    try:
        lines = rounds(lines, lambda long: long[::-1])
        return '\n'.join(rounds(lines, lambda long: long[-1:]))
    except (SyntaxError, tokenize.TokenError): return source


def narrow_commands(text):
    "Lines of a shell, each continued where it is wider than 100 columns"
    lines = []
    for line in text.split('\n'):
        while len(line) > COLUMNS and ' ' in line[20:COLUMNS - 2] and '#' not in line:
            cut = line.rindex(' ', 20, COLUMNS - 2)
            lines.append(f'{line[:cut]} \\')
            line = f'    {line[cut + 1:]}'
        lines.append(line)
    return '\n'.join(lines)
