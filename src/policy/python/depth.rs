//! How deep a source nests, counted from its tokens before anything recursive sees it.
//!
//! The parser bounds what it descends into, but not what it builds while it goes along: `a.a.a` and `a + a + a` make
//! trees as deep as they are long, and whoever walks or drops such a tree overflows the stack. So this counts both, over
//! tokens, which need no recursion.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::Mode;
use ruff_python_parser::lexer::lex;

/// How deep an expression or block may be. CPython and the interpreter draw the line near it.
pub(super) const MAX_DEPTH: usize = 200;

/// The deepest that a tree of this source could be, never less than it is.
pub(super) fn depth(source: &str) -> usize {
    let mut lexer = lex(source, Mode::Module);
    // What each open bracket, and the line itself, has chained up so far.
    let mut chains: Vec<usize> = vec![0];
    let (mut sum, mut blocks, mut deepest) = (0_usize, 0_usize, 0_usize);
    loop {
        match lexer.next_token() {
            TokenKind::EndOfFile => return deepest,
            TokenKind::Indent => blocks += 1,
            TokenKind::Dedent => blocks = blocks.saturating_sub(1),
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace | TokenKind::FStringStart => chains.push(0),
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace | TokenKind::FStringEnd => {
                if chains.len() > 1 {
                    sum -= chains.pop().unwrap_or(0);
                }
                // `a()()()` chains as `a.b.c` does.
                chain(&mut chains, &mut sum);
            }
            TokenKind::Newline => {
                chains.truncate(1);
                (sum, chains) = (0, vec![0]);
            }
            TokenKind::Comma | TokenKind::Semi => {
                if let Some(last) = chains.last_mut() {
                    sum -= std::mem::take(last);
                }
            }
            TokenKind::Name
            | TokenKind::Int
            | TokenKind::Float
            | TokenKind::Complex
            | TokenKind::String
            | TokenKind::Comment
            | TokenKind::NonLogicalNewline
            | TokenKind::FStringMiddle => {}
            _ => chain(&mut chains, &mut sum),
        }
        deepest = deepest.max(sum + chains.len() - 1 + blocks);
    }
}

fn chain(chains: &mut [usize], sum: &mut usize) {
    if let Some(last) = chains.last_mut() {
        *last += 1;
        *sum += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chains_or_nests_counts() {
        let many = |text: &str| text.repeat(1_000);
        for source in [
            format!("return {}a", many("a + ")),
            format!("return a{}", many(".a")),
            format!("return a{}", many("()")),
            format!("return a{}", many("[0]")),
            format!("return {}a{}", many("("), many(")")),
            format!("return {}a", many("not ")),
            format!("return {}a", many("a if a else ")),
            format!("return {}a", many("lambda: ")),
            format!("return f'{{a{}}}'", many(".a")),
        ] {
            assert!(depth(&source) >= 1_000, "{source:.20}: {}", depth(&source));
        }
    }

    #[test]
    fn what_stands_side_by_side_does_not() {
        let many = |text: &str| text.repeat(5_000);
        assert!(depth(&format!("x = [{}]", many("'a@example.com', "))) < 5);
        assert!(depth(&many("ak_message('x')\n")) < 5);
        assert!(depth(&many("if a.b(c) == d:\n    return e\n")) < 10);
        assert!(depth(&format!("x = {{{}}}", many("'a': f(b), "))) < 8);
    }

    #[test]
    fn broken_sources_are_counted_too() {
        for source in ["", ")", "]]]]", "(", "f'{", "'", "\\", "\u{0}", "return (", "{[(", "a)b]c}"] {
            assert!(depth(source) < 10, "{source}");
        }
    }
}
