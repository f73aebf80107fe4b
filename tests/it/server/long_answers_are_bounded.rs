//! An answer costs no more than its length, whatever is in it, and one without an end is ended.

use serde_json::json;

use crate::fixtures::page_chat::{answer, ask, page, server};
use crate::fixtures::upstream::{Canned, Reply, Request};

const DONE: &str = "data: [DONE]\n\n";

/// Returns the event that adds this text to an answer.
fn piece(text: &str) -> String {
    format!("data: {}\n\n", json!({ "id": "gen-1", "choices": [{ "index": 0, "delta": { "content": text } }] }))
}

#[tokio::test]
async fn answer_too_deep_to_format_is_shown_as_written() {
    let text = format!("{}*deep*\nlazy", ">".repeat(40_000));
    let reply = piece(&text);
    let upstream = Canned::scripted(move |_: &Request, _| Some(Reply::stream(&[&reply, DONE]))).await;
    let (server, token) = server(&upstream).await;
    let chat = ask(&server, &token, None, "Quote it").await;
    assert_eq!(answer(&server, &token, &chat).await["content"], text);
    for (language, note) in
        [("en", "It is shown as it was written."), ("pl", "Jest pokazany tak, jak został napisany.")]
    {
        let page = page(&server, &token, &chat, language).await;
        assert!(page.contains(note), "{language}: {}", &page[..1000]);
        assert!(page.contains("&gt;&gt;&gt;*deep*\nlazy</pre>"), "{language}");
    }
}
