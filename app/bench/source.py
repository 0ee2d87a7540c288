"""Source code that is made up, for prompts of any length."""

from collections.abc import Sequence
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
    '''async def {verb}_all(*{other_noun}s):
    """{Verb} every {other_noun} at once, {number} in a row."""
    while {other_noun}s:
        first, {other_noun}s = {other_noun}s[:{number}], {other_noun}s[{number}:]
        await gather(*({other_noun}.{verb}() for {other_noun} in first))
''',
    '''@dataclass(frozen=True)
class {Field}{Limit}:
    """Bytes of {noun} between a {limit} and the next."""

    {noun}: bytes
    {limit}: int = {number}

    @property
    def {field}(self) -> float:
        return len(self.{noun}) / max(self.{limit}, {other})
''',
)


class SourceWriter:
    """Writes Python files; the same seed writes the same files in the same order."""

    def __init__(self, seed: str, characters_per_token: float = 3.5) -> None:
        self._random = Random(seed)  # nosec B311
        self._nouns, self._verbs = NOUNS.split(), VERBS.split()
        self._characters_per_token = characters_per_token

    def file(self, tokens: int) -> str:
        """The beginning of a file, about ``tokens`` tokens long. Its first line is its own, so that
        no cache holds more than a few of its tokens."""
        return self._cut(self._title(), tokens)

    def fragment(self, tokens: int) -> str:
        """Code from the middle of a file, about ``tokens`` tokens long."""
        return self._cut("", tokens)

    def varied_file(self) -> str:
        """A file of about 400 tokens whose functions have nothing in common, so that even a tiny
        model can copy it without taking one for another."""
        nouns = self._random.sample(self._nouns, 4 * len(FUNCTIONS))
        functions = (
            self._function(template, nouns[4 * index : 4 * index + 4])
            for index, template in enumerate(FUNCTIONS)
        )
        return self._title() + "".join(functions)

    def _title(self) -> str:
        return f"# {self._random.getrandbits(40):010x}\n\n"

    def _cut(self, text: str, tokens: int) -> str:
        length = round(tokens * self._characters_per_token)
        while len(text) < length:
            template = self._random.choice(FUNCTIONS)
            text += self._function(template, self._random.sample(self._nouns, 4))
        return text[:length]

    def _function(self, template: str, nouns: Sequence[str]) -> str:
        noun, field, limit, other_noun = nouns
        verb = self._random.choice(self._verbs)
        text = template.format(
            noun=noun,
            Noun=noun.title(),
            field=field,
            Field=field.title(),
            limit=limit,
            Limit=limit.title(),
            other_noun=other_noun,
            verb=verb,
            Verb=verb.title(),
            number=self._random.randrange(2, 100),
            other=self._random.randrange(2, 10),
        )
        return f"{text}\n\n"
