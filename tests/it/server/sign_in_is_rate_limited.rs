//! Password guessing is limited per account, and does not reveal which e-mail addresses have
//! accounts.

use std::time::{Duration, Instant};

use reqwest::{Method, header};
use serde_json::json;

use crate::fixtures::serve::{PASSWORD, Server};

#[tokio::test]
async fn sixteenth_sign_in_in_three_minutes_is_refused() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    server.user(&admin, "other@example.com").await;
    let begun = Instant::now();
    let mut attempts = 0;
    let response = loop {
        // On a slow machine some more attempts have become free meanwhile.
        let free = 15 + begun.elapsed().as_secs() / 12;
        while attempts < free && server.sign_in("admin@example.com", "wrong password").await.0 == 400 {
            attempts += 1;
        }
        assert!(attempts >= 15, "refused after {attempts}");
        let body = json!({ "email": "Admin@example.com", "password": PASSWORD });
        let response = server.request(Method::POST, "/api/v1/auths/signin").json(&body).send().await.unwrap();
        if response.status() == 429 {
            // Even the right password waits, and letter case is no way around.
            break response;
        }
        attempts += 1;
        let free = 15 + begun.elapsed().as_secs() / 12;
        assert!(attempts <= free, "attempt {attempts} is accepted");
    };
    let wait: u64 = response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=13).contains(&wait), "{wait}");

    assert_eq!(server.sign_in("other@example.com", PASSWORD).await.0, 200, "others are not held up");
    assert_eq!(server.get("/api/v1/auths/", &admin).await.0, 200, "nor is who is in already");
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
