//! Snapshots of the chat page: before the first question, without a connection, in a conversation,
//! and its sidebar.

use futures::FutureExt;
use mai_openrouter::NanoUsd;

use super::{super::snapshot, *};
use crate::chat::{AnswerFailure, AnswerUsage, Message, MessageRole};

fn chat(number: u128, title: &str, updated: &str) -> Chat {
    Chat {
        id: snapshot::id(number),
        title: title.to_owned(),
        model: Some("openai/gpt-4o-mini".to_owned()),
        created_at: updated.parse().unwrap(),
        updated_at: updated.parse().unwrap(),
    }
}

fn chats() -> [Chat; 4] {
    [
        chat(21, "Cats <b>and</b> dogs", "2026-11-24T07:00:00Z"),
        chat(22, "", "2026-11-23T23:59:59Z"),
        chat(23, "Offer for a client", "2026-11-18T12:00:00Z"),
        chat(24, "Last year's budget", "2025-12-31T12:00:00Z"),
    ]
}

fn models() -> Vec<ModelChoice> {
    let model = |id: &str, name: &str, chosen| ModelChoice { id: id.to_owned(), name: name.to_owned(), chosen };
    vec![model("openai/gpt-4o-mini", "OpenAI: GPT-4o mini", true), model("x/y", "Y", false)]
}

/// Returns the page of a new chat.
fn new_chat(layout: &Layout) -> ChatPage<'_> {
    let t = ChatTexts(layout.locale);
    ChatPage {
        layout,
        t,
        list: ChatList::new(layout, "", &list::Listed::default(), None, snapshot::now()),
        open: None,
        turns: Vec::new(),
        greeting: t.greeting("Anna"),
        unavailable: None,
        notice: None,
        action: "/chat".to_owned(),
        ask: String::new(),
        models: models(),
        budget: Some(BudgetLine { text: "$1.00 of your budget left".to_owned(), warns: true }),
        busy: false,
    }
}

#[test]
fn new_chat_page_matches_its_snapshot() {
    use crate::{chat::CompletionError, pages::form_problem::FormError};
    snapshot::assert_page("chat_new", "/chat", |layout| {
        let notice = ChatError::Completion(CompletionError::ModelNotFound).problem(layout.locale);
        ChatPage { notice, ask: "A question that was refused".to_owned(), ..new_chat(layout) }.render()
    });
}

#[test]
fn chat_page_without_connection_matches_its_snapshot() {
    snapshot::assert_page("chat_unavailable", "/chat", |layout| {
        let t = ChatTexts(layout.locale);
        let unavailable =
            Unavailable { title: t.not_connected().to_owned(), lead: t.not_connected_admin().to_owned(), link: true };
        ChatPage { unavailable: Some(unavailable), models: Vec::new(), ..new_chat(layout) }.render()
    });
}

#[test]
fn conversation_page_matches_its_snapshot() {
    let usage = |number| {
        let used = |price, is_open| AnswerUsage {
            prompt_tokens: Some(1_200),
            completion_tokens: Some(34),
            total_tokens: Some(1_234),
            price,
            is_open,
        };
        match number {
            32 => Some(used(Some(NanoUsd::new(1_371_500)), false)),
            34 => Some(used(None, true)),
            _ => None,
        }
    };
    let message = |number, role, content: &str, status, error: Option<&str>| Message {
        id: snapshot::id(number),
        chat_id: snapshot::id(21),
        role,
        content: content.to_owned(),
        model: Some("openai/gpt-4o-mini".to_owned()),
        status,
        failure: error.map(AnswerFailure::worded),
        usage: usage(number),
        created_at: snapshot::now(),
    };
    let question = |number, content| message(number, MessageRole::User, content, MessageStatus::Done, None);
    let answer = |number, content, status, error| message(number, MessageRole::Assistant, content, status, error);
    let messages = [
        question(31, "Which <script>alert(1)</script> is better?\nCats or dogs?"),
        answer(32, "**Cats**, <script>alert(2)</script> clearly.", MessageStatus::Done, None),
        question(33, "Why?"),
        answer(34, "Because", MessageStatus::Stopped, None),
        question(35, "And now?"),
        answer(36, "", MessageStatus::Failed, Some("The upstream has no credit left (402).")),
        question(37, "Again?"),
        answer(38, "Here is", MessageStatus::Streaming, None),
    ];
    let renderer = Renderer::new();
    snapshot::assert_page("chat_conversation", "/chat/x", |layout| {
        let turns =
            messages.iter().map(|message| Turn::new(&renderer, layout, message).now_or_never().unwrap()).collect();
        ChatPage {
            open: Some(OpenChat::new(layout, &chats()[0])),
            turns,
            action: format!("/chat/{}/messages", snapshot::id(21)),
            busy: true,
            ..new_chat(layout)
        }
        .render()
    });
}

/// The page's own part of the sidebar.
#[derive(Template)]
#[template(path = "chat/chat.html", block = "sidebar")]
struct Sidebar<'a> {
    layout: &'a Layout,
    t: ChatTexts,
    list: ChatList,
    open: Option<OpenChat>,
}

#[test]
fn sidebar_matches_its_snapshot() {
    for (name, query, chats) in [("chat_sidebar", "", chats().to_vec()), ("chat_sidebar_empty", "zebra", Vec::new())] {
        snapshot::assert_document(name, "/chat/x", |layout| {
            let open = chats.first().map(|chat| OpenChat::new(layout, chat));
            let listed = list::Listed { chats: chats.clone(), ..list::Listed::default() };
            let list =
                ChatList::new(layout, query, &listed, open.as_ref().map(|chat| chat.id.as_str()), snapshot::now());
            Sidebar { layout, t: ChatTexts(layout.locale), list, open }.render()
        });
    }
}
