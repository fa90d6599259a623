"""The player's parts and how they are joined, without a browser."""

import re
from pathlib import Path

import pytest
from kvmexit.show.player import (
    FOLDERS,
    IMPORT,
    MAINS,
    TOKEN,
    join,
    lean,
    module,
    order,
    parts,
    with_numbers,
)

OF_A_PAGE = Path(__file__).parents[2] / "book" / "site" / "ask"
"""Parts that only a page of the book has; they import the library's."""
LONGEST = 250
"""Lines of a part."""
MAIN_PART = 'import { b } from "./b.js";\n\nexport default { b };\n'


def test_every_part_is_needed_and_reads_in_one_sitting():
    assert {part for main in MAINS for part in order(parts(), main)} == set(parts())
    paths = [path for folder in FOLDERS for path in folder.glob("*.js")]
    assert len({path.name for path in paths}) == len(paths)
    for path in paths:
        text = path.read_text()
        assert len(text.splitlines()) <= LONGEST, path.name
        assert text.startswith("/* "), f"{path.name} does not say what it is"


def test_every_name_that_a_part_exports_is_imported_or_the_main_parts():
    """What nobody outside needs stays inside."""
    sources = [*parts().values(), *(path.read_text() for path in OF_A_PAGE.glob("*.js"))]
    wanted = {
        (home, name)
        for source in sources
        for names, home in IMPORT.findall(source)
        for name in re.findall(r"\w+", names)
    }
    for part, source in parts().items():
        for name in re.findall(r"^export (?:function|class|const) (\w+)", source, re.MULTILINE):
            assert part in MAINS or (part, name) in wanted, (part, name)


def test_every_name_that_a_part_imports_is_used():
    for part, source in parts().items():
        body = IMPORT.sub("", source)
        for names, _ in IMPORT.findall(source):
            for name in re.findall(r"\w+", names):
                assert re.search(rf"\b{name}\b", body), (part, name)


@pytest.mark.parametrize("main", MAINS)
def test_what_is_joined_imports_nothing(main: str):
    assert not re.search(r"^\s*import\b", module(main), re.MULTILINE)
    assert len(re.findall(r"^export\b", module(main), re.MULTILINE)) == 1
    assert "</script" not in module(main)


def test_the_joined_player_is_lean_and_says_the_same():
    source = """/* a part */
const a = 1, b = `two  ${a + 1}  spaces`; // why
  /* more */ let c = "a // b  'c'"
const d = a + +b
export default { a, c: (x) => x - -1, d };
"""
    assert lean(source) == (
        "const a=1,b=`two  ${a + 1}  spaces`;\nlet c=\"a // b  'c'\"\n"
        "const d=a+ +b\nexport default{a,c:(x)=>x- -1,d};"
    )
    own = {path.name: path.read_text() for path in OF_A_PAGE.glob("*.js")}
    for name, part in {**parts(), **own}.items():
        cut = [text for one in TOKEN.finditer(part) if ends_within(text := one.group())]
        assert not cut, f"{name}: a template in a template: {cut[0][:80]}"


def ends_within(text: str) -> bool:
    """Is this a template that ends before a ``${`` of its own is closed?"""
    depth = 0
    for brace in re.findall(r"\$\{|[{}]", text) if text[0] == "`" else ():
        if brace == "${" or depth:
            depth += -1 if brace == "}" else 1
    return depth > 0


def test_a_part_stands_behind_what_it_imports():
    sources = {
        "main.js": 'import { b } from "./b.js";\nimport { a } from "./a.js";\nexport default b(a);',
        "a.js": "export const a = 1;\nexport const unused = 2;\n",
        "b.js": 'import {\n  a,\n} from "./a.js";\nexport function b(x) { return a + x; }',
        "alone.js": "export const alone = 1;",
    }
    assert order(sources, "main.js") == ["a.js", "b.js", "main.js"]
    joined = join(sources, "main.js")
    assert (
        joined.split()
        == "const a = 1; function b(x) { return a + x; } export default b(a);".split()
    )


def test_a_number_stands_where_its_name_stood():
    sources = {
        "main.js": 'import { WIDE } from "./a.js";\n'
        'export default (x) => [`${WIDE}px`, x.WIDE, "WIDE"];',
        "a.js": "const TALL = 2.5, EDGE = 0x10; // pixels\nexport const WIDE = 3;\n"
        "export const at = [TALL, EDGE, { TALL: 1 }];",
    }
    joined = join(sources, "main.js")
    assert 'export default (x) => [`${3}px`, x.WIDE, "WIDE"];' in joined
    assert with_numbers(sources["a.js"].replace("export ", "")).split("\n") == [
        "const at = [2.5, 0x10, { TALL: 1 }];"
    ]


def test_no_template_has_the_name_of_a_number_in_its_text():
    joined = "\n".join(parts().values())
    numbers = set(re.findall(r"\b([A-Z_]+) = [\d.]", joined))
    assert len(numbers) > 20
    for sheet in re.findall(r"`[^`]*`", joined):
        text = re.sub(r"\$\{[^`]*?\}", "", sheet)
        assert not numbers & set(re.findall(r"\b[A-Z_]{2,}\b", text)), text


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ('import { a } from "./main.js";\nexport const b = a;', "main.js → b.js → main.js"),
        ("const b = 1;", "does not export: ['b']"),
        ("const b = 1;\nexport { b };", "breaks a rule"),
        ('import * as all from "./a.js";\nexport const b = all;', "breaks a rule"),
        ('import { a as c } from "./a.js";\nexport const b = c;', "does not export: ['as', 'c']"),
        ('import { c } from "./c.js";\nexport const b = c;', "b.js needs c.js, which is no part"),
        ("export const b = 1;\nexport default b;", "breaks a rule"),
        ("export let b = 1;", "breaks a rule"),
        ('import { a } from "./a.js";\nexport const b = a, own = 1;', "both declare own"),
    ],
)
def test_a_broken_rule_is_named(other: str, words: str):
    with pytest.raises(ValueError, match=re.escape(words)):
        join(
            {"main.js": MAIN_PART, "b.js": other, "a.js": "export const a = 1;\nfunction own() {}"},
            "main.js",
        )


def test_the_main_part_has_a_default():
    with pytest.raises(ValueError, match="main.js needs one `export default`"):
        join({"main.js": "export const a = 1;"}, "main.js")
