//! Password guessing is limited by account, address and device, never keeps the owner of an account
//! out, and does not reveal which e-mail addresses have accounts.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::{Method, RequestBuilder, header};
use serde_json::json;

use crate::fixtures::serve::{PASSWORD, Server};

/// A sign-in over JSON.
fn sign_in(server: &Server, email: &str, password: &str) -> RequestBuilder {
    server.request(Method::POST, "/api/v1/auths/signin").json(&json!({ "email": email, "password": password }))
}

/// Returns the cookies that a sign-in sets, as a browser sends them.
async fn cookies(server: &Server, email: &str) -> String {
    let response = sign_in(server, email, PASSWORD).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let lines = response.headers().get_all(header::SET_COOKIE).iter();
    let pairs: Vec<_> = lines.map(|line| line.to_str().unwrap().split(';').next().unwrap()).collect();
    pairs.join("; ")
}

/// Tries wrong passwords until one is refused; returns the seconds to wait.
async fn guess_until_refused(server: &Server, email: &str) -> u64 {
    for attempt in 1..200 {
        let response = sign_in(server, email, "wrong password").send().await.unwrap();
        if response.status() == 429 {
            assert!(attempt > 15, "refused at attempt {attempt}");
            return response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        }
        assert_eq!(response.status(), 400);
    }
    panic!("no attempt was refused");
}

#[tokio::test]
async fn wrong_attempts_are_limited_and_the_owner_gets_in() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    server.user(&admin, "other@example.com").await;
    let device = cookies(&server, "admin@example.com").await;

    let wait = guess_until_refused(&server, "Admin@example.com").await;
    assert!((1..=4).contains(&wait), "{wait}");
    assert_eq!(server.sign_in("other@example.com", PASSWORD).await.0, 200, "others are not held up");
    assert_eq!(server.get("/api/v1/auths/", &admin).await.0, 200, "nor is who is in already");
    let owner = sign_in(&server, "admin@example.com", PASSWORD).header(header::COOKIE, &device);
    assert_eq!(owner.send().await.unwrap().status(), 200, "nor a device that has signed in before");
    let request = sign_in(&server, "other@example.com", "wrong password").header(header::COOKIE, &device);
    assert_eq!(request.send().await.unwrap().status(), 400, "it is known for its own account alone");
}

#[tokio::test]
async fn one_password_tried_on_many_accounts_is_slowed() {
    let server = Server::start(&[("MAI_TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    server.admin().await;
    let spray = |number: usize, address: &'static str| {
        let email = format!("person{number}@example.com");
        sign_in(&server, &email, "Summer 2026!").header("x-forwarded-for", address)
    };
    let mut refused = 0;
    for number in 0..40 {
        refused += usize::from(spray(number, "203.0.113.7").send().await.unwrap().status() == 429);
    }
    assert!(refused > 0, "all 40 were tried");
    assert_eq!(spray(0, "203.0.113.8").send().await.unwrap().status(), 400, "another address is not held up");
}

#[tokio::test]
async fn forwarded_address_of_an_undeclared_proxy_is_ignored() {
    let server = Server::start(&[]).await;
    server.admin().await;
    let mut refused = 0;
    for number in 0..40 {
        let request = sign_in(&server, "admin@example.com", "wrong password");
        let response = request.header("x-forwarded-for", format!("203.0.113.{number}")).send().await.unwrap();
        refused += usize::from(response.status() == 429);
    }
    assert!(refused > 0, "a new address was believed each time");
}

#[tokio::test]
async fn flood_of_sign_ins_is_refused_before_it_queues() {
    let server = Server::start(&[("MAI_TRUSTED_PROXIES", "127.0.0.1")]).await;
    server.admin().await;
    let device = cookies(&server, "admin@example.com").await;
    let flood = (0..200).map(|number| {
        let request = sign_in(&server, &format!("person{number}@example.com"), "wrong password");
        request.header("x-forwarded-for", format!("203.0.113.{number}")).send()
    });
    let owner = sign_in(&server, "admin@example.com", PASSWORD).header(header::COOKIE, &device).send();
    let (answers, owner) = tokio::join!(join_all(flood), owner);
    assert_eq!(owner.unwrap().status(), 200);
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status() == 503).collect();
    assert!(!refused.is_empty() && refused.iter().all(|answer| answer.headers()[header::RETRY_AFTER] == "2"));
    assert!(answers.iter().all(|answer| [400, 503].contains(&answer.status().as_u16())));
}

#[tokio::test]
async fn email_and_password_are_the_same_from_every_keyboard() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let (composed, decomposed) = ("\u{17c}\u{f3}\u{142}w", "z\u{307}o\u{301}\u{142}w");
    let body = json!({
        "name": "Ada", "email": format!("{decomposed}@example.com"), "password": format!("{composed} 1234"),
    });
    assert_eq!(server.post("/api/v1/auths/add", &admin, body).await.0, 200);
    for (email, password) in [(composed, decomposed), (decomposed, composed)] {
        let email = format!("{email}@example.com");
        assert_eq!(server.sign_in(&email, &format!("{password} 1234")).await.0, 200, "{email}");
    }
}

#[tokio::test]
async fn unknown_email_is_refused_like_a_wrong_password() {
    let server = Server::start(&[]).await;
    server.admin().await;
    let mut times = [Vec::new(), Vec::new()];
    let mut answers = Vec::new();
    for _ in 0..7 {
        for (email, times) in ["admin@example.com", "nobody@example.com"].iter().zip(&mut times) {
            let started = Instant::now();
            answers.push(server.sign_in(email, "wrong password").await);
            times.push(started.elapsed());
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, 400);
    // The quickest of each, since other tests load the machine as well.
    let [known, unknown] = times.map(|times: Vec<Duration>| times.into_iter().min().unwrap());
    assert!(unknown * 4 > known && known * 4 > unknown, "known {known:?}, unknown {unknown:?}");
}
