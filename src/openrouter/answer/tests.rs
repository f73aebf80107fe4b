//! Tables of answers in the shapes that upstreams and gateways give them.

#![allow(clippy::unwrap_used)]

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;

use super::*;
use crate::usage::Usage;
use crate::{ErrorKind, NanoUsd, UpstreamErrorBody};

const STREAM: &str = ": OPENROUTER PROCESSING\n\n\
    data: {\"id\":\"gen-1\",\"provider\":\"P\",\"model\":\"a/b\",\"choices\":[{\"delta\":{\"content\":\"say \\\"usage\\\": {\"}}],\"usage\":null}\n\n\
    data: {\"id\":\"gen-1\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{\\\"cost\\\":9}\"}}],\"usage\":null}\r\n\r\n\
    : OPENROUTER PROCESSING\r\n\r\n\
    data:{\"id\":\"gen-1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,\"cost\":0.000123}}\n\n\
    data: [DONE]\n\n";

fn expected() -> AnswerSummary {
    AnswerSummary {
        generation_id: Some("gen-1".to_owned()),
        model: Some("a/b".to_owned()),
        provider: Some("P".to_owned()),
        usage: Some(Usage {
            prompt_tokens: Some(3),
            completion_tokens: Some(4),
            total_tokens: Some(7),
            cost: Some(NanoUsd::new(123_000)),
            ..Usage::default()
        }),
        error: None,
        finish: Some(FinishReason::Stop),
        finished: true,
        is_answer: true,
    }
}

fn headers(kind: &'static str, encoding: Option<&'static str>) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
    headers.extend(encoding.map(|name| (header::CONTENT_ENCODING, HeaderValue::from_static(name))));
    headers
}

fn events() -> HeaderMap {
    headers("text/event-stream", None)
}

/// The facts that the ledger learns of an answer.
fn facts<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> AnswerSummary {
    let mut reader = AnswerReader::new(&events());
    pieces.into_iter().for_each(|piece| reader.feed(piece));
    reader.finish(true)
}

/// Text, end and facts of an answer that comes to a page in pieces of this size.
fn read(headers: &HeaderMap, answer: &[u8], size: usize) -> (String, AnswerEnd, AnswerSummary) {
    let mut reader = AnswerReader::with_text(headers);
    let mut text = String::new();
    for piece in answer.chunks(size) {
        reader.feed(piece);
        text.push_str(&reader.take_text());
    }
    let summary = reader.finish(true);
    text.push_str(&reader.take_text());
    (text, reader.end(), summary)
}

/// The events of chunks with these JSON texts.
fn stream(chunks: &[&str]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

fn text(content: &str) -> String {
    format!(r#"{{"id":"g","choices":[{{"index":0,"delta":{{"content":{content}}}}}]}}"#)
}

fn end(reason: &str) -> String {
    format!(r#"{{"id":"g","choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#)
}

fn error(message: &str) -> AnswerEnd {
    AnswerEnd::Error(UpstreamErrorBody { message: message.to_owned(), ..UpstreamErrorBody::default() })
}

/// The end with an error reduced to its sentence.
fn simple(end: AnswerEnd) -> AnswerEnd {
    match end {
        AnswerEnd::Error(body) => error(&body.message),
        other => other,
    }
}

#[test]
fn facts_are_independent_of_two_cuts() {
    let bytes = STREAM.as_bytes();
    let expected = expected();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let seen = facts([&bytes[..first], &bytes[first..second], &bytes[second..]]);
            assert_eq!(seen, expected, "cut at {first} and {second}");
        }
    }
}

#[test]
fn streams_end_for_the_reason_they_give() {
    let hi = text(r#""Hi""#);
    for (chunks, words, expected) in [
        (vec![hi.as_str(), &end("stop"), "[DONE]"], "Hi", AnswerEnd::Complete),
        (vec![&hi, "[DONE]"], "Hi", AnswerEnd::Complete),
        (vec![&hi, &end("end_turn")], "Hi", AnswerEnd::Complete),
        (vec![&hi], "Hi", AnswerEnd::CutOff),
        (vec![&hi, &end("length"), "[DONE]"], "Hi", AnswerEnd::Length),
        (vec![&hi, &end("content_filter"), "[DONE]"], "Hi", AnswerEnd::Filtered),
        (vec![&hi, &end("error"), "[DONE]"], "Hi", error("finish_reason: error")),
        (vec![&end("stop"), "[DONE]"], "", AnswerEnd::Empty),
        (vec!["[DONE]"], "", AnswerEnd::Empty),
        (vec![r#"{"choices":[{"delta":{"reasoning":"hm"}}]}"#, &end("stop")], "", AnswerEnd::OnlyReasoning),
        (vec![r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#, &end("length")], "", AnswerEnd::OnlyReasoning),
        (
            vec![r#"{"choices":[{"delta":{"refusal":"I will not."}}]}"#, &end("content_filter")],
            "",
            AnswerEnd::Refused("I will not.".to_owned()),
        ),
        (
            vec![
                r#"{"choices":[{"delta":{"content":null,"tool_calls":[{"index":0,"function":{"name":"weather","arguments":""}}]}}]}"#,
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}"#,
                &end("tool_calls"),
            ],
            "",
            AnswerEnd::ToolCalls(vec!["weather".to_owned()]),
        ),
        (
            vec![
                r#"{"choices":[{"delta":{"images":[{"type":"image_url","image_url":{"url":"data:"}}]}}]}"#,
                &end("stop"),
            ],
            "",
            AnswerEnd::Images,
        ),
        (
            vec![&hi, r#"{"choices":null,"error":{"message":"worker is full"}}"#, "[DONE]"],
            "Hi",
            error("worker is full"),
        ),
        (vec![&hi, r#"{"error":"worker is full"}"#], "Hi", error("worker is full")),
        (
            vec![&hi, r#"{"choices":[{"delta":{},"error":{"message":"in a choice"},"finish_reason":"error"}]}"#],
            "Hi",
            error("in a choice"),
        ),
        (vec![&hi, r#"{"error":null}"#, r#"{"error":{}}"#, r#"{"error":""}"#, "[DONE]"], "Hi", AnswerEnd::Complete),
        (
            vec![r#"{"id":"","choices":[]}"#, "null", "[1,2]", "\"text\"", "", "ping", &hi, "[DONE]"],
            "Hi",
            AnswerEnd::Complete,
        ),
        (vec![&text(r#"[{"type":"text","text":"H"},"i",{"type":"other"}]"#), "[DONE]"], "Hi", AnswerEnd::Complete),
        (vec![&text(r#"{"text":"Hi"}"#), "[DONE]"], "Hi", AnswerEnd::Complete),
        (vec![r#"{"choices":[{"text":"Hi"}]}"#, "[DONE]"], "Hi", AnswerEnd::Complete),
        (vec![r#"{"choices":{"delta":{"content":"Hi"}}}"#, "[DONE]"], "Hi", AnswerEnd::Complete),
        (vec![r#"{"choices":[{"message":{"content":"Hi"}}]}"#, "[DONE]"], "Hi", AnswerEnd::Complete),
        (vec![r#"{"id":"a","id":"b","choices":[{"delta":{"content":"Hi"}}]}"#, "[DONE]"], "Hi", AnswerEnd::Complete),
        (
            vec![&text(r#""Hi""#), r#"{"choices":[{"index":1,"delta":{"content":"second"}}]}"#, "[DONE]"],
            "Hi",
            AnswerEnd::Complete,
        ),
        (vec![&text(r#""Dzie\u0144 \ud83d""#), &text(r#""\ude00!""#), "[DONE]"], "Dzień 😀!", AnswerEnd::Complete),
        (vec![&text(r#""Hi\ud83d""#), "[DONE]"], "Hi\u{fffd}", AnswerEnd::Complete),
    ] {
        let stream = stream(&chunks);
        for size in [1, 7, stream.len()] {
            let (seen, reached, _) = read(&events(), stream.as_bytes(), size);
            assert_eq!((seen.as_str(), simple(reached)), (words, expected.clone()), "{stream}");
        }
    }
}

#[test]
fn answers_are_read_whatever_their_content_type() {
    let whole = r#"{"id":"g","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"cost":1e-06}}"#;
    let hi = stream(&[&text(r#""Hi""#), "[DONE]"]);
    let page = "<!doctype html><head><title>Just a moment...</title></head>";
    for (kind, body, words, expected) in [
        ("application/json", whole.to_owned(), "Hi", AnswerEnd::Complete),
        ("text/event-stream", whole.to_owned(), "Hi", AnswerEnd::Complete),
        ("application/json", hi.clone(), "Hi", AnswerEnd::Complete),
        ("text/event-stream", format!("\u{feff}{hi}"), "Hi", AnswerEnd::Complete),
        ("text/event-stream", format!("\n\n{hi}"), "Hi", AnswerEnd::Complete),
        ("text/event-stream", hi.replace('\n', "\r"), "Hi", AnswerEnd::Complete),
        ("text/event-stream", hi.replace('\n', "\r\n"), "Hi", AnswerEnd::Complete),
        ("text/event-stream", hi.replace("\n\n", "\n"), "Hi", AnswerEnd::Complete),
        ("text/event-stream", hi.replace(",\"choices\"", "\ndata: ,\"choices\""), "Hi", AnswerEnd::Complete),
        ("application/x-ndjson", format!("{}\n{}\n", text(r#""H""#), text(r#""i""#)), "Hi", AnswerEnd::Complete),
        (
            "application/json",
            r#"{"error":{"code":404,"message":"No endpoints"},"user_id":"u"}"#.to_owned(),
            "",
            error("No endpoints"),
        ),
        (
            "text/event-stream",
            r#"{"error":{"code":404,"message":"No endpoints"}}"#.to_owned(),
            "",
            error("No endpoints"),
        ),
        ("application/json", r#"[{"error":{"message":"From a list"}}]"#.to_owned(), "", error("From a list")),
        ("application/json", r#"{"message":"Overloaded","code":529}"#.to_owned(), "", error("Overloaded")),
        (
            "text/event-stream",
            "event: error\ndata: {\"message\":\"Overloaded\",\"code\":529}\n\n".to_owned(),
            "",
            error("Overloaded"),
        ),
        ("text/event-stream", "event: error\ndata: Overloaded\n\n".to_owned(), "", error("Overloaded")),
        ("text/html", page.to_owned(), "", AnswerEnd::NotAnAnswer("HTML, “Just a moment...”".to_owned())),
        ("text/event-stream", page.to_owned(), "", AnswerEnd::NotAnAnswer("HTML, “Just a moment...”".to_owned())),
        ("text/plain", "Welcome to nginx".to_owned(), "", AnswerEnd::NotAnAnswer("“Welcome to nginx”".to_owned())),
        ("application/json", "{}".to_owned(), "", AnswerEnd::NotAnAnswer("“{}”".to_owned())),
        ("application/json", String::new(), "", AnswerEnd::Empty),
    ] {
        for size in [1, 5, 10_000] {
            let (seen, reached, summary) = read(&headers(kind, None), body.as_bytes(), size);
            assert_eq!((seen.as_str(), simple(reached)), (words, expected.clone()), "{kind} {body}");
            assert_eq!(summary.ended_well(), expected == AnswerEnd::Complete, "{kind} {body}");
        }
    }
}

#[test]
fn compressed_answers_are_read_or_named() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(STREAM.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    for encoding in [Some("gzip"), None] {
        let (text, reached, summary) = read(&headers("text/event-stream", encoding), &packed, 40);
        assert_eq!(
            (text.starts_with("say"), reached, summary),
            (true, AnswerEnd::Complete, expected()),
            "{encoding:?}"
        );
    }
    let (_, reached, summary) = read(&headers("text/event-stream", Some("br")), &packed, 40);
    assert_eq!(reached, AnswerEnd::NotAnAnswer("content-encoding br".to_owned()));
    assert!(!summary.ended_well());
    let (_, reached, _) = read(&headers("text/event-stream", Some("gzip")), b"data: not packed\n\n", 40);
    assert!(matches!(reached, AnswerEnd::NotAnAnswer(_)), "{reached:?}");
}

#[test]
fn whole_bodies_are_unpacked_up_to_a_cap() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&[b'x'; 100_000]).unwrap();
    let packed = Bytes::from(encoder.finish().unwrap());
    assert_eq!(plain_body(&headers("text/plain", Some("gzip")), packed.clone(), 70_000), [b'x'; 70_000].as_slice());
    assert_eq!(plain_body(&headers("text/plain", None), packed, 1 << 20).len(), 100_000);
    for encoding in [None, Some("gzip"), Some("br")] {
        assert_eq!(plain_body(&headers("text/plain", encoding), Bytes::from("plain"), 10), "plain", "{encoding:?}");
    }
}

#[test]
fn facts_need_no_text_and_no_end_mark() {
    let hi = text(r#""Hi""#);
    let usage = r#"{"choices":null,"usage":{"total_tokens":9,"cost":0.00005}}"#;
    let late = r#"{"id":"late","choices":[{"delta":{"content":"x"}}]}"#;
    let none = r#"{"id":"","choices":[]}"#;
    for (chunks, ended_well, tokens, id) in [
        (vec![hi.as_str(), "[DONE]"], true, None, "g"),
        (vec![&hi, &end("stop")], true, None, "g"),
        (vec![&hi, &hi], false, None, "g"),
        (vec![&hi, usage, "[DONE]"], true, Some(9), "g"),
        (vec![&hi, usage, r#"{"choices":[],"usage":{}}"#, r#"{"usage":{"total_tokens":0}}"#], false, Some(9), "g"),
        (vec![&hi, r#"{"choices":[{"delta":{},"usage":{"total_tokens":9}}]}"#, "[DONE]"], true, Some(9), "g"),
        (vec![&hi, r#"{"choices":[],"x_groq":{"id":"r","usage":{"total_tokens":9}}}"#, "[DONE]"], true, Some(9), "g"),
        (vec![none, "null", late, "[DONE]"], true, None, "late"),
        (
            vec![&hi, r#"{"error":{"code":502,"message":"gone"},"choices":[{"finish_reason":"error"}]}"#],
            false,
            None,
            "g",
        ),
    ] {
        let stream = stream(&chunks);
        let seen = facts([stream.as_bytes()]);
        let found = (seen.ended_well(), seen.usage.and_then(|usage| usage.total_tokens), seen.generation_id.as_deref());
        assert_eq!(found, (ended_well, tokens, Some(id)), "{stream}");
    }
}

#[test]
fn responses_are_understood_by_their_events() {
    let completed = r#"{"type":"response.completed","response":{"id":"gen-9","usage":{"input_tokens":3,"output_tokens":4,"cost":0.5}}}"#;
    let seen = facts([stream(&[r#"{"type":"response.created","response":{"id":"gen-9"}}"#, completed]).as_bytes()]);
    assert!(seen.ended_well());
    assert_eq!((seen.generation_id.as_deref(), seen.usage.unwrap().total_tokens), (Some("gen-9"), Some(7)));
    let failed =
        r#"{"type":"response.failed","response":{"id":"gen-9","error":{"code":"server_error","message":"broke"}}}"#;
    let seen = facts([stream(&[failed]).as_bytes()]);
    assert_eq!((seen.ended_well(), seen.error.unwrap().kind), (false, ErrorKind::Unavailable));
}

#[test]
fn deeply_nested_content_is_passed_over() {
    let deep = |open: &str, close: &str| format!("{}\"x\"{}", open.repeat(40_000), close.repeat(40_000));
    for content in [deep("[", "]"), deep("{\"text\":", "}"), deep("[{\"content\":", "}]")] {
        let error = format!(r#"{{"choices":[],"error":{content}}}"#);
        let stream = stream(&[&text(r#""Hi""#), &text(&content), &error, "[DONE]"]);
        let (seen, reached, _) = read(&events(), stream.as_bytes(), 60_000);
        assert_eq!((seen.as_str(), reached), ("Hi", AnswerEnd::Complete));
    }
}

#[test]
fn oversized_line_is_skipped() {
    let mut reader = AnswerReader::new(&events());
    reader.feed(b"data: ");
    for _ in 0..40 {
        reader.feed(&[b'x'; 64 * 1024]);
    }
    reader.feed(b"\n");
    reader.feed(STREAM.as_bytes());
    assert_eq!(reader.finish(true), expected());
}

proptest! {
    #[test]
    fn facts_are_independent_of_any_cuts(sizes in prop::collection::vec(1_usize..60, 1..40)) {
        let mut rest = STREAM.as_bytes();
        let mut pieces = Vec::new();
        for size in sizes {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        prop_assert_eq!(facts(pieces), expected());
    }

    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read(&events(), &bytes, 9);
        read(&events(), &[b"data: {\"choices\":[{\"delta\":{\"content\":\"".as_slice(), &bytes, b"\"}}]}\n\n"].concat(), 9);
    }
}

#[test]
fn answer_with_too_long_a_line_says_that_something_is_missing() {
    let long = text(&format!("\"{}\"", "x".repeat(2 << 20)));
    let answer = stream(&[&text("\"Hi\""), &long, &end("stop"), "[DONE]"]);
    let (read_text, read_end, _) = read(&events(), answer.as_bytes(), 4096);
    assert_eq!((read_text.as_str(), read_end), ("Hi", AnswerEnd::LeftOut));

    let whole = format!(r#"{{"choices":[{{"message":{{"content":"{}"}}}}]}}"#, "x".repeat(9 << 20));
    let (_, read_end, summary) = read(&HeaderMap::new(), whole.as_bytes(), 1 << 16);
    assert_eq!((read_end, summary.finished), (AnswerEnd::LeftOut, true));
}
