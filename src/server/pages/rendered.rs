//! Every page as it leaves, in both languages, so that a change of what people see is a reviewed difference.

use askama::Template;
use axum::http::Method;
use jiff::{Timestamp, tz::TimeZone};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    account::{AccountPage, NewKey},
    answer::Turn,
    assets::ASSETS,
    chat::{ChatPage, ModelChoice, Obstacle, OpenChat},
    chat_list::ChatList,
    connection::ConnectionPage,
    door::{RegisterPage, SignInPage},
    icons::ICONS,
    notice::Notice,
    shell::{Shell, Theme, Viewer},
    usage::UsagePage,
    usage_report::{Metric, Report},
    users::UsersPage,
};
use crate::{
    auth::ApiKey,
    chat::{Chat, Message, MessageStatus, Role as Speaker},
    connection::{Connection, Source},
    i18n::Locale,
    usage::{DayUsage, ModelUsage, Summary, Totals, UserUsage},
    users::{Role, User, UserId},
};
use mai_openrouter::MicroUsd;

/// A name that would be trouble if a template forgot to escape it.
const NAME: &str = "Anna <script>alert(1)</script> Nowak";

fn now() -> Timestamp {
    "2026-11-24T08:05:09Z".parse().unwrap()
}

fn shell(locale: Locale, path: &str) -> Shell {
    Shell {
        instance: "Company ABC".to_owned(),
        nonce: "0123456789abcdef0123456789abcdef".to_owned(),
        locale,
        t: locale.texts(),
        theme: Theme::System,
        path: path.to_owned(),
        here: path.to_owned(),
        viewer: Some(Viewer {
            name: NAME.to_owned(),
            email: "anna@abc.example".to_owned(),
            initials: "AN".to_owned(),
            admin: true,
        }),
        zone: TimeZone::UTC,
        icons: &ICONS,
        assets: &ASSETS,
        by_htmx: false,
        method: Method::GET,
    }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Renders a page in both languages and compares it with what was reviewed.
fn reviewed(name: &str, path: &str, render: impl Fn(&Shell) -> askama::Result<String>) {
    let assets =
        [&ASSETS.style, &ASSETS.page, &ASSETS.composer, &ASSETS.icon, &ASSETS.htmx, &ASSETS.hx_sse, &ASSETS.hx_csp];
    for locale in Locale::ALL {
        let html = render(&shell(locale, path)).unwrap();
        let mut html: String = html.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n");
        for asset in assets {
            let address = asset.to_string();
            let file = address.rsplit('/').next().unwrap().to_owned();
            html = html.replace(&address, &format!("/assets/{file}"));
        }
        assert!(!html.contains("<script>alert"), "{name} does not escape a name");
        assert!(!html.contains(" style="), "{name} has an inline style, which the policy forbids");
        assert!(!html.contains(" onclick=") && !html.contains("javascript:"), "{name} has an inline script");
        for tag in html.split('<').filter(|tag| tag.contains(" hx-") && !tag.starts_with("meta")) {
            assert!(tag.contains("hx-nonce="), "{name}: htmx would refuse <{tag}");
        }
        insta::assert_snapshot!(format!("{name}.{}", locale.code()), html);
    }
}

fn user(number: u128, name: &str, email: &str, role: Role, last_active: Option<&str>) -> User {
    User {
        id: UserId::from(id(number).to_string()),
        name: name.to_owned(),
        email: email.to_owned(),
        role,
        locale: None,
        created_at: now(),
        updated_at: now(),
        last_active_at: last_active.map(|at| at.parse().unwrap()),
        deleted_at: None,
    }
}

fn people() -> [User; 3] {
    [
        user(1, NAME, "anna@abc.example", Role::Admin, Some("2026-11-24T08:05:00Z")),
        user(2, "Jan Kowalski", "jan@abc.example", Role::User, Some("2026-11-24T05:01:00Z")),
        user(3, "Zofia Wiśniewska", "zofia@abc.example", Role::User, None),
    ]
}

#[test]
fn sign_in() {
    reviewed("sign_in", "/sign-in", |s| {
        let problem = Some(s.t.door.wrong.to_owned());
        SignInPage { s, back: "/usage?month=2026-11", email: "anna@abc.example", problem, open: false }.render()
    });
}

#[test]
fn register() {
    reviewed("register", "/register", |s| RegisterPage { s, name: "", email: "", problem: None, first: true }.render());
}

#[test]
fn users() {
    reviewed("users", "/users", |s| {
        let people = people();
        let mut page = UsersPage::new(s, &people[0].id, &people, 3, now());
        page.notice =
            Some(Notice::good((s.t.users.added)("Jan Kowalski")).with_secret(Some("abcd-efgh-jkmn-pqrs".to_owned())));
        page.render()
    });
}

#[test]
fn connection() {
    reviewed("connection", "/connection", |s| {
        let connection = Connection {
            base_url: "https://openrouter.ai/api/v1".to_owned(),
            key: Some(SecretString::from("sk-or-v1-0123456789abcdefbeef")),
            source: Source::Database,
        };
        let mut page = ConnectionPage::new(s, &connection, true, vec!["openai/gpt-4o-mini".to_owned()]);
        page.notice = Some(Notice::bad("The upstream refused: User not found. (401)").titled(s.t.connection.refused));
        page.render()
    });
}

fn totals(requests: u64, tokens: u64, cost: i64, unknown: u64) -> Totals {
    Totals {
        requests,
        prompt_tokens: tokens / 4,
        completion_tokens: tokens - tokens / 4,
        total_tokens: tokens,
        cost: MicroUsd::new(cost),
        unknown_cost: unknown,
        running: 0,
    }
}

#[test]
fn usage() {
    reviewed("usage", "/usage", |s| {
        let month: crate::usage::Month = "2026-11".parse().unwrap();
        let summary = Summary {
            month,
            totals: totals(42, 1_234_567, 12_345_678, 2),
            today: Some(totals(3, 4_000, 9_999, 0)),
            daily_average_cost: MicroUsd::new(514_403),
            daily_average_tokens: 51_440,
        };
        let days: Vec<DayUsage> = month
            .days()
            .map(|day| DayUsage {
                day,
                totals: match day.day() {
                    3 => totals(39, 1_230_567, 12_335_679, 2),
                    24 => totals(3, 4_000, 9_999, 0),
                    _ => Totals::default(),
                },
            })
            .collect();
        let users = [
            ("Jan Kowalski", "jan@abc.example", false, totals(40, 1_230_567, 12_335_678, 0)),
            (NAME, "anna@abc.example", false, totals(2, 4_000, 10_000, 1)),
            ("Ewa Lis", "ewa@abc.example", true, totals(1, 0, 0, 1)),
        ]
        .map(|(name, email, removed, totals)| UserUsage {
            user_id: UserId::from(name),
            name: name.to_owned(),
            email: email.to_owned(),
            removed,
            totals,
        });
        let models = [ModelUsage { model: "anthropic/claude-sonnet-4.5".to_owned(), totals: summary.totals }];
        let report = Report::new(s, Metric::Cost, &summary, &days, &users, &models, now());
        UsagePage { s, report }.render()
    });
}

#[test]
fn account() {
    reviewed("account", "/account", |s| {
        let key = ApiKey {
            id: id(7).to_string(),
            name: "Report script".to_owned(),
            hint: "9f3c".to_owned(),
            created_at: "2026-11-20T10:00:00Z".parse().unwrap(),
            last_used_at: None,
        };
        let mut page = AccountPage::new(s, NAME, "anna@abc.example", Some("pl"), vec![key], now());
        page.new_key = Some(NewKey {
            title: (s.t.account.key_created)("Report script"),
            secret: "sk-0123".to_owned(),
            snippet: "print(\"<hello>\")".to_owned(),
        });
        page.render()
    });
}

fn chat(number: u128, title: &str, updated: &str) -> Chat {
    Chat {
        id: id(number),
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

#[test]
fn welcome() {
    reviewed("welcome", "/chat", |s| {
        ChatPage {
            s,
            list: ChatList::new(s, "", &[], None, now()),
            open: None,
            turns: Vec::new(),
            greeting: (s.t.chat.greeting)("Anna"),
            obstacle: None,
            problem: Some(Notice::bad(s.t.chat.model_gone)),
            action: "/chat".to_owned(),
            ask: "A question that was not put".to_owned(),
            models: models(),
            busy: false,
        }
        .render()
    });
}

#[test]
fn not_connected() {
    reviewed("not_connected", "/chat", |s| {
        ChatPage {
            s,
            list: ChatList::new(s, "zebra", &[], None, now()),
            open: None,
            turns: Vec::new(),
            greeting: (s.t.chat.greeting)("Anna"),
            obstacle: Some(Obstacle {
                title: s.t.chat.not_connected.to_owned(),
                lead: s.t.chat.not_connected_admin.to_owned(),
                link: true,
            }),
            problem: None,
            action: "/chat".to_owned(),
            ask: String::new(),
            models: Vec::new(),
            busy: false,
        }
        .render()
    });
}

#[test]
fn conversation() {
    let message = |number, role, content: &str, status, error: Option<&str>| Message {
        id: id(number),
        chat_id: id(21),
        role,
        content: content.to_owned(),
        model: Some("openai/gpt-4o-mini".to_owned()),
        status,
        error: error.map(str::to_owned),
        created_at: now(),
    };
    reviewed("conversation", "/chat/x", |s| {
        let messages = [
            message(
                31,
                Speaker::User,
                "Which <script>alert(1)</script> is better?\nCats or dogs?",
                MessageStatus::Done,
                None,
            ),
            message(32, Speaker::Assistant, "**Cats**, <script>alert(2)</script> clearly.", MessageStatus::Done, None),
            message(33, Speaker::User, "Why?", MessageStatus::Done, None),
            message(34, Speaker::Assistant, "Because", MessageStatus::Stopped, None),
            message(35, Speaker::User, "And now?", MessageStatus::Done, None),
            message(36, Speaker::Assistant, "", MessageStatus::Failed, Some("The upstream has no credit left (402).")),
            message(37, Speaker::User, "Again?", MessageStatus::Done, None),
            message(38, Speaker::Assistant, "Here is", MessageStatus::Streaming, None),
        ];
        ChatPage {
            s,
            list: ChatList::new(s, "", &chats(), Some(&id(21).to_string()), now()),
            open: Some(OpenChat {
                id: id(21).to_string(),
                title: "Cats <b>and</b> dogs".to_owned(),
                delete_lead: (s.t.chat.delete_lead)("Cats <b>and</b> dogs"),
            }),
            turns: messages.iter().map(|message| Turn::new(s, message)).collect(),
            greeting: String::new(),
            obstacle: None,
            problem: None,
            action: format!("/chat/{}/messages", id(21)),
            ask: String::new(),
            models: models(),
            busy: true,
        }
        .render()
    });
}
