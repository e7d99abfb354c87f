"""Texts written for the tests: what reviews and the web bring, a little of everything."""

import random

TEXTS = [
    "",
    " ",
    "\n",
    "a",
    "I",
    "A quiet film about a lighthouse.",
    "Great film!<br /><br />I laughed, I cried... and then I SLEPT.<br />",
    "THIS IS THE WORST FILM EVER MADE!!!! AVOID!!!",
    "sooooo good, sooo very very very very good :)",
    "She said no no no no, and NO NO NO NO again. Then then then?",
    "A  double space,   three of them,\ta tab,\t\ttwo tabs \t and both.",
    "Line one.\n\nLine two.\n\n\nLine three.\r\nWindows line.\n \n \n",
    "  leading and trailing white space \n\n ",
    "It cost $9.99 (or 1,000.50 yen), i.e. 10% off; call 555-1234 at 10a.m. or 7 p.m.",
    "See https://example.org/a/b?c=d&e=#f, www.example.com or mail me@example.org.",
    "I don't, can't, won't; he'd've, y'all're, it's, its', the Smiths' - \"isn't it?\"",
    "rock'n'roll 'tis ain't gonna gimme o'clock ma'am",
    "Emoji: 😀😀😀 👍🏽 👩‍👩‍👧 ❤️ 🇳🇿, and (╯°□°)╯︵ ┻━┻",
    ":) :-) ;-) :( :'( :D :P <3 </3 ^_^ (-: (: 8) =] :)) :))) o_O",
    "nice:) nicer :) nicest: ) odd:) ) odder:( ( (1995): ) (sic):) ) end:",
    "wow:) ) )) ;=8) 8) ):)) (: (8 what?:) \"(=) ' ' '' ''it'' ' s he 's",
    "Élan, naïve café, Ångström, straße, ŁÓDŹ, İstanbul, ǅ and ﬁne ligatures",
    "שלום עולם, هذا فيلم جيد جدا! Привет, МИР. Γειά ΣΟΥ",
    "这部电影很好看。日本語のテキスト、한국어 텍스트",
    'Quotes: "double", ‘single’, “curly”, «guillemets», `back`, \'tis \\"escaped\\"',
    "A <unk> token, xxbos inside, xxmaj alone, XXUP loud, xxpad and xxfld 1; maxxrepair",
    "amp; &amp; &lt;b&gt; #39;quoted#39; nbsp;here quot;there #146;s #36;5 \\n 1 @.@ 5 x @-@ y",
    "and/or C++ C# a\\b #hashtag @handle 50/50 w/o",
    "...leading dots... middle... …and one … ......",
    "1111 22 333 -- --- ---- ==== *** ~~~~ !? ?! ?!?! ,,, ;;;",
    "the the the the. The the THE the a a a a a",
    "xxrep 3 a and xxwrep 2 b written out",
    "Non\u00a0breaking\u2003em\u3000ideographic\u2028separator\u0085next \x1cfile \x0bvt \x0cff",
    "zero\u200bwidth\ufeff and e\u0301 combining, soft\u00adhyphen, nul \x00 end",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa " * 3,
    "Dr. Smith vs. Mr. Jones of the U.S.A., e.g. at St. Mary's Inc. (b. 1950, d. 1999).",
    "A" * 300 + " " + "Ab" * 40,
    "word " * 200,
    "one-two three_four five's-six seven.eight nine,ten 11:30 12.5.2001 3-d. b-o-r-i-n-g.",
]

_PIECES = (
    [" ", " ", " ", "  ", "\n", "\n\n", "\t", " \n ", "\u00a0", "   "]
    + list(".,;:!?()[]{}'\"`´’‘“”-–—_/\\#&@%$*+=<>|^~…°") * 2
    + [":)", ":(", ":-)", ":')", ":))", ":-/", ";)", ";-)", "8)", "8-)", "=)", "(:", "(-:", "[:"]
    + [":D", ":P", ":o)", "<3", "</3", "<333", ">.<", "^_^", "(^_^)", "o.O", "o_o", "''", "v.v"]
    + [
        "a",
        "b",
        "I",
        "S",
        "it",
        "he",
        "do",
        "the",
        "The",
        "THE",
        "word",
        "élan",
        "ß",
        "مرحبا",
        "漢",
    ]
    + ["don't", "n't", "'s", "'ll", "'em", "ain't", "he's", "ol'", "'cause", "and/or", "w/o"]
    + ["a.m.", "10a.m.", "e.g.", "vs.", "b.", "Mr.", "U.S.", "Inc.", "°C.", "0", "7", "1995", "3.5"]
    + [
        "http://a.io/b",
        "x@y.org",
        "😀",
        "👍🏽",
        "<br />",
        "xxbos",
        "xxmaj",
        "xxrep",
        "<unk>",
        "...",
    ]
)


def random_texts(count, seed=0, longest=30, between=""):
    """`count` strings of up to `longest` pieces: white space, punctuation, emoticons, words."""
    rng = random.Random(seed)
    return [between.join(rng.choices(_PIECES, k=rng.randint(1, longest))) for _ in range(count)]
