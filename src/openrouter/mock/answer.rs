//! The texts of the mock's answers: Markdown that quotes the question, or plain words of a given
//! size.

/// The question is quoted up to this many characters.
const QUOTED: usize = 280;

/// An answer with a heading, a list, code and a table, in pieces as a model would stream it.
pub(super) fn friendly(question: &str, model: &str) -> Vec<String> {
    let quoted: String = question.trim().chars().take(QUOTED).collect();
    let quoted = if quoted.is_empty() { "(nothing)".to_owned() } else { quoted.replace('\n', "\n> ") };
    let words = question.split_whitespace().count();
    let letters = question.chars().filter(|c| c.is_alphabetic()).count();
    let text = format!(
        "## About your question\n\nYou asked:\n\n> {quoted}\n\n\
         I am the **mock upstream**, playing `{model}`. I cannot think, but I can show you how an answer will look \
         before you connect a real key.\n\n\
         ### What you can try\n\n\
         1. **Stop** this answer while it is being written.\n\
         2. **Reload** the page: the answer continues where it was.\n\
         3. Ask `mock: error=429` to see how a refusal of the upstream is shown.\n\n\
         ### A piece of code\n\n\
         ```python\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=\"https://your-instance/api/v1\", api_key=\"sk-...\")\n\
         for chunk in client.chat.completions.create(\n    model=\"{model}\",\n    messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}],\n    stream=True,\n):\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or \"\", end=\"\")\n```\n\n\
         ### Your question in numbers\n\n\
         | what | how many |\n|---|---:|\n| words | {words} |\n| letters | {letters} |\n| characters | {} |\n\n\
         Every word of this was counted: see it under *Usage*.\n",
        question.chars().count()
    );
    pieces(&text)
}

/// Cuts a text after every second space, roughly as tokens arrive.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for (n, word) in text.split_inclusive(' ').enumerate() {
        if n % 2 == 0 && n > 0 {
            pieces.push(String::new());
        }
        if let Some(last) = pieces.last_mut() {
            last.push_str(word);
        }
    }
    pieces
}

/// `count` chunks of `size` bytes of plain words.
pub(super) fn plain(count: usize, size: usize) -> Vec<String> {
    (0..count).map(|n| format!("{:<size$}", format!("word{n}")).chars().take(size.max(1)).collect()).collect()
}

/// A text repeated until it has `size` bytes.
pub(super) fn repeated(text: &str, size: usize) -> String {
    text.repeat(size.div_ceil(text.len().max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_to_the_answer() {
        let pieces = friendly("Why is the sky\nblue?", "openai/gpt-5");
        let text = pieces.concat();
        assert!(text.contains("> Why is the sky\n> blue?\n") && text.contains("| words | 5 |"), "{text}");
        assert!(pieces.len() > 40 && pieces.iter().all(|piece| !piece.is_empty()));
        assert!(plain(3, 8).iter().all(|piece| piece.len() == 8));
        assert_eq!(repeated("> ", 5), "> > > ");
    }
}
