//! A text that is not formatted: shown as it was written, with a line that says so.

use super::{Labels, SafeHtml, escape};

/// Returns the text with nothing but its line breaks.
pub(super) fn plain(text: &str, labels: Labels) -> SafeHtml {
    // As an HTML parser reads it: a carriage return would also end a line of an event.
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}");
    SafeHtml::from(format!(
        "<p class=\"plain-note\">{}</p>\n<pre class=\"plain\">{}</pre>\n",
        escape(labels.plain),
        escape(&text)
    ))
}
