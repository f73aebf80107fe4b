//! Fields of a request that may bring in other models than it names, where only certain ones are
//! allowed.

use std::borrow::Cow;

use mai_contract::is_unprintable;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::request_fields::{Choices, Text};
use crate::chat::CompletionError;

/// Types of tools that run no model: the caller's own, and those that search, read or compute.
const TOOLS: [&str; 20] = [
    "function",
    "custom",
    "web_search",
    "web_search_preview",
    "file_search",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "local_shell",
    "shell",
    "apply_patch",
    "tool_search",
    "openrouter:web_search",
    "openrouter:web_fetch",
    "openrouter:datetime",
    "openrouter:bash",
    "openrouter:files",
    "openrouter:shell",
    "openrouter:apply_patch",
    "openrouter:tool_search",
];

/// Plugins of OpenRouter that choose no model.
const PLUGINS: [&str; 6] = ["web", "web-fetch", "file-parser", "response-healing", "context-compression", "moderation"];

/// Longest name of a tool or plugin that is repeated in a sentence of ours.
const LONGEST_NAME: usize = 60;

/// Refuses a request that names something which may bring in other models. What is not known to run
/// none is refused, because upstreams add tools and plugins at any time.
pub(super) fn check(choices: &Choices<'_>) -> Result<(), CompletionError> {
    let problem = "can't be used here, because only certain models are allowed";
    for (field, is_present) in [("preset", choices.preset), ("fallbacks", choices.fallbacks)] {
        if is_present {
            return Err(CompletionError::InvalidField { field, problem });
        }
    }
    let known: [(_, _, &str, &[&str]); 2] =
        [("tools", choices.tools, "type", &TOOLS), ("plugins", choices.plugins, "id", &PLUGINS)];
    for (field, raw, key, allowed) in known {
        for entry in entries(field, raw)? {
            let name = if key == "type" { &entry.kind } else { &entry.id };
            match name {
                Some(name) if !entry.is_ambiguous && allowed.contains(&name.as_ref()) => {}
                name => {
                    let name = name.as_deref().unwrap_or("an entry without a name");
                    let name = name.chars().filter(|letter| !is_unprintable(*letter)).take(LONGEST_NAME).collect();
                    return Err(CompletionError::MayChooseModel { field, name });
                }
            }
        }
    }
    Ok(())
}

fn entries<'a>(field: &'static str, raw: Option<&'a RawValue>) -> Result<Vec<Entry<'a>>, CompletionError> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    let entries: Option<Vec<Entry<'a>>> = serde_json::from_str(raw.get())
        .map_err(|_| CompletionError::InvalidField { field, problem: "has to be a list of objects" })?;
    Ok(entries.unwrap_or_default())
}

/// The names of a tool or plugin. The rest of it is only checked to be JSON.
#[derive(Default)]
struct Entry<'a> {
    kind: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    /// True where a name stands twice, or in other letter case, so that readers may differ.
    is_ambiguous: bool,
}

impl<'de> Deserialize<'de> for Entry<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry<'de>, A::Error> {
        let mut entry = Entry::default();
        while let Some(Text(key)) = map.next_key()? {
            let slot = match key.as_ref() {
                "type" => &mut entry.kind,
                "id" => &mut entry.id,
                other => {
                    entry.is_ambiguous |= other.eq_ignore_ascii_case("type") || other.eq_ignore_ascii_case("id");
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value: &RawValue = map.next_value()?;
            entry.is_ambiguous |= slot.is_some();
            *slot = serde_json::from_str::<Text<'_>>(value.get()).ok().map(|text| text.0);
        }
        Ok(entry)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::request_fields::RequestFields;
    use super::*;

    fn verdict(body: &str) -> Result<(), String> {
        let fields = RequestFields::read(body.as_bytes()).unwrap();
        check(&fields.choices).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_that_choose_no_model_pass() {
        for body in [
            r#"{"model":"a"}"#,
            r#"{"tools":null,"plugins":null,"preset":null,"fallbacks":null}"#,
            r#"{"tools":[],"plugins":[]}"#,
            r#"{"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","model":"b"}}}]}"#,
            r#"{"tools":[{"function":{"name":"f"},"type":"function"},{"type":"openrouter:web_search"}]}"#,
            r#"{"plugins":[{"id":"web","max_results":3},{"id":"file-parser","pdf":{"engine":"native"}}]}"#,
        ] {
            assert_eq!(verdict(body), Ok(()), "{body}");
        }
    }

    #[test]
    fn fields_that_may_choose_a_model_are_refused() {
        for (body, words) in [
            (r#"{"preset":"p"}"#, "The field `preset` can't be used here"),
            (r#"{"fallbacks":["b"]}"#, "The field `fallbacks` can't be used here"),
            (r#"{"tools":[{"type":"openrouter:fusion","parameters":{"models":["b"]}}]}"#, "holds `openrouter:fusion`"),
            (r#"{"tools":[{"type":"openrouter:advisor"}]}"#, "The field `tools` holds `openrouter:advisor`"),
            (r#"{"tools":[{"type":"function"},{"type":"openrouter:subagent"}]}"#, "holds `openrouter:subagent`"),
            (r#"{"tools":[{"type":"image_generation","model":"b"}]}"#, "holds `image_generation`"),
            (r#"{"plugins":[{"id":"fusion"}]}"#, "The field `plugins` holds `fusion`"),
            (r#"{"plugins":[{"id":"auto-router"}]}"#, "holds `auto-router`"),
            (r#"{"plugins":[{"id":"pareto-router"}]}"#, "holds `pareto-router`"),
            (r#"{"tools":[{"name":"f"}]}"#, "holds `an entry without a name`"),
            (r#"{"tools":[{"type":7}]}"#, "holds `an entry without a name`"),
            (r#"{"tools":[{"type":"function","type":"function"}]}"#, "holds `function`"),
            (r#"{"tools":[{"type":"function","Type":"openrouter:fusion"}]}"#, "holds `function`"),
            (r#"{"tools":{"type":"function"}}"#, "The field `tools` has to be a list of objects"),
            (r#"{"plugins":["fusion"]}"#, "The field `plugins` has to be a list of objects"),
        ] {
            let problem = verdict(body).unwrap_err();
            assert!(problem.contains(words), "{body}: {problem}");
        }
    }
}
