"""Source code that is made up, for prompts of any length."""

from collections.abc import Iterator
from random import Random

NOUNS = (
    "account batch branch buffer cache channel client column counter cursor document entry "
    "event field filter frame header index invoice job key ledger limit line lock message "
    "metric node offset order packet page parser path point price queue range record region "
    "report request route row sample schema score segment session signal slot snapshot stream "
    "table task ticket token total tree user value vector window worker"
)
VERBS = (
    "add append apply archive build check clear collect compare count decode delete drain "
    "encode expand fetch find flush format group insert join load measure merge move open "
    "order parse partition print read release remove rename render replace reset resolve "
    "rotate scan select send sort split store sum trim update validate wrap write"
)

FUNCTIONS = (
    '''def {verb}_{noun}s({noun}s, {limit}={number}):
    """{Verb} at most {limit} {noun}s."""
    result = []
    for {noun} in {noun}s:
        if {noun}.{field} > {limit}:
            continue
        result.append({noun}.{field} + {number})
    return result
''',
    '''def {verb}_{noun}({noun}, {field}):
    """{Verb} the {noun} by its {field}."""
    if {field} is None:
        raise ValueError("the {noun} has no {field}")
    {limit} = {noun}.get({field}, {number})
    return {limit} * {other}
''',
    '''class {Noun}{Field}:
    """The {field} of one {noun}."""

    def __init__(self, {field}, {limit}={number}):
        self.{field} = {field}
        self.{limit} = {limit}

    def {verb}(self, {other_noun}):
        self.{field} += {other_noun}.{limit}
        return self.{field} < self.{limit}
''',
    '''def {verb}_{field}_of_{noun}(path):
    """{Verb} the {field} of the {noun} at path."""
    with open(path) as file:
        {field}s = [line.strip() for line in file if "{limit}" in line]
    return {{index: {field} for index, {field} in enumerate({field}s, {number})}}
''',
)


class SourceWriter:
    """Writes Python files; the same seed writes the same files in the same order."""

    def __init__(self, seed: str, characters_per_token: float = 3.5) -> None:
        self._random = Random(seed)
        self._nouns, self._verbs = NOUNS.split(), VERBS.split()
        self._characters_per_token = characters_per_token

    def file(self, tokens: int) -> str:
        """The beginning of a file, about ``tokens`` tokens long. Its first line is its own, so that
        no cache holds more than a few of its tokens."""
        title = f"# {self._random.getrandbits(40):010x} {self._random.choice(self._nouns)}\n\n"
        return self._cut(title, tokens)

    def fragment(self, tokens: int) -> str:
        """Code from the middle of a file, about ``tokens`` tokens long."""
        return self._cut("", tokens)

    def whole_file(self, tokens: int) -> str:
        """A file of whole functions, at least ``tokens`` tokens long."""
        text = f"# {self._random.getrandbits(40):010x}\n\n"
        for function in self._functions():
            if len(text) >= tokens * self._characters_per_token:
                return text
            text += function
        raise AssertionError("there is always another function")

    def _cut(self, text: str, tokens: int) -> str:
        length = round(tokens * self._characters_per_token)
        for function in self._functions():
            if len(text) >= length:
                break
            text += function
        return text[:length]

    def _functions(self) -> Iterator[str]:
        while True:
            noun, field, limit, other_noun = self._random.sample(self._nouns, 4)
            verb = self._random.choice(self._verbs)
            yield (
                self._random.choice(FUNCTIONS).format(
                    noun=noun,
                    Noun=noun.title(),
                    field=field,
                    Field=field.title(),
                    limit=limit,
                    other_noun=other_noun,
                    verb=verb,
                    Verb=verb.title(),
                    number=self._random.randrange(2, 100),
                    other=self._random.randrange(2, 10),
                )
                + "\n\n"
            )
