//! No more is spent than a budget allows, whatever happens at the same time; who is refused reads why.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::{LOCAL_UPSTREAMS, Server, change_data};
use crate::fixtures::upstream::{Canned, KEY, Reply};

/// A model whose questions are free and whose answers cost 10,000 nano-USD a token.
const MODELS: &str = r#"{"data":[{"id":"canned/model","context_length":1000,
    "pricing":{"prompt":"0","completion":"0.00001"},"top_provider":{"max_completion_tokens":500}}]}"#;
/// The cost of an answer of 100 tokens.
const PRICE: i64 = 1_000_000;

fn answer(cost: &str) -> String {
    format!(
        r#"{{"id":"gen-7","choices":[{{"message":{{"content":"x"}},"finish_reason":"stop"}}],
            "usage":{{"prompt_tokens":1,"completion_tokens":100,"cost":{cost}}}}}"#
    )
}

/// Starts an upstream whose answers cost as much as they may.
async fn upstream() -> Canned {
    Canned::scripted(|request, _| match request.target() {
        target if target.ends_with("/models") => Some(Reply::json(MODELS)),
        _ if !request.head.starts_with("POST ") => None,
        _ if request.question() == "hang" => Some(Reply::open_stream(&["data: {\"id\":\"gen-7\",\"choices\":[]}\n\n"])),
        _ => Some(Reply::json(answer("0.001"))),
    })
    .await
}

async fn server(upstream: &Canned, more: &[(&str, &str)]) -> (Server, String) {
    let settings = [&[("OPENAI_API_BASE_URL", upstream.base_url.as_str()), ("OPENAI_API_KEY", KEY)], more].concat();
    let server = Server::start(&settings).await;
    let token = server.admin().await;
    (server, token)
}

/// Asks for an answer of so many tokens at most.
async fn ask(server: &Server, token: &str, question: &str, tokens: u32) -> (u16, Value) {
    let body =
        json!({ "model": "canned/model", "max_tokens": tokens, "messages": [{ "role": "user", "content": question }] });
    let (status, answer) = server.post("/v1/chat/completions", token, body).await;
    (status.as_u16(), answer)
}

async fn set(server: &Server, token: &str, budget: Value) -> Value {
    let (status, answer) = server.post("/api/v1/budgets", token, budget).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn company(server: &Server, token: &str, limit: i64) -> Value {
    set(server, token, json!({ "scope": "company", "period": "month", "limit_nano_usd": limit })).await
}

/// Returns what is spent and what is reserved of the only budget.
async fn amounts(server: &Server, token: &str) -> (i64, i64) {
    let (_, answer) = server.get("/api/v1/budgets", token).await;
    let budget = &answer["budgets"][0];
    (budget["spent_nano_usd"].as_i64().unwrap(), budget["reserved_nano_usd"].as_i64().unwrap())
}

async fn wait_amounts(server: &Server, token: &str, expected: (i64, i64)) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = amounts(server, token).await;
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn many_calls_at_once_spend_no_more_than_the_budget() {
    let upstream = upstream().await;
    let (server, token) = server(&upstream, &[]).await;
    company(&server, &token, 3 * PRICE + PRICE / 2).await;
    let answers = join_all((0..50).map(|_| ask(&server, &token, "hi", 100))).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 3);
    assert_eq!(answers.iter().filter(|(status, _)| *status == 402).count(), 47);
    assert_eq!(upstream.requests.lock().unwrap().len(), 3, "a refused call is not sent");
    assert_eq!(amounts(&server, &token).await, (3 * PRICE, 0));
}

#[tokio::test]
async fn refusal_tells_limit_use_and_renewal() {
    let upstream = upstream().await;
    let (server, token) = server(&upstream, &[("MAI_MARKUP", "2"), ("MAI_TIME_ZONE", "Europe/Warsaw")]).await;
    company(&server, &token, 3 * PRICE).await;
    assert_eq!(ask(&server, &token, "hi", 100).await.0, 200);
    let (status, refusal) = ask(&server, &token, "hi", 100).await;
    let error = &refusal["error"];
    assert_eq!(
        (status, &error["type"], &error["code"]),
        (402, &json!("insufficient_quota"), &json!("budget_exceeded"))
    );
    let facts = &error["metadata"];
    assert_eq!((&facts["limited_by"], &facts["period"]), (&json!("company"), &json!("month")));
    let amounts = ["limit_nano_usd", "used_nano_usd", "most_nano_usd"].map(|name| facts[name].as_i64().unwrap());
    assert_eq!(amounts, [3 * PRICE, 2 * PRICE, 2 * PRICE], "prices, with the markup");
    let message = error["message"].as_str().unwrap();
    let new_on = facts["new_on"].as_str().unwrap();
    assert!(new_on.ends_with("-01"), "{facts}");
    for words in ["The company's budget for a month is $0.003000", new_on, "Europe/Warsaw", "max_completion_tokens"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    // A shorter answer fits.
    assert_eq!(ask(&server, &token, "hi", 50).await.0, 200);
}

#[tokio::test]
async fn budgets_of_person_and_key_limit_them_alone() {
    let upstream = upstream().await;
    let (server, admin) = server(&upstream, &[]).await;
    let (id, user) = server.user(&admin, "ann@example.com").await;
    let key = server.key(&admin, json!(["chat"])).await;
    let (_, keys) = server.get("/api/v1/auths/api_keys", &admin).await;
    set(&server, &admin, json!({ "scope": "person", "period": "day", "limit_nano_usd": PRICE })).await;
    set(&server, &admin, json!({ "scope": "person", "subject": id, "period": "day", "limit_nano_usd": 2 * PRICE }))
        .await;
    set(&server, &admin, json!({ "scope": "key", "subject": keys[0]["id"], "period": "month", "limit_nano_usd": 0 }))
        .await;
    let (status, refusal) = ask(&server, &key, "hi", 100).await;
    assert_eq!((status, &refusal["error"]["metadata"]["limited_by"]), (402, &json!("key")));
    for (token, expected) in [(&admin, [200, 402, 402]), (&user, [200, 200, 402])] {
        for status in expected {
            assert_eq!(ask(&server, token, "hi", 100).await.0, status);
        }
    }
    let (_, mine) = server.get("/api/v1/budgets/me", &user).await;
    assert_eq!(mine["budgets"].as_array().unwrap().len(), 1, "{mine}");
    assert_eq!((&mine["budgets"][0]["left_nano_usd"], &mine["budgets"][0]["subject"]), (&json!(0), &json!(id)));
}

#[tokio::test]
async fn raised_budget_counts_for_its_period_and_lowered_at_once() {
    let upstream = upstream().await;
    let (server, token) = server(&upstream, &[]).await;
    let budget = company(&server, &token, PRICE).await;
    assert_eq!(ask(&server, &token, "hi", 100).await.0, 200);
    assert_eq!(ask(&server, &token, "hi", 100).await.0, 402);
    let path = format!("/api/v1/budgets/{}", budget["id"].as_str().unwrap());
    let (status, _) = server.post(&format!("{path}/raise"), &token, json!({ "nano_usd": PRICE })).await;
    assert_eq!(status, 200);
    assert_eq!(ask(&server, &token, "hi", 100).await.0, 200);
    let (_, all) = server.get("/api/v1/budgets", &token).await;
    let found = ["limit_nano_usd", "current_limit_nano_usd"].map(|name| all["budgets"][0][name].as_i64().unwrap());
    assert_eq!(found, [PRICE, 2 * PRICE]);
    // Below what is spent.
    assert_eq!(company(&server, &token, 1).await["id"], budget["id"]);
    assert_eq!(ask(&server, &token, "hi", 1).await.0, 402);
    assert_eq!(server.delete(&path, &token).await.0, 200);
    assert_eq!(ask(&server, &token, "hi", 100).await.0, 200);
    for (body, status) in [
        (json!({ "scope": "company", "subject": "x", "period": "day", "limit_nano_usd": 1 }), 400),
        (json!({ "scope": "key", "period": "day", "limit_nano_usd": 1 }), 400),
        (json!({ "scope": "person", "subject": "nobody", "period": "day", "limit_nano_usd": 1 }), 404),
        (json!({ "scope": "company", "period": "day", "limit_nano_usd": -1 }), 400),
        (json!({ "scope": "company", "period": "week", "limit_nano_usd": 1 }), 422),
        (json!({ "scope": "company", "period": "day", "limit_nano_usd": 1, "currency": "PLN" }), 422),
    ] {
        assert_eq!(server.post("/api/v1/budgets", &token, body.clone()).await.0, status, "{body}");
    }
}

#[tokio::test]
async fn reservation_stays_while_a_cost_is_looked_up() {
    let is_recorded = Arc::new(AtomicBool::new(false));
    let recorded = Arc::clone(&is_recorded);
    let upstream = Canned::scripted(move |request, _| match request.target() {
        target if target.ends_with("/models") => Some(Reply::json(MODELS)),
        // A report of nothing but zeros is none.
        _ if request.head.starts_with("POST ") => Some(Reply::json(
            r#"{"id":"gen-7","choices":[{"message":{"content":"x"},"finish_reason":"stop"}],
                "usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"cost":0}}"#,
        )),
        target if target.contains("/generation?id=gen-7") && recorded.load(Ordering::Relaxed) => {
            Some(Reply::json(r#"{"data":{"id":"gen-7","native_tokens_prompt":1,"total_cost":0.0004}}"#))
        }
        _ => None,
    })
    .await;
    let (server, token) = server(&upstream, &[]).await;
    company(&server, &token, 2 * PRICE).await;
    assert_eq!(ask(&server, &token, "hi", 100).await.0, 200);
    assert_eq!(amounts(&server, &token).await, (0, PRICE));
    is_recorded.store(true, Ordering::Relaxed);
    wait_amounts(&server, &token, (400_000, 0)).await;
}

#[tokio::test]
async fn limit_of_the_provider_counts_the_cost() {
    let upstream = Canned::scripted(|request, _| match request.target() {
        target if target.ends_with("/models") => Some(Reply::json(MODELS)),
        _ if request.head.starts_with("POST ") => Some(Reply::json(answer("0.7"))),
        _ => None,
    })
    .await;
    let (server, token) =
        server(&upstream, &[("MAI_MONTHLY_LIMIT_USD", "1"), ("MAI_MARKUP", "3"), LOCAL_UPSTREAMS]).await;
    for status in [200, 200, 402] {
        assert_eq!(ask(&server, &token, "hi", 100).await.0, status);
    }
    let (_, refusal) = ask(&server, &token, "hi", 100).await;
    assert_eq!(refusal["error"]["metadata"]["limited_by"], "provider");
    // The client's own connection is its own money.
    let connection = json!({ "base_url": upstream.base_url, "key": KEY });
    assert_eq!(server.post("/api/v1/connection", &token, connection).await.0, 200);
    assert_eq!(ask(&server, &token, "hi", 100).await.0, 200);
}

#[tokio::test]
async fn reservation_outlives_a_crash_until_the_cost_is_known() {
    let upstream = upstream().await;
    let directory = tempfile::tempdir().unwrap();
    let settings = [("OPENAI_API_BASE_URL", upstream.base_url.as_str()), ("OPENAI_API_KEY", KEY)];
    let mut server = Server::start_in(directory.path(), &settings).await;
    let token = server.admin().await;
    company(&server, &token, 2 * PRICE).await;
    let body = json!({ "model": "canned/model", "max_tokens": 100, "stream": true,
        "messages": [{ "role": "user", "content": "hang" }] });
    let mut running =
        server.request(Method::POST, "/v1/chat/completions").bearer_auth(&token).json(&body).send().await.unwrap();
    running.chunk().await.unwrap();
    wait_amounts(&server, &token, (0, PRICE)).await;
    // Its row is written soon after.
    server.get("/api/v1/usage/summary", &token).await;
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    drop(running);
    let mut server = Server::start_in(directory.path(), &settings).await;
    assert_eq!(amounts(&server, &token).await, (0, PRICE));
    assert_eq!(ask(&server, &token, "hi", 101).await.0, 402, "what may still be charged is not given away");
    // Nothing is reserved any more after a day.
    server.terminate().await;
    let day_before = "UPDATE generation SET started_at = started_at - 90000000 WHERE status = ?";
    change_data(directory.path(), day_before, "interrupted").await;
    let server = Server::start_in(directory.path(), &settings).await;
    wait_amounts(&server, &token, (0, 0)).await;
    assert_eq!(ask(&server, &token, "hi", 200).await.0, 200);
}

/// Asks a question in a new chat of the pages; returns the path of the chat.
async fn ask_in_page(server: &Server, token: &str) -> String {
    let form = "text=hi&model=canned%2Fmodel";
    let request = server.request(Method::POST, "/chat").bearer_auth(token).body(form);
    let response = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    let location = response.headers().get("location").map(|path| path.to_str().unwrap().to_owned());
    location.unwrap_or_else(|| response.url().path().to_owned())
}

#[tokio::test]
async fn page_asks_for_what_is_left_and_tells_when_nothing_is() {
    let upstream = upstream().await;
    let (server, token) = server(&upstream, &[]).await;
    let budget = company(&server, &token, PRICE + PRICE / 2).await;
    ask_in_page(&server, &token).await;
    wait_amounts(&server, &token, (PRICE, 0)).await;
    let body: Value = serde_json::from_slice(&upstream.requests.lock().unwrap()[0].body).unwrap();
    assert_eq!(body["max_completion_tokens"], 150);
    company(&server, &token, PRICE).await;
    let path = ask_in_page(&server, &token).await;
    for (language, words) in [
        ("en", "The company&#39;s budget of $0.001000 is not enough for this answer: $0.001000 of it is used."),
        ("pl", "Administrator może go zwiększyć w zakładce Zużycie."),
    ] {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = server.request(Method::GET, &path).bearer_auth(&token).header("accept-language", language);
            let html = request.send().await.unwrap().text().await.unwrap();
            if html.contains(words) {
                assert!(html.contains("hi"), "the question is kept");
                break;
            }
            assert!(Instant::now() < deadline, "{words}: {html}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(server.delete(&format!("/api/v1/budgets/{}", budget["id"].as_str().unwrap()), &token).await.0, 200);
}

#[tokio::test]
async fn pages_set_raise_and_show_budgets() {
    let upstream = upstream().await;
    let (server, token) = server(&upstream, &[]).await;
    let (user_id, user) = server.user(&token, "jan@example.com").await;
    let post = async |path: &str, form: &[(&str, &str)]| {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = server.request(Method::POST, path).bearer_auth(&token).header("accept-language", "en");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let page = async |path: &str| {
        server.request(Method::GET, path).bearer_auth(&user).send().await.unwrap().text().await.unwrap()
    };
    let set = async |whose: &str, limit: &str| {
        post("/usage/budgets", &[("whose", whose), ("limit", limit), ("period", "month"), ("hard", "on")]).await
    };
    for (whose, limit, status, words) in [
        ("company", "a lot", 400, "Enter a limit from 0"),
        ("company", "-1", 400, "Enter a limit from 0"),
        ("00000000-0000-7000-8000-000000000000", "1", 400, "This account does not exist"),
        (user_id.as_str(), "12,50", 200, "$0.00 of $12.50 used (0 %) · $12.50 left until"),
    ] {
        let (found, shown) = set(whose, limit).await;
        assert!(found == status && shown.contains(words), "{whose} {limit}: {found} {shown}");
    }
    assert!(page("/chat").await.contains("$12.50 of your budget of $12.50 left until"));
    assert_eq!(ask(&server, &user, "hi", 100).await.0, 200);
    let own = page("/usage/me").await;
    assert!(own.contains("$0.001000 of $12.50 used (0 %)") && !own.contains("/usage/budgets"), "{own}");

    let (_, budgets) = server.get("/api/v1/budgets", &token).await;
    let id = budgets["budgets"][0]["id"].as_str().unwrap();
    let (status, shown) = post(&format!("/usage/budgets/{id}/raise"), &[("nano_usd", "12500000000")]).await;
    assert!(status == 200 && shown.contains("of $25.00 used"), "{shown}");
    let (status, shown) = post(&format!("/usage/budgets/{id}/remove"), &[]).await;
    assert!(status == 200 && shown.contains("Nothing limits what people spend"), "{shown}");
    assert!(page("/chat").await.contains("<p id=\"budget-left\" hidden>"));
}

#[tokio::test]
async fn limit_in_zloty_follows_the_newest_rate() {
    let upstream = upstream().await;
    let rates = format!("{} 4.0000 1/A/NBP/2026", days_ago(3));
    let directory = tempfile::tempdir().unwrap();
    let settings = [
        ("OPENAI_API_BASE_URL", upstream.base_url.as_str()),
        ("OPENAI_API_KEY", KEY),
        ("MAI_NBP_URL", "off"),
        ("MAI_EXCHANGE_RATES", &rates),
        ("MAI_MARKUP", "100"),
    ];
    let mut server = Server::start_in(directory.path(), &settings).await;
    let admin = server.admin().await;
    // An answer of 100 tokens costs a tenth of a dollar.
    let budget = set(&server, &admin, json!({ "scope": "company", "period": "month", "limit_pln": "0.60" })).await;
    assert_eq!((&budget["limit_pln"], budget.get("limit_nano_usd")), (&json!("0.60"), None));
    assert_eq!(ask(&server, &admin, "hi", 100).await.0, 200);
    let (status, refusal) = ask(&server, &admin, "hi", 100).await;
    let message = refusal["error"]["message"].as_str().unwrap();
    assert_eq!((status, &refusal["error"]["metadata"]["pln_rate"]), (402, &json!("4.0000")));
    assert!(message.contains("is PLN 0.60; PLN 0.40 of it is spent"), "{message}");

    // A rate of today, at which 60 groszy are 20 cents.
    let rate = json!({ "date": days_ago(0), "mid": "3.0000", "table": "2/A/NBP/2026" });
    assert_eq!(server.post("/api/v1/usage/rate", &admin, rate).await.0, 200);
    let (_, all) = server.get("/api/v1/budgets", &admin).await;
    let state = &all["budgets"][0];
    assert_eq!((&state["current_limit_nano_usd"], &state["pln_rate"]), (&json!(200_000_000), &json!("3.0000")));
    assert_eq!(ask(&server, &admin, "hi", 100).await.0, 200);
    assert_eq!(ask(&server, &admin, "hi", 100).await.0, 402);

    let path = format!("/api/v1/budgets/{}/raise", state["id"].as_str().unwrap());
    for (added, status) in [
        (json!({ "nano_usd": 1 }), 400),
        (json!({ "nano_usd": 1, "pln": "1.00" }), 400),
        (json!({}), 400),
        (json!({ "pln": "0.30" }), 200),
    ] {
        assert_eq!(server.post(&path, &admin, added.clone()).await.0, status, "{added}");
    }
    assert_eq!(ask(&server, &admin, "hi", 100).await.0, 200);

    // It is the same after a start, and what was added goes with the currency.
    server.terminate().await;
    let server = Server::start_in(directory.path(), &settings).await;
    let (_, all) = server.get("/api/v1/budgets", &admin).await;
    assert_eq!(all["budgets"][0]["current_limit_nano_usd"], 300_000_000);
    company(&server, &admin, 5_000_000_000).await;
    let (_, all) = server.get("/api/v1/budgets", &admin).await;
    let state = &all["budgets"][0];
    assert_eq!((&state["current_limit_nano_usd"], &state["pln_rate"]), (&json!(5_000_000_000_i64), &Value::Null));

    // The page offers both.
    let form = "whose=company&limit=2%2C05&currency=pln&period=month&hard=on";
    let request = server.request(Method::POST, "/usage/budgets").bearer_auth(&admin).header("accept-language", "en");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let shown = request.send().await.unwrap().text().await.unwrap();
    for words in ["PLN\u{a0}0.90 of PLN\u{a0}2.05 used (43 %)", r#"name="pln" value="0.51""#, r#"<option value="pln">"#]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[tokio::test]
async fn limit_in_zloty_needs_a_rate() {
    let upstream = upstream().await;
    let (server, admin) = server(&upstream, &[("MAI_NBP_URL", "off")]).await;
    let limit = json!({ "scope": "company", "period": "month", "limit_pln": "6.00" });
    let (status, answer) = server.post("/api/v1/budgets", &admin, limit).await;
    assert_eq!(status, 409);
    assert!(answer.to_string().contains("enter a rate first"), "{answer}");
}

fn days_ago(days: i64) -> String {
    let day = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    day.to_string()[..10].to_owned()
}
