//! Bodies that mean harm, and how each has to end.

/// How a body ends.
pub(crate) enum End {
    /// As an error whose text has this part.
    Error(&'static str),
    /// As an error that says something.
    AnyError,
    /// Without one: nothing came of it.
    Value(bool),
    /// Either is fine, as long as it ends.
    Any,
}

/// A hostile body.
pub(crate) struct Body {
    pub(crate) name: &'static str,
    pub(crate) source: String,
    pub(crate) end: End,
    /// Policies that it calls.
    pub(crate) others: Vec<(&'static str, String)>,
}

/// Its timeout, or the limit that the server has.
const SLOW: End = End::Error("time");

fn body(name: &'static str, source: impl Into<String>, end: End) -> Body {
    Body { name, source: source.into(), end, others: Vec::new() }
}

/// All of them.
pub(crate) fn all() -> Vec<Body> {
    let mut all = loops();
    all.extend(patterns());
    all.extend(sizes());
    all.extend(depths());
    all.extend(handed_back());
    all.extend(texts());
    all.extend(calls());
    all.extend(forged());
    all
}

/// That never end.
fn loops() -> Vec<Body> {
    vec![
        body("endless loop", "while True:\n    pass", SLOW),
        body(
            "endless loop in a nested function",
            "def a():\n    def b():\n        while True:\n            pass\n    b()\na()",
            SLOW,
        ),
        body(
            "endless comprehension",
            "return [b for a in range(10**18) for b in range(10**18) if False]",
            SLOW,
        ),
        body(
            "nested comprehensions",
            "return [[[[[a for a in range(99)] for b in range(99)] for c in range(99)] for d in range(99)] for e in range(99)]",
            End::AnyError,
        ),
        body("set comprehension that stays small", "return {a % 7 for a in range(10**18)}", SLOW),
        body(
            "endless generator",
            "def a():\n    while True:\n        yield 1\nreturn sum(a())",
            End::AnyError,
        ),
        body("generator that reads itself", "def a():\n    yield from b\nb = a()\nreturn list(b)", End::Any),
        body(
            "generator that never gives",
            "def a():\n    while True:\n        if False:\n            yield 1\nreturn any(a())",
            End::AnyError,
        ),
        body(
            "chain of generators",
            "def a(b):\n    for c in b:\n        yield c\nd = range(3)\nfor e in range(100000):\n    d = a(d)\nreturn list(d)",
            End::AnyError,
        ),
        body(
            "endless iterator",
            "class A:\n    def __iter__(self):\n        return self\n    def __next__(self):\n        return 1\nfor b in A():\n    pass",
            End::AnyError,
        ),
        body(
            "loop in a sort key",
            "def a(b):\n    while True:\n        pass\nreturn sorted([3, 2, 1], key=a)",
            SLOW,
        ),
        body(
            "loop in ==",
            "class A:\n    def __eq__(self, other):\n        while True:\n            pass\nreturn A() == A()",
            SLOW,
        ),
        body(
            "loop in in",
            "class A:\n    def __contains__(self, other):\n        while True:\n            pass\nreturn 1 in A()",
            SLOW,
        ),
        body(
            "loop in str",
            "class A:\n    def __str__(self):\n        while True:\n            pass\nreturn str(A())",
            SLOW,
        ),
        body(
            "loop in repr of what is formatted",
            "class A:\n    def __repr__(self):\n        while True:\n            pass\nreturn f'{A()!r}'",
            End::Any,
        ),
        body(
            "loop in hash",
            "class A:\n    def __hash__(self):\n        while True:\n            pass\nreturn {A(): 1}",
            End::Any,
        ),
        body(
            "loop in bool of what is returned",
            "class A:\n    def __bool__(self):\n        while True:\n            pass\nreturn A()",
            End::Any,
        ),
        body(
            "loop in len of what is returned",
            "class A:\n    def __len__(self):\n        while True:\n            pass\nreturn A()",
            End::Any,
        ),
        body(
            "loop in str of a message",
            "class A:\n    def __str__(self):\n        while True:\n            pass\nak_message(A())",
            SLOW,
        ),
        body(
            "loop in str of what is raised",
            "class A(Exception):\n    def __str__(self):\n        while True:\n            pass\nraise A()",
            End::AnyError,
        ),
        body(
            "raise in str of what is raised",
            "class A(Exception):\n    def __str__(self):\n        raise self\nraise A()",
            End::AnyError,
        ),
        body(
            "raise in str of a message",
            "class A:\n    def __str__(self):\n        raise ValueError('no text')\nak_message(A())",
            End::Error("no text"),
        ),
        body(
            "loop that catches everything",
            "while True:\n    try:\n        while True:\n            pass\n    except:\n        pass",
            SLOW,
        ),
        body(
            "loop that catches BaseException",
            "while True:\n    try:\n        raise BaseException('a')\n    except BaseException:\n        continue",
            SLOW,
        ),
        body(
            "loop in finally",
            "try:\n    raise ValueError('a')\nfinally:\n    while True:\n        pass",
            SLOW,
        ),
        body(
            "return from finally in a loop",
            "while True:\n    try:\n        pass\n    finally:\n        continue",
            SLOW,
        ),
        body(
            "exceptions one in another",
            "def a(b):\n    try:\n        raise ValueError('a') from b\n    except ValueError as c:\n        return c\nd = None\nwhile True:\n    d = a(d)",
            End::AnyError,
        ),
        body("loop over what grows", "a = [1]\nfor b in a:\n    a.append(b)", End::AnyError),
        body(
            "dictionary that grows while it is read",
            "a = {1: 1}\nfor b in a:\n    a[b + 1] = 1",
            End::AnyError,
        ),
        body("map over everything", "return sum(map(lambda a: 1, range(10**18)))", SLOW),
        body("any of nothing", "return any(a < 0 for a in range(10**18))", SLOW),
        body("max of everything", "return max(range(10**18))", End::Any),
        body("sum of everything", "return sum(range(10**18))", End::Any),
        body("in of a float in a range", "return 0.5 in range(10**18)", End::Any),
        body("count of a range", "return range(10**18).count(0.5)", End::Any),
        body(
            "list of a range, compared",
            "return list(range(10**6)) == list(range(10**6)) and [] in [list(range(10**4))] * 10**6",
            End::Any,
        ),
        body("zip of everything", "for a in zip(range(10**18), range(10**18)):\n    pass", End::AnyError),
        body("ask for addresses without end", "while True:\n    ip_address('10.0.0.1')", End::AnyError),
        body("ask for users without end", "while True:\n    ak_user_by(email__icontains='x')", End::AnyError),
        body(
            "hash without end",
            "import hashlib\na = b'a' * 10**6\nwhile True:\n    hashlib.sha512(a).digest()",
            End::AnyError,
        ),
    ]
}

/// Patterns whose matching explodes.
fn patterns() -> Vec<Body> {
    vec![
        body("backtracking pattern", "return regex_match('a' * 50 + 'b', '(a+)+$')", End::Any),
        body(
            "backtracking pattern with a look-ahead",
            "return regex_match('a' * 50 + 'b', '(?=a)(a+)+$')",
            End::Any,
        ),
        body(
            "pattern with back-references",
            "return regex_match('a' * 2000 + 'b', r'(a*)(a*)(a*)(a*)\\1\\2\\3\\4$')",
            End::Any,
        ),
        body(
            "pattern with nested back-references",
            "return regex_match('a' * 40 + '!', r'((a|aa)+)\\1*$')",
            End::Any,
        ),
        body(
            "replacing with a backtracking pattern",
            "import re\nreturn re.sub(r'(?=x?)(x+x+)+y', '', 'x' * 5000)",
            End::Any,
        ),
        body(
            "patterns without end",
            "while True:\n    regex_match('a' * 5000 + 'b', r'(a*)*\\1$')",
            End::AnyError,
        ),
        body(
            "replacement that grows",
            "a = 'aa'\nwhile True:\n    a = regex_replace(a, 'a', 'aa')",
            End::AnyError,
        ),
        body("replacement of nothing", "return regex_replace('a' * 10**6, '', 'b' * 10**4)", End::AnyError),
        body(
            "large repetition in a pattern",
            "return regex_match('a', '(((a{1000}){1000}){1000})')",
            End::AnyError,
        ),
        body("long pattern", "return regex_match('a', 'a' * 10**7)", End::Any),
        body("deep pattern", "return regex_match('a', '(' * 50000 + 'a' + ')' * 50000)", End::Any),
        body(
            "deep pattern with look-aheads",
            "return regex_match('a', '(?=' * 20000 + 'a' + ')' * 20000)",
            End::Any,
        ),
        body(
            "many alternatives",
            "return regex_match('a', '|'.join([str(a) for a in range(200000)]))",
            End::Any,
        ),
        body("find all of nothing", "import re\nreturn len(re.findall('', 'a' * 10**7))", End::Any),
        body("split everywhere", "import re\nreturn len(re.split('', 'a' * 10**7))", End::Any),
        body(
            "patterns, all different",
            "a = 0\nwhile True:\n    a = a + 1\n    regex_match('x', 'x{' + str(a) + '}y' * 50)",
            End::AnyError,
        ),
    ]
}

/// That want memory.
fn sizes() -> Vec<Body> {
    vec![
        body("list of a thousand million", "return [0] * 10**9", End::AnyError),
        body("list of a thousand million, in place", "a = [0]\na *= 10**9", End::AnyError),
        body("tuple of lists", "return ([0] * 10**6,) * 10**9", End::AnyError),
        body("long text", "return 'x' * 10**10", End::AnyError),
        body("long bytes", "return b'x' * 10**10", End::AnyError),
        body("text that doubles", "a = 'x'\nwhile True:\n    a = a + a", End::AnyError),
        body(
            "text that doubles, caught",
            "a = 'x'\nwhile True:\n    try:\n        a = a + a\n    except BaseException:\n        pass",
            End::AnyError,
        ),
        body("text that doubles in a format", "a = 'x'\nwhile True:\n    a = f'{a}{a}'", End::AnyError),
        body(
            "text that is joined",
            "a = ['x' * 1000] * 1000\nwhile True:\n    a = [''.join(a)] * 1000",
            End::AnyError,
        ),
        body(
            "text that is replaced",
            "a = 'x' * 1000\nwhile True:\n    a = a.replace('x', 'xx')",
            End::AnyError,
        ),
        body("text that is padded", "return 'x'.ljust(10**10)", End::AnyError),
        body("text that is padded in a format", "return f'{1:>10000000000}'", End::AnyError),
        body("text that is padded by %", "return '%10000000000d' % 1", End::AnyError),
        body("digits without end in a format", "return f'{1.5:.2000000000f}'", End::AnyError),
        body("text that is escaped", "a = '\\u0000' * 10**6\nwhile True:\n    a = repr(a)", End::AnyError),
        body("tabs", "return ('\\t' * 10**6).expandtabs(10**6)", End::AnyError),
        body("list that doubles", "a = [1]\nwhile True:\n    a = a + a", End::AnyError),
        body("list that extends itself", "a = [1]\nwhile True:\n    a.extend(a)", End::AnyError),
        body("lists in lists", "a = []\nwhile True:\n    a = [a, a]", End::AnyError),
        body(
            "dictionary without end",
            "a = {}\nb = 0\nwhile True:\n    a[b] = 'x' * 1000\n    b += 1",
            End::AnyError,
        ),
        body("set without end", "a = set()\nb = 0\nwhile True:\n    a.add(b)\n    b += 1", End::AnyError),
        body("set of a range", "return set(range(10**18))", End::AnyError),
        body("dictionary of a range", "return {a: a for a in range(10**18)}", End::AnyError),
        body("list of a range", "return list(range(10**18))", End::AnyError),
        body("sorted range", "return sorted(range(10**18))", End::AnyError),
        body("tuple of a range", "return tuple(range(10**18))", End::AnyError),
        body("enumerated range", "return list(enumerate(range(10**18)))", End::AnyError),
        body("unpacked range", "a, *b = range(10**18)", End::AnyError),
        body("range as arguments", "def a(*b):\n    return b\nreturn a(*range(10**18))", End::AnyError),
        body("reversed range", "return list(reversed(range(10**18)))", End::AnyError),
        body(
            "product of ranges",
            "import itertools\nreturn list(itertools.product(range(1000), repeat=5))",
            End::AnyError,
        ),
        body(
            "permutations",
            "import itertools\nreturn list(itertools.permutations(range(100)))",
            End::AnyError,
        ),
        body("power of powers", "return 10**10**8", End::AnyError),
        body("power by pow", "return pow(10, 10**9)", End::AnyError),
        body("power with a modulus", "return pow(3, 10**20000, 10**20000 + 1)", End::Any),
        body("shift", "return 1 << 10**10", End::AnyError),
        body("factorial", "a = 1\nb = 1\nwhile True:\n    b += 1\n    a *= b", End::AnyError),
        body("number that squares itself", "a = 3\nwhile True:\n    a = a * a", End::AnyError),
        body(
            "number that is divided",
            "a = 10**2000000\nb = 10**1000000 + 1\nwhile True:\n    a // b\n    a % b",
            End::AnyError,
        ),
        body("number as text", "return len(str(10**3000000))", End::Any),
        body("text as number", "return int('9' * 3000000)", End::Any),
        body("number as hexadecimal text", "return len(hex(1 << 200000000))", End::Any),
        body("number as a power of a fraction", "return 2.0 ** 10**6", End::Any),
        body("bytes of nothing", "return bytes(10**10)", End::AnyError),
        body(
            "classes without end",
            "while True:\n    class A:\n        b = 'x' * 10**5\n    context.setdefault('a', []).append(A)",
            End::AnyError,
        ),
        body("functions without end", "a = []\nwhile True:\n    a.append(lambda b=a: b)", End::AnyError),
        body(
            "cycles without end",
            "while True:\n    a = []\n    a.append(a)\n    b = {'a': a}\n    b['b'] = b",
            End::AnyError,
        ),
        body(
            "json without end",
            "import json\na = []\nwhile True:\n    a = [a, a]\n    json.dumps(a)",
            End::AnyError,
        ),
        body(
            "text of lists in lists",
            "a = []\nfor b in range(40):\n    a = [a, a]\nreturn len(str(a))",
            End::AnyError,
        ),
        body(
            "comparison of lists in lists",
            "a = []\nb = []\nfor c in range(60):\n    a = [a, a]\n    b = [b, b]\nreturn a == b",
            End::Any,
        ),
        body(
            "hash of tuples in tuples",
            "a = ()\nfor b in range(60):\n    a = (a, a)\nreturn hash(a)",
            End::Any,
        ),
    ]
}

/// That go deep.
fn depths() -> Vec<Body> {
    let deep = "a = []\nfor b in range(100000):\n    a = [a]\n";
    vec![
        body("function that calls itself", "def a():\n    return a()\nreturn a()", End::Error("recursion")),
        body(
            "function that calls itself, caught",
            "def a():\n    try:\n        return a()\n    except RecursionError:\n        return a()\nreturn a()",
            End::AnyError,
        ),
        body(
            "functions that call each other",
            "def a():\n    return b()\ndef b():\n    return a()\nreturn a()",
            End::Error("recursion"),
        ),
        body("lambda that calls itself", "a = lambda: a()\nreturn a()", End::Error("recursion")),
        body(
            "method that calls itself",
            "class A:\n    def b(self):\n        return self.b()\nreturn A().b()",
            End::Error("recursion"),
        ),
        body(
            "== that calls itself",
            "class A:\n    def __eq__(self, other):\n        return other == self\nreturn A() == A()",
            End::AnyError,
        ),
        body(
            "str that calls itself",
            "class A:\n    def __str__(self):\n        return str(self)\nreturn str(A())",
            End::AnyError,
        ),
        body(
            "repr that calls itself",
            "class A:\n    def __repr__(self):\n        return repr([self])\nreturn repr(A())",
            End::Any,
        ),
        body(
            "hash that calls itself",
            "class A:\n    def __hash__(self):\n        return hash((self,))\nreturn hash(A())",
            End::Any,
        ),
        body(
            "in that calls itself",
            "class A:\n    def __contains__(self, a):\n        return a in self\nreturn 1 in A()",
            End::AnyError,
        ),
        body(
            "attribute that looks itself up",
            "class A:\n    def __getattr__(self, name):\n        return getattr(self, name)\nreturn A().b",
            End::Any,
        ),
        body(
            "property that reads itself",
            "class A:\n    @property\n    def b(self):\n        return self.b\nreturn A().b",
            End::AnyError,
        ),
        body(
            "constructor that constructs",
            "class A:\n    def __init__(self):\n        A()\nreturn A()",
            End::AnyError,
        ),
        body(
            "sort key that sorts",
            "def a(b):\n    return sorted([2, 1], key=a)\nreturn a(1)",
            End::AnyError,
        ),
        body("map that maps", "def a(b):\n    return list(map(a, [b, b]))\nreturn a(1)", End::AnyError),
        body(
            "replacement that replaces",
            "import re\ndef a(b):\n    return re.sub('x', a, 'xx')\nreturn a(1)",
            End::Any,
        ),
        body(
            "decorator that decorates",
            "def a(b):\n    @a\n    def c():\n        pass\n    return c\nreturn a(1)",
            End::AnyError,
        ),
        body("deep list", format!("{deep}return a"), End::Any),
        body("text of a deep list", format!("{deep}return str(a)"), End::Any),
        body("comparison of deep lists", format!("{deep}c = a\n{deep}return a == c"), End::Any),
        body("order of deep lists", format!("{deep}c = a\n{deep}return a < c"), End::Any),
        body(
            "hash of deep tuples",
            "a = ()\nfor b in range(100000):\n    a = (a,)\nreturn hash(a)",
            End::Any,
        ),
        body("copy of a deep list", format!("import copy\n{deep}return copy.deepcopy(a)"), End::AnyError),
        body("json of a deep list", format!("import json\n{deep}return json.dumps(a)"), End::AnyError),
        body("deep json", "import json\nreturn json.loads('[' * 100000 + ']' * 100000)", End::AnyError),
        body("deep list is thrown away", format!("{deep}a = 1\nreturn True"), End::Any),
        body(
            "deep list of objects",
            "class A:\n    pass\na = A()\nfor b in range(100000):\n    c = A()\n    c.a = a\n    a = c\nreturn True",
            End::Any,
        ),
        body(
            "deep closures",
            "def a(b):\n    return lambda: b\nc = 1\nfor d in range(100000):\n    c = a(c)\nreturn True",
            End::Any,
        ),
        body(
            "instance checks in a deep tuple",
            "a = int\nfor b in range(100000):\n    a = (a,)\nreturn isinstance('x', a)",
            End::Any,
        ),
        body("deep list of arguments to the server", format!("{deep}_host('users', {{'a': a}})"), End::Any),
    ]
}

/// That leave something behind in the context.
fn handed_back() -> Vec<Body> {
    vec![
        body(
            "deep list in the context",
            "a = []\nfor b in range(100000):\n    a = [a]\ncontext['a'] = a\nreturn True",
            End::Any,
        ),
        body(
            "deep dictionary in the context",
            "a = {}\nfor b in range(100000):\n    a = {'a': a}\ncontext['a'] = a\nreturn True",
            End::Any,
        ),
        body(
            "deep objects in the context",
            "class A:\n    pass\na = A()\nfor b in range(100000):\n    c = A()\n    c.a = a\n    a = c\ncontext['a'] = a\nreturn True",
            End::Any,
        ),
        body("context in itself", "context['a'] = context\nreturn True", End::Any),
        body(
            "cycles in the context",
            "a = []\na.append(a)\nb = {}\nb['b'] = b\nb['a'] = a\ncontext['a'] = [a, b]\nreturn True",
            End::Any,
        ),
        body(
            "objects that hold each other in the context",
            "class A:\n    pass\na = A()\nb = A()\na.b = b\nb.a = a\ncontext['a'] = a\nreturn True",
            End::Any,
        ),
        body(
            "lists in lists in the context",
            "a = []\nfor b in range(25):\n    a = [a, a]\ncontext['a'] = a\nreturn True",
            End::AnyError,
        ),
        body("fifty megabytes in the context", "context['a'] = 'x' * (50 << 20)\nreturn True", End::AnyError),
        body(
            "nine megabytes in the context",
            "context['a'] = 'x' * (9 << 20)\nreturn True",
            End::Error("hands back more than"),
        ),
        body("a million values in the context", "context['a'] = [None] * 10**6\nreturn True", End::AnyError),
        body(
            "long keys in the context",
            "context['x' * (2 << 20)] = 1\nreturn True",
            End::Error("hands back more than"),
        ),
        body(
            "odd keys in the context",
            "context[(1, (2, 3))] = 1\ncontext[1.5] = 1\ncontext[None] = 1\nreturn True",
            End::Value(true),
        ),
        body(
            "functions in the context",
            "context['a'] = lambda: 1\ncontext['b'] = len\ncontext['c'] = int\ncontext['d'] = ak_message\nreturn True",
            End::Value(true),
        ),
        body(
            "large number in the context",
            "context['a'] = 10**200000\nreturn True",
            End::Error("hands back more than"),
        ),
        body("large number returned", "return 10**200000", End::Any),
        body("context without its values", "context.clear()\nreturn True", End::Value(true)),
        body("another context", "request.context = 7\nreturn True", End::Value(true)),
        body("another user", "request.user = None\nreturn True", End::Value(true)),
        body(
            "deep attributes",
            "a = []\nfor b in range(100000):\n    a = [a]\nrequest.user.attributes['a'] = a\nreturn True",
            End::Any,
        ),
        body(
            "repr that loops in the context",
            "class A:\n    def __repr__(self):\n        while True:\n            pass\ncontext['a'] = A()\ncontext['b'] = [A]\nreturn True",
            End::Any,
        ),
    ]
}

/// That say too much.
fn texts() -> Vec<Body> {
    vec![
        body("a million messages", "for a in range(10**6):\n    ak_message('x')\nreturn True", End::Any),
        body("messages without end", "while True:\n    ak_message('x' * 1000)", End::AnyError),
        body(
            "ten messages of ten megabytes",
            "a = 'x' * (10 << 20)\nfor b in range(10):\n    ak_message(a)\nreturn True",
            End::Any,
        ),
        body("message of ten megabytes", "ak_message('x' * (10 << 20))\nreturn True", End::Value(true)),
        body(
            "exception with a text of ten megabytes",
            "raise ValueError('x' * (10 << 20))",
            End::Error("xxx"),
        ),
        body(
            "exception with a text in two bytes a letter",
            "raise ValueError('x' + '\\u00fc' * (1 << 20))",
            End::Error("x\u{fc}"),
        ),
        body("exception without a text", "raise ValueError", End::Error("")),
        body("exception with a blank text", "raise ValueError('  ')", End::Error("")),
        body("exception of many arguments", "raise ValueError(*range(10**6))", End::AnyError),
        body(
            "exception with a deep argument",
            "a = []\nfor b in range(100000):\n    a = [a]\nraise ValueError(a)",
            End::AnyError,
        ),
        body("exception that is none", "raise 7", End::AnyError),
        body("system exit", "raise SystemExit(0)", End::AnyError),
        body("system exit by name", "import sys\nsys.exit(0)", End::AnyError),
        body("interrupt", "raise KeyboardInterrupt()", End::Error("")),
        body("generator exit", "raise GeneratorExit()", End::AnyError),
        body("assertion", "assert False", End::Error("")),
        body("printing without end", "while True:\n    print('x' * 10000)", End::AnyError),
        body("name with ten megabytes", "return getattr(request, 'x' * (10 << 20))", End::AnyError),
        body("key with ten megabytes", "return {}['x' * (10 << 20)]", End::AnyError),
    ]
}

/// That call other policies, or the server.
fn calls() -> Vec<Body> {
    let with = |name, source: &str, end, others: &[(&'static str, &str)]| Body {
        name,
        source: source.into(),
        end,
        others: others.iter().map(|(name, source)| (*name, (*source).to_owned())).collect(),
    };
    let wide = "a = [ak_call_policy('next') for b in range(1000)]\nreturn a[-1].passing";
    vec![
        body("policy that calls itself", "return ak_call_policy('hostile').passing", End::Any),
        body(
            "policy that calls itself twice",
            "return ak_call_policy('hostile').passing or ak_call_policy('hostile').passing",
            End::Any,
        ),
        body("policy that calls itself without end", "while True:\n    ak_call_policy('hostile')", SLOW),
        body(
            "policy that calls itself with more and more",
            "a = context.get('n', 0) + 1\nreturn ak_call_policy('hostile', n=a, text='x' * (a * 100000)).passing",
            End::Any,
        ),
        with(
            "ring of three",
            "return ak_call_policy('second').passing",
            End::Any,
            &[
                ("second", "return ak_call_policy('third').passing"),
                (
                    "third",
                    "return ak_call_policy('hostile', **{'k' + str(len(context)): 'x' * 10000}).passing",
                ),
            ],
        ),
        with(
            "calls that call in width",
            wide,
            End::AnyError,
            &[("next", "return [ak_call_policy('last') for b in range(1000)]"), ("last", "return True")],
        ),
        with(
            "called policy that loops",
            "return not ak_call_policy('endless').passing",
            SLOW,
            &[("endless", "while True:\n    pass")],
        ),
        with(
            "called policies that loop, one after another",
            "for a in range(100):\n    ak_call_policy('endless')\nreturn True",
            SLOW,
            &[("endless", "while True:\n    pass")],
        ),
        with(
            "called policy that dies",
            "return ak_call_policy('dies').passing",
            End::AnyError,
            &[("dies", "a = []\nwhile True:\n    a = [a, a]\n    context['a'] = a\n    str(a)")],
        ),
        with(
            "called policy that hands back too much",
            "return ak_call_policy('much').passing",
            End::Any,
            &[("much", "context['a'] = [None] * 200000\nreturn True")],
        ),
        with(
            "called policy whose result is deep",
            "return ak_call_policy('deep').raw_result",
            End::Any,
            &[("deep", "a = []\nfor b in range(100000):\n    a = [a]\nreturn a")],
        ),
        body("call without a name", "return ak_call_policy(None).passing", End::AnyError),
        body(
            "call of a name with ten megabytes",
            "return ak_call_policy('x' * (10 << 20)).passing",
            End::AnyError,
        ),
        body(
            "call with ten megabytes",
            "return ak_call_policy('hostile', a='x' * (10 << 20)).passing",
            End::AnyError,
        ),
        body("look-up with ten megabytes", "return ak_user_by(username='x' * (10 << 20))", End::AnyError),
        body(
            "look-up with many keys",
            "return ak_user_by(**{'attributes__a' + str(a): 1 for a in range(50000)})",
            End::Any,
        ),
        body("look-up with a deep path", "return ak_user_by(**{'attributes' + '__a' * 50000: 1})", End::Any),
        body(
            "the host itself, with nonsense",
            "for a in ('', 'policy', 'users', 'hash', 'address', 'network', 'refuse', 7, None):\n    for b in ((), (1,), ('x', 'y'), ('x', 'y', 'z'), ({},), ([],)):\n        try:\n            _host(a, *b)\n        except Exception:\n            pass\nreturn True",
            End::Any,
        ),
        body(
            "the host itself, without end",
            "while True:\n    try:\n        _host('x')\n    except Exception:\n        pass",
            End::AnyError,
        ),
        body("files", "open('/etc/passwd')", End::AnyError),
        body("files by another name", "import io\nreturn io.open('/etc/passwd').read()", End::AnyError),
        body("environment", "import os\nreturn os.environ", End::AnyError),
        body("evaluation", "return eval('1')", End::AnyError),
        body("import by name", "return __import__('os')", End::AnyError),
        body("sleep", "import time\ntime.sleep(100)", End::AnyError),
        body(
            "asyncio",
            "import asyncio\nasync def a():\n    await asyncio.sleep(100)\nreturn asyncio.run(a())",
            End::AnyError,
        ),
    ]
}

/// That change the scope around them.
fn forged() -> Vec<Body> {
    vec![
        body(
            "result set by the body",
            "global _out\n_out = [True, True, None]\nreturn False",
            End::Value(false),
        ),
        body("value set by the body", "global _value\n_value = True\nreturn False", End::Value(false)),
        body(
            "error that sets the result",
            "global _out\n_out = [True, True, None]\nraise ValueError('no')",
            End::Error("no"),
        ),
        body("messages that are none", "global _messages\n_messages = 7\nreturn True", End::Any),
        body(
            "messages of anything",
            "_messages.extend([1, None, [2], {3: 4}, len, _messages])\nreturn True",
            End::Value(true),
        ),
        body("request that is none", "global _request\n_request = None\nreturn True", End::Any),
        body("host that is none", "global _host\n_host = None\nreturn ip_address('10.0.0.1')", End::AnyError),
        body("type that is none", "global type\ntype = None\nreturn True", End::AnyError),
        body("str that lies", "global str\nstr = lambda a: 7\nraise ValueError('no')", End::AnyError),
        body(
            "str that loops",
            "global str\ndef str(a):\n    while True:\n        pass\nraise ValueError('no')",
            SLOW,
        ),
        body(
            "Exception that is none",
            "global BaseException\nBaseException = None\nraise ValueError('no')",
            End::AnyError,
        ),
        body(
            "getattr that lies",
            "global getattr\ngetattr = lambda *a: {'x': 1}\nrequest.user.attributes['a'] = 1\nreturn True",
            End::Value(true),
        ),
        body(
            "len that lies",
            "global len\nlen = lambda a: 1\nreturn ak_is_group_member(request.user, name='nobody')",
            End::Any,
        ),
        body("bool that is none", "global bool\nbool = None\nreturn True", End::Any),
        body("input that is none", "global _in\n_in = None\nreturn True", End::Any),
        body(
            "class that is another",
            "global PolicyRequest, User, dict\nPolicyRequest = None\nUser = None\ndict = None\nreturn True",
            End::Any,
        ),
    ]
}
