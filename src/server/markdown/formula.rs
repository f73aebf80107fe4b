//! Formulas of TeX as MathML, which browsers show by themselves. What is not understood, or costs
//! more than formulas of people do, stays TeX.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use pulldown_latex::config::DisplayMode;
use pulldown_latex::{Event, Parser, ParserError, RenderConfig, Storage, push_mathml};

use super::escape;

/// Most braces and environments within each other: the work of the parser grows with their square.
const DEEPEST_SOURCE: usize = 16;
/// Most commands of a formula that is parsed on the stack of its caller.
const MOST_COMMANDS: usize = 48;
/// Stack on which any formula fits that may be parsed, in bytes.
const STACK: usize = 16 << 20;
/// Most elements of MathML within each other.
const DEEPEST: usize = 60;
/// Most bytes of MathML of one formula.
const LONGEST: usize = 32 << 10;
/// Most formulas of one text.
const MOST: usize = 1000;
/// Time for all formulas of one text.
const TIME_BUDGET: Duration = Duration::from_millis(300);

/// Commands that define or read others. The parser reads `\char` of some letters wrongly.
const REFUSED: [&str; 7] = ["def", "let", "futurelet", "newcommand", "renewcommand", "providecommand", "char"];
/// Commands that models write, in words of the parser: a box is left out, a number is shown behind.
const REWRITTEN: [(&str, &str); 6] = [
    ("boxed", ""),
    ("tag*", "\\quad\\text"),
    ("tag", "\\quad\\text"),
    ("argmax", "\\operatorname{arg\\,max}"),
    ("argmin", "\\operatorname{arg\\,min}"),
    ("bm", "\\boldsymbol"),
];

/// Place in which a formula is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// Within a line.
    Inline,
    /// On a line of its own.
    Display,
}

/// The bounds on the formulas of one text.
#[derive(Debug)]
pub(super) struct Formulas {
    left: usize,
    until: Instant,
}

impl Formulas {
    pub(super) fn new() -> Self {
        Self { left: MOST, until: Instant::now() + TIME_BUDGET }
    }

    /// Returns the MathML of a formula, with the text it was written as. `tex` is what is between
    /// its marks. `None` for one that is shown as it was written.
    pub(super) fn mathml(&mut self, source: &str, tex: &str, setting: Setting) -> Option<String> {
        if self.left == 0 || Instant::now() > self.until || depth(tex) > DEEPEST_SOURCE {
            return None;
        }
        self.left -= 1;
        let tex = rewritten(tex)?;
        let written = mathml(&tex, source, setting).or_else(|| {
            // Models divide lines where LaTeX wants an environment for it.
            let is_divided = tex.contains("\\\\") && !tex.contains("\\begin");
            is_divided.then(|| mathml(&format!("\\begin{{gathered}}{tex}\\end{{gathered}}"), source, setting))?
        })?;
        (written.len() <= LONGEST && element_depth(&written) <= DEEPEST).then_some(written)
    }
}

/// Returns the MathML of a formula that the parser understands.
fn mathml(tex: &str, source: &str, setting: Setting) -> Option<String> {
    let work = || {
        let storage = Storage::new();
        let events: Result<Vec<Event<'_>>, ParserError> = Parser::new(tex, &storage).collect();
        let events = events.ok().filter(|events| !events.is_empty())?;
        let display_mode = match setting {
            Setting::Inline => DisplayMode::Inline,
            Setting::Display => DisplayMode::Block,
        };
        // It is written as it is.
        let annotation = escape(source);
        let config = RenderConfig { display_mode, ..RenderConfig::with_annotation(&annotation) };
        let mut out = String::new();
        push_mathml(&mut out, events.into_iter().map(Ok::<_, ParserError>), config).ok()?;
        Some(out)
    };
    // The parser calls itself for each argument, and gives up on a few inputs where it should return
    // an error.
    if tex.matches('\\').count() <= MOST_COMMANDS {
        return catch_unwind(AssertUnwindSafe(work)).ok().flatten();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("formula".to_owned()).stack_size(STACK);
        thread.spawn_scoped(scope, work).ok()?.join().ok().flatten()
    })
}

/// Returns the most braces and environments that are open at once.
fn depth(tex: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let mut rest = tex;
    while let Some(at) = rest.find(['{', '}', '\\']) {
        let (mark, after) = (rest.as_bytes()[at], &rest[at + 1..]);
        let is_command = |name: &str| after.starts_with(name);
        rest = after;
        match mark {
            b'{' => open += 1,
            b'}' => open = open.saturating_sub(1),
            _ if is_command("begin") || is_command("left") && !is_command("leftarrow") => open += 1,
            _ if is_command("end") || is_command("right") && !is_command("rightarrow") => {
                open = open.saturating_sub(1);
            }
            // The character behind it is escaped.
            _ => rest = after.get(1..).unwrap_or(after),
        }
        deepest = deepest.max(open);
    }
    deepest
}

/// Returns a formula in commands that the parser has; `None` if it defines some.
fn rewritten(tex: &str) -> Option<String> {
    let mut out = String::with_capacity(tex.len() + 32);
    let mut rest = tex;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let length = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (name, mut behind) = after.split_at(length);
        if REFUSED.contains(&name) {
            return None;
        }
        let starred = format!("{name}*");
        let rewrite = REWRITTEN.iter().find(|(from, _)| *from == name || *from == starred && behind.starts_with('*'));
        match rewrite {
            Some((from, to)) => {
                behind = if from.ends_with('*') { &behind[1..] } else { behind };
                out.push_str(to);
            }
            None => {
                out.push('\\');
                out.push_str(name);
                if name.is_empty() {
                    // An escaped character, such as the second backslash of a new line.
                    let escaped = behind.chars().next().map_or(0, char::len_utf8);
                    out.push_str(&behind[..escaped]);
                    behind = &behind[escaped..];
                }
            }
        }
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

/// Returns the most elements within each other.
fn element_depth(html: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    for tag in html.split('<').skip(1) {
        let is_empty = tag.split('>').next().is_some_and(|tag| tag.ends_with('/'));
        match tag.starts_with('/') {
            true => open = open.saturating_sub(1),
            false => open += usize::from(!is_empty),
        }
        deepest = deepest.max(open);
    }
    deepest
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Labels, render, sanitiser};
    use super::*;

    fn html(text: &str) -> String {
        render(text, Labels { copy: "Copy", plain: "Plain" }).to_string()
    }

    #[test]
    fn formulas_of_models_are_shown_as_mathml() {
        for (text, inside) in [
            (r"\(a_1 + b_{2}\)", "<msub><mi>a</mi><mn>1</mn></msub><mo>+</mo>"),
            ("\\[\n\\frac{a_1}{b_2}\n=\n\\sum_{i=0}^{n} x_i\n\\]", "<math display=\"block\">"),
            ("$$\ne^{i\\pi} + 1 = 0 \\\\ a * b * c\n$$", "<mtr>"),
            (r"so $x_1 * y_2$ and", "<msub><mi>y</mi><mn>2</mn></msub>"),
            (r"\(f(x)=\begin{cases} 1 & \text{if } x<0 \\ 0 \end{cases}\)", "menv-cases"),
            (r"\[ \begin{aligned} x &= 1 \\ y &= 2 \end{aligned} \]", "<mtable class=\"menv-alignlike"),
            (r"\(\boxed{x = 5}\)", "<mn>5</mn>"),
            (r"\[ x = 1 \tag{1} \]", "<mtext>1</mtext>"),
            (r"\(\text{zażółć <b>}\)", "<mtext>zażółć &lt;b&gt;"),
            (r"| a | \(\left|x\right|\) |", "<p>| a |"),
            ("> $$\n> x^2\n> $$", "<msup><mi>x</mi><mn>2</mn></msup>"),
            ("- $$\n  x^2\n  $$", "<msup><mi>x</mi><mn>2</mn></msup>"),
        ] {
            let out = html(text);
            assert!(out.contains("<math") && out.contains(inside), "{text}: {out}");
            assert!(out.contains("</annotation></semantics></math>"), "{out}");
            assert_eq!(sanitiser::sanitise(&out), out, "{text}");
        }
        let out = html(r"a \(x_1\) b");
        assert!(out.contains(r#"<annotation encoding="application/x-tex">\(x_1\)</annotation>"#), "{out}");
    }

    #[test]
    fn what_is_no_formula_or_not_understood_stays_as_written() {
        for text in [
            "It costs $5, or $1.50 to $3; US$ 680 mln",
            r"\(\unknown{x}\)",
            r"\(\frac{a\)",
            r"\(\def\a{\a\a}\a\)",
            r"\(\newcommand{\a}{x}\a\)",
            r"\(\charé\)",
            r"\(\href{javascript:alert(1)}{x}\)",
            r"\(\)",
            "`$x_1 = 2$`",
            "```\n$$ x_1 = 2 $$\n```",
        ] {
            let out = html(text);
            assert!(!out.contains("<math"), "{text}: {out}");
            let shown = text.trim_matches('`').trim();
            assert!(out.contains(shown), "{text}: {out}");
        }
    }

    #[test]
    fn hostile_formulas_cost_little_and_keep_the_page() {
        let nested =
            |open: &str, close: &str, times: usize| format!("\\({}x{}\\)", open.repeat(times), close.repeat(times));
        let many = |formula: &str| format!("{formula} ").repeat(20_000 / formula.len());
        for (name, text) in [
            ("braces", nested("{", "}", 900)),
            ("fractions", nested("\\frac{1}{", "}", 200)),
            ("roots", format!("\\({}x\\)", "\\sqrt".repeat(380))),
            ("fractions without braces", format!("\\({}x\\)", "\\frac1".repeat(290))),
            ("accents in braces", format!("\\({}x\\)", "\\hat{y}\\hat".repeat(150))),
            ("powers", nested("x^{", "}", 300)),
            ("fences", nested("\\left(", "\\right)", 150)),
            ("tables", nested("\\begin{matrix}", "\\end{matrix}", 60)),
            ("cells", format!("\\(\\begin{{matrix}}{}\\end{{matrix}}\\)", "&".repeat(1900))),
            ("primes", format!("\\(x{}\\)", "'".repeat(1900))),
            ("wide", r"\(\hspace{99999999em}x\kern99999pt\)".to_owned()),
            ("negative", r"\(x\hspace{-999em}y\)".to_owned()),
            ("colour", r"\(\color{red}{x}\)".to_owned()),
            ("annotation", r"\(x_{</annotation><a>b</a>}\)".to_owned()),
            ("html", r#"\(\text{</math><img src=x onerror=alert(1)>}_{x}\)"#.to_owned()),
            ("many", many(r"$x_1^2$")),
            ("many deep", many(&nested("{", "}", 15))),
            ("open", many(r"\(\frac{")),
        ] {
            let out = html(&text);
            assert!(out.len() <= 60 * text.len() + 2_000, "{name}: {} bytes", out.len());
            assert!(element_depth(&out) <= DEEPEST + 10, "{name}: {}", element_depth(&out));
            assert_eq!(sanitiser::sanitise(&out), out, "{name}");
            for forbidden in ["<img", "<a", " style=", " on", "99999"] {
                let tags = out.split('<').skip(1).filter_map(|tag| tag.split('>').next());
                assert!(
                    tags.into_iter().all(|tag| !format!("<{tag} ").replace("<annotation ", "").contains(forbidden)),
                    "{name} {forbidden}"
                );
            }
        }
    }

    #[test]
    fn formula_is_rewritten_command_by_command() {
        for (tex, expected) in [
            (r"\boxed{x}\\\tag*{1}", Some(r"{x}\\\quad\text{1}")),
            (r"\tagged \bmod \\boxed", Some(r"\tagged \bmod \\boxed")),
            (r"\%\{\é", Some(r"\%\{\é")),
            (r"a\def\b", None),
            (r"\", Some(r"\")),
        ] {
            assert_eq!(rewritten(tex).as_deref(), expected, "{tex}");
        }
    }
}
