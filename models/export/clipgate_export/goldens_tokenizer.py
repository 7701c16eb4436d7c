"""Writes the strings that the Rust tokenizer is compared on, with the ids of open_clip's own tokenizer."""

import argparse
import html
import importlib.metadata
import json
import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import ftfy.bad_codecs
import open_clip.tokenizer

from .files import write_bytes

SEED = 20_260_601
CONTEXTS = (77, 16)

PHRASES = """\
a photo of a cat¦A PHOTO OF A DOG.¦un café crème à Orléans¦Größe, Straße und Übermut¦El niño comió piñata ¡sí!¦\
voilà le travail¦L’été dernier “en France” …¦naïve façade – élan¦smörgåsbord på ön¦Þórður á Íslandi¦coração e pão às três¦\
żółta łódź i gęś¦příliš žluťoučký kůň¦őrült űrhajós¦İstanbul'da güneşli ığdır¦ŞİŞLİ ĞÜL¦ąžuolas šaltinis¦Rīga ūdens ķēde¦\
Привет, мир¦Ёлка и щука¦Україна їжак ґанок¦Ελληνικά γράμματα ΌΛΟΣ¦ΣΊΣΥΦΟΣ¦ΟΔΥΣΣΕΥΣ ΚΑΙ ΣΑΣ¦עברית שלום¦مرحبا بالعالم¦سلام دنیا¦\
हिन्दी भाषा¦বাংলা লেখা¦தமிழ் எழுத்து¦ไทยภาษา¦ភាសាខ្មែរ¦မြန်မာစာ¦ქართული ენა¦Հայերեն լեզու¦አማርኛ¦ᏣᎳᎩ ᏗᎦᏬᏂᎯᏍᏗ¦\
中文字符¦繁體漢字¦日本語のテスト¦カタカナ ひらがな¦ｶﾀｶﾅ ﾊﾝｶｸ ﾊﾞﾊﾟ¦한국어 문장¦ＦＵＬＬＷＩＤＴＨ　ｔｅｘｔ １２３¦￠￡￢￣￤￥￦ ￨￩￪¦\
Tiếng Việt có dấu¦Yorùbá ẹ̀kọ́¦ʻŌlelo Hawaiʻi¦𝕸𝖆𝖙𝖍 𝓈𝒸𝓇𝒾𝓅𝓉 𝟙𝟚𝟛¦ﬁnal ﬂuﬃest oﬀ ﬆop ﬅ¦Ǆ ǅ ǆ Ĳ ĳ ŉ¦ẞ ß SS ſ K Å¦\
I'm you're he's we'll they'd I've don't¦I'M YOU'RE HE'S WE'LL THEY'D I'VE DON'T¦rock'n'roll 'tis the 's 't 'd¦it’s “quoted” ‘text’ ‚low‛ „deep‟¦\
2024-06-01 12:34:56¦0123456789 ٠١٢٣ ०१२ Ⅳ ½ ² ①¦3.14159 1,000,000 1e-9¦!!!??? ... --- *** ### @@@¦(a) [b] {c} <d> "e" 'f' `g`¦\
https://example.org/a/b?c=d&e=f#g¦user.name+tag@example.org¦C:\\Windows\\path¦$100 €200 £300 ¥400 ₿5¦50% off & more¦a_b-c.d,e;f:g¦\
<start_of_text>¦<end_of_text>¦a <start_of_text> b¦a<end_of_text>b¦!!<start_of_text>!!¦<START_OF_TEXT> x¦<ſtart_of_text>¦<start_of_text><end_of_text>¦\
<|startoftext|> hi <|endoftext|>¦</w> a</w>¦Ġword Ċ¦'ſ it'ſ 'ſ¦<b>bold</b> & <i>it</i>¦😀¦👍🏽 👩🏿‍🚀¦👨‍👩‍👧‍👦 family¦🏳️‍🌈 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇨🇭¦☺️ ❤️ ✔ ✖️ ©️ ™️ ®¦🤷🏻‍♀️ ¯\\_(ツ)_/¯¦\
e\u0301 o\u0308 n\u0303 A\u030a¦Z\u0351\u036b\u0343\u036a\u0342a\u0348\u033al\u0334\u0362g\u0328o¦\u1100\u1161\u11a8 \uac00\u11a8¦q\u0307\u0323 q\u0323\u0307¦\u212b \u2126 \uf900 \u0344¦\
\u200eleft\u200f right \u202aembed\u202c \u2066iso\u2069¦zero\u200bwidth\u200djoin\u2060er¦\ufeffbom first¦soft\u00adhyphen¦a\u2028b\u2029c\u0085d¦\ufff9ann\ufffaot\ufffb \ufffc¦\u206ax\u206f¦\
a\u00a0b\u2003c\u3000d\u1680e\u205ff¦tab\tnew\nline\r\nret\rend¦a\x0bb\x0cc\x1cd\x1de\x1ef\x1fg¦nul\x00inside¦\x07bell\x08\x1b[31mred\x1b[0m¦\x7fdel\x80\x85\x9f¦\ue000\uf8ff\U000f0000¦\ufffd\ufffd x¦\ufdd0\uffff\U0010ffff\
""".split("¦")

HTML = """\
&amp;¦&lt;b&gt;¦&amp;lt;b&amp;gt;¦&amp;amp;amp;¦&eacute;¦&EACUTE;¦P&EACUTE;REZ¦&ntilde;&NTILDE;&nTILDE;¦BUNDESSTRA&SZLIG;E¦&hellip;¦&nbsp;x&nbsp;¦&notit;¦&not;it¦&notin;¦\
&amp¦&amp x¦&ampx¦&copy 2024¦&copy;2024¦&reg&trade¦&lt¦&ltx¦&gt;&GT;&Gt;¦&quot;a&quot;¦&apos;s it&apos;s¦&#39;s it&#39;s¦&#x27;s¦&#x2019;s¦&#8217;s¦\
&#65;¦&#65 b¦&#x41;¦&#X41¦&#0;¦&#00065;¦&#128;¦&#x80;¦&#x81;¦&#x8d;¦&#150;&#151;¦&#xd800;¦&#xDFFF;¦&#x110000;¦&#99999999999999999999;¦&#xfffffffffffffffff;¦&#1;¦&#11;¦&#x1f;¦&#127;¦&#xfdd0;¦&#xfffe;¦&#x1ffff;¦&#13;¦&#9;¦&#10;¦\
&;¦&#;¦&#x;¦&# 65;¦& amp;¦&unknown;¦&&amp;&¦&a;¦&CounterClockwiseContourIntegral;¦&NotEqualTilde;¦&fjlig;¦&ThickSpace;¦&zwj;¦&shy;¦&Jscr;ohn &HilbertSpace;ancock¦&#128512;¦&#x1F44D;&#x1F3FD;¦\
< &amp;amp;amp; >¦<p>&eacute;&#233;</p>¦<&amp;lt;¦a < b &amp;&amp; c¦&lt;start_of_text&gt;¦&amp;lt;start_of_text&amp;gt; x¦x &lt;end_of_text&gt;¦&#60;end_of_text&#62;¦< e&#769; n&#x303;¦e&#769;¦\
&Atilde;&copy;¦&Atilde;&#169;¦&acirc;&euro;&trade;¦caf&Atilde;&copy;¦&AMP;amp;¦&AMPamp;¦&#38;lt;¦&#38;#38;lt;¦&alpha;&Alpha;&ALPHA;¦&fflig; &ffilig;¦&ijlig;&IJlig;¦&#xa0;¦&#160; ¦&bogus &amp; &lt;more&gt;¦&#65é;¦&éamp;¦&ampé;¦&İ;\
""".split("¦")

# Where UTF-8 bytes were read as another encoding; ftfy registers the sloppy ones.
MISREAD = """latin-1 sloppy-windows-1252 sloppy-windows-1251 sloppy-windows-1250 sloppy-windows-1253 sloppy-windows-1254
sloppy-windows-1257 iso-8859-2 macroman cp437""".split()


def misread(text: str, encoding: str) -> str | None:
    """The mojibake of `text`, or None where `encoding` has no character for a byte."""
    try:
        return text.encode().decode(encoding)
    except UnicodeDecodeError:
        return None


def mojibake() -> Iterator[tuple[str, str]]:
    for encoding in MISREAD:
        for phrase in PHRASES[:72]:
            garbled = None if phrase.isascii() else misread(phrase, encoding)
            if garbled is not None:
                yield f"mojibake {encoding}", garbled
    for phrase in PHRASES[2:40]:
        once = misread(phrase, "latin-1")
        yield "mojibake twice", misread(once, "sloppy-windows-1252")
        yield "mojibake with spaces for U+00A0", once.replace("\xa0", " ")
        yield (
            "mojibake with losses",
            misread(phrase, "sloppy-windows-1252").replace("\x9d", "\ufffd").replace("\x81", "?"),
        )
        yield "mojibake inside other text", f"日本 {phrase} 語 {once} ☃"
        yield "mojibake capitalised", once.upper()
    for phrase in ("😀 cat", "𝒳 math", "🏽"):
        units = phrase.encode("utf-16-le")
        pairs = "".join(chr(int.from_bytes(units[at : at + 2], "little")) for at in range(0, len(units), 2))
        yield "mojibake of four bytes", misread(phrase, "latin-1")
        yield "mojibake of CESU-8", pairs.encode("utf-8", "surrogatepass").decode("latin-1")
    yield "mojibake of CESU-8", "java nul \xc0\x80 here"


def assembled(rng: random.Random) -> Iterator[tuple[str, str]]:
    yield from (
        ("empty and white space", text)
        for text in ("", " ", "   \t\n ", "\u3000", "\u200b", "\x00", "\x1c\x1d", "\xa0", "\u2028")
    )
    yield from (("one control character", chr(code)) for code in range(0xA0))
    yield from (("a control character in a word", f"ca{chr(code)}t a") for code in range(0, 0xA0, 3))
    for text in (
        "a" * 1000,
        "cat " * 500,
        "日本" * 300,
        "é" * 400,
        "😀" * 200,
        "!" * 800,
        "9" * 300,
        "don't " * 100,
        "&amp;" * 300,
        "Ã©" * 200,
        "x" * 74,
        "x " * 74,
        "x " * 75,
        "x " * 76,
        "x " * 77,
    ):
        yield "very long", text
    yield from (
        ("assigned letters in a row", "".join(map(chr, range(start, start + 24))))
        for start in range(0xA0, 0x3000, 0x90)
    )
    yield from (("letters by script", f"{chr(code)} {chr(code)}x") for code in _letters(rng, 90))
    yield from (("case", chr(code) + "a") for code in _cased(rng, 60))
    entities = sorted(html.entities.html5)
    yield from (("html named", f"x&{name}y &{name}") for name in rng.sample(entities, 60))
    yield from (("html upper case", f"x&{name.upper()}") for name in rng.sample(entities, 30))
    scalars = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    assigned = [c for c in scalars if unicodedata.category(chr(c)) not in ("Cn", "Co")]
    fragments = [
        "&",
        "#",
        "x",
        ";",
        "amp",
        "lt",
        "&#",
        "&#x",
        "<",
        ">",
        "Ã",
        "©",
        "â",
        "€",
        "™",
        "'s",
        "'LL",
        " ",
        "\n",
        "é",
        "日",
        "0",
        "41",
        "b",
    ]
    for _ in range(60):
        yield "random scalars", "".join(chr(rng.choice(scalars)) for _ in range(rng.randrange(1, 12)))
        yield "random assigned characters", "".join(chr(rng.choice(assigned)) for _ in range(rng.randrange(1, 12)))
        yield "random ASCII", "".join(chr(rng.randrange(128)) for _ in range(rng.randrange(1, 40)))
        yield "random fragments", "".join(rng.choice(fragments) for _ in range(rng.randrange(2, 14)))
    for _ in range(40):
        yield "random Latin-1", "".join(chr(rng.randrange(0x20, 0x100)) for _ in range(rng.randrange(1, 12)))


def _letters(rng: random.Random, count: int) -> list[int]:
    letters = [c for c in range(0x250, 0x20000) if unicodedata.category(chr(c)).startswith("L")]
    return sorted(rng.sample(letters, count))


def _cased(rng: random.Random, count: int) -> list[int]:
    cased = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and chr(c).lower() != chr(c)]
    return sorted(rng.sample(cased, count))


def cases() -> list[dict[str, object]]:
    """Every case once, in an order that the seed alone decides; ids end with the end token, padding left out."""
    tokenizer = open_clip.tokenizer.SimpleTokenizer()
    listed = [("phrase", text) for text in PHRASES] + [("html", text) for text in HTML]
    listed += [*mojibake(), *assembled(random.Random(SEED))]
    numbered: dict[str, int] = {}
    found = []
    for kind, text in dict.fromkeys(listed):
        number = numbered[kind] = numbered.get(kind, -1) + 1
        for context in CONTEXTS if kind in ("phrase", "very long") else CONTEXTS[:1]:
            row = tokenizer([text], context_length=context)[0].tolist()
            ids = row[: len(row) - row[::-1].index(tokenizer.eot_token_id)]
            found.append({"name": f"{kind} {number}", "text": text, "context_length": context, "ids": ids})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    arguments = parser.parse_args()
    ftfy.bad_codecs.ok()
    document = {
        "reference": {name: importlib.metadata.version(name) for name in ("open_clip_torch", "ftfy", "regex")},
        "unicode": unicodedata.unidata_version,
        "cases": cases(),
    }
    write_bytes(
        arguments.output,
        json.dumps(document, ensure_ascii=True, separators=(",", ":")).replace("},{", "},\n{").encode(),
    )


if __name__ == "__main__":
    main()
