//! The mock makes keys as OpenRouter documents it: for the management key alone, with limits that count.

use http::{HeaderMap, StatusCode};
use mai_operator::openrouter::mock::{MockOptions, serve};
use mai_operator::openrouter::{Client, KeySettings, Management, NanoUsd, Pool, UpstreamError, client};
use secrecy::SecretString;
use serde_json::{Value, json};

const MANAGEMENT: &str = "sk-or-v1-management";

struct Mock {
    base: String,
    pool: Pool,
}

impl Mock {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/api/v1", listener.local_addr().unwrap());
        let options =
            MockOptions { management_key: Some(MANAGEMENT.into()), activity_today: true, ..MockOptions::default() };
        tokio::spawn(serve(listener, options));
        Self { base, pool: Pool::new() }
    }

    fn account(&self, key: &str) -> Management {
        Management::new(&self.pool, &self.base, &key.into()).unwrap()
    }

    /// Asks for an answer of `chunks` tokens; returns the status and the metadata of an error.
    async fn chat(&self, key: &SecretString, chunks: u32, most: Option<u32>) -> (StatusCode, Value) {
        let body = json!({
            "model": "anthropic/claude-sonnet-4.5", "messages": [{"role": "user", "content": "Why?"}],
            "max_tokens": most, "metadata": {"mock": format!("chunks={chunks} delay=0")}
        });
        let client = Client::new(&self.pool, &self.base, Some(key)).unwrap();
        let answer = client.chat(HeaderMap::new(), bytes::Bytes::from(body.to_string()).into()).await.unwrap();
        let (head, body) = answer.into_parts();
        let body: Value = serde_json::from_slice(&client::collect(body, usize::MAX).await.unwrap()).unwrap();
        (head.status, body["error"]["metadata"].clone())
    }
}

#[tokio::test]
async fn limits_of_made_keys_count_what_they_spent() {
    let mock = Mock::start().await;
    let account = mock.account(MANAGEMENT);
    let made = account.create_key("one", Some(1)).await.unwrap();
    // 15 USD a million: 20,000 tokens cost 0.30 USD, and any number may cost 16,384 times that.
    for spent in [0.3, 0.6] {
        assert_eq!(mock.chat(&made.value, 20_000, None).await.0, StatusCode::OK, "{spent}");
    }
    assert_eq!(mock.chat(&made.value, 20_000, None).await.0, StatusCode::OK);
    // 0.10 USD are left.
    let (status, metadata) = mock.chat(&made.value, 1, None).await;
    assert_eq!((status, &metadata["limit_source"]), (StatusCode::PAYMENT_REQUIRED, &"openrouter_key_limit".into()));
    assert_eq!(mock.chat(&made.value, 20_000, Some(10)).await.0, StatusCode::OK, "what it may cost fits");
    let (status, metadata) = mock.chat(&made.value, 1, Some(10)).await;
    assert_eq!((status, &metadata["limit_source"]), (StatusCode::FORBIDDEN, &"openrouter_key_limit".into()));
    assert_eq!((&metadata["limit_usd"], metadata["spend_usd"].as_f64() > Some(1.0)), (&json!(1), true));
    assert!(metadata["resets_at"].as_str().unwrap().ends_with("T00:00:00Z"), "{metadata}");

    let [key] = <[_; 1]>::try_from(account.keys().await.unwrap()).unwrap();
    assert_eq!(key.settings(), Some(KeySettings { limit_usd: Some(1), disabled: false }));
    assert!(key.usage_monthly > Some(NanoUsd::new(1_000_000_000)), "{key:?}");
    let activity = account.activity(&made.hash).await.unwrap();
    assert_eq!((activity[0].model.as_str(), activity[0].requests), ("anthropic/claude-sonnet-4.5", 4));
    assert_eq!(activity[0].usage, key.usage);
    assert_eq!(account.credits().await.unwrap().total_usage, key.usage);
    assert_eq!(account.activity("another").await.unwrap(), []);

    let own = Client::new(&mock.pool, &mock.base, Some(&made.value)).unwrap();
    assert_eq!(own.key().await.unwrap().limit_remaining, Some(NanoUsd::ZERO));
    // More is allowed, and then nothing.
    let raised = KeySettings { limit_usd: Some(9), disabled: false };
    assert!(account.change_key(&made.hash, raised).await.unwrap());
    assert_eq!(mock.chat(&made.value, 1, None).await.0, StatusCode::OK);
    assert!(account.disable_key(&made.hash).await.unwrap());
    assert_eq!(mock.chat(&made.value, 1, None).await.0, StatusCode::UNAUTHORIZED);
    assert!(account.delete_key(&made.hash).await.unwrap());
    for gone in [
        account.change_key(&made.hash, raised).await,
        account.disable_key(&made.hash).await,
        account.delete_key(&made.hash).await,
    ] {
        assert!(!gone.unwrap());
    }
}

#[tokio::test]
async fn keys_are_for_the_management_key_and_come_in_pages() {
    let mock = Mock::start().await;
    let account = mock.account(MANAGEMENT);
    for _ in 0..201 {
        account.create_key("the same name", None).await.unwrap();
    }
    let last = account.create_key("last", Some(5)).await.unwrap();
    assert!(account.disable_key(&last.hash).await.unwrap());
    let keys = account.keys().await.unwrap();
    assert_eq!(keys.len(), 202, "disabled ones as well");
    let disabled: Vec<_> = keys.iter().filter(|key| key.disabled).map(|key| key.hash.clone()).collect();
    assert_eq!(disabled, [last.hash]);

    let ordinary = account.create_key("ordinary", None).await.unwrap();
    for (key, status, words) in [
        (ordinary.value.clone(), 403, "Only management keys can perform this operation"),
        ("sk-or-v1-unknown".into(), 401, "User not found."),
    ] {
        let account = Management::new(&mock.pool, &mock.base, &key).unwrap();
        for refused in [
            account.keys().await.map(drop),
            account.create_key("a", None).await.map(drop),
            account.activity("a").await.map(drop),
            account.credits().await.map(drop),
        ] {
            let Err(UpstreamError::Refused { status: found, message, .. }) = refused else { panic!("{refused:?}") };
            assert_eq!((found.as_u16(), message.as_str()), (status, words));
        }
    }
    assert_eq!(mock.chat(&MANAGEMENT.into(), 1, None).await.0, StatusCode::FORBIDDEN, "it runs no model");
    assert_eq!(mock.chat(&ordinary.value, 1, None).await.0, StatusCode::OK);
}
