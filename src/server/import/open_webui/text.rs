//! The text of a message that a person sees. Reasoning, tools and code stand in items of `output`, or
//! in blocks of HTML within the text.

use serde_json::Value;

/// Kinds of blocks that are not text of the answer.
const BLOCKS: [&str; 3] =
    ["<details type=\"reasoning\"", "<details type=\"tool_calls\"", "<details type=\"code_interpreter\""];

/// Keys of a message that hold more than its text.
const PARTS: [&str; 4] = ["files", "sources", "citations", "code_executions"];

/// Returns the visible text of a message, and true where the message has parts besides it.
pub(super) fn visible(message: &Value) -> (String, bool) {
    let filled = |key: &str| message.get(key).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let has_parts = PARTS.iter().any(|key| filled(key));
    if let Some(items) = message.get("output").and_then(Value::as_array).filter(|items| !items.is_empty()) {
        let is_text = |item: &&Value| item["type"] == "message";
        let texts: Vec<String> = items.iter().filter(is_text).map(|item| parts(&item["content"])).collect();
        return (clean(&texts.join("\n")), has_parts || !items.iter().all(|item| item["type"] == "message"));
    }
    let text = parts(message.get("content").unwrap_or(&Value::Null));
    let stripped = without_blocks(&text);
    let has_blocks = stripped.len() < text.len();
    (clean(&stripped), has_parts || has_blocks)
}

/// Returns the text of a content, which is a string or a list of parts.
fn parts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

fn clean(text: &str) -> String {
    text.replace('\0', "").trim().to_owned()
}

/// Returns the text without its blocks, reading forward once. A block that is not closed stays.
fn without_blocks(text: &str) -> String {
    let text = match text.trim_start().strip_prefix("<think>").and_then(|rest| rest.split_once("</think>")) {
        Some((_, answer)) => answer,
        None => text,
    };
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        if BLOCKS.iter().any(|block| rest.starts_with(block)) {
            let Some((_, after)) = rest.split_once("</details>") else { break };
            rest = after.strip_prefix('\n').unwrap_or(after);
            continue;
        }
        let line = rest.find('\n').map_or(rest.len(), |end| end + 1);
        kept.push_str(&rest[..line]);
        rest = &rest[line..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::visible;

    #[test]
    fn text_is_found_in_each_form() {
        let reasoning = "<details type=\"reasoning\" done=\"true\">\n<summary>x</summary>\n> why\n</details>\n";
        for (message, text, has_parts) in [
            (json!({"content": "plain\u{0} <details>kept</details>"}), "plain <details>kept</details>", false),
            (json!({"content": "<think>why</think>\nanswer"}), "answer", true),
            (json!({"content": format!("{reasoning}answer\n{reasoning}more")}), "answer\nmore", true),
            (json!({"content": "a\n<details type=\"reasoning\">cut"}), "a\n<details type=\"reasoning\">cut", false),
            (json!({"content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}), "a", false),
            (
                json!({"content": "", "output": [{"type": "reasoning"}, {"type": "message", "content": [
                    {"type": "output_text", "text": "only here"}]}]}),
                "only here",
                true,
            ),
            (json!({"content": 3}), "", false),
            (json!({"content": "a", "files": [{}]}), "a", true),
        ] {
            assert_eq!(visible(&message), (text.to_owned(), has_parts), "{message}");
        }
    }

    #[test]
    fn blocks_of_megabytes_are_read_once() {
        let many = "<details type=\"tool_calls\">x</details>\n".repeat(100_000);
        assert_eq!(visible(&json!({ "content": format!("{many}answer") })), ("answer".to_owned(), true));
    }
}
