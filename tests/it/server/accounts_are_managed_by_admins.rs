//! Admins list, search and change accounts; every user changes their own.

use serde_json::{Value, json};

use crate::fixtures::serve::{PASSWORD, Server};

fn emails(page: &Value) -> Vec<&str> {
    page["users"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn account_list_is_paged_sorted_and_searchable() {
    let server = Server::start(&[("MAI_MAX_USERS", "40")]).await;
    let admin = server.admin().await;
    for n in 0..33 {
        let body =
            json!({ "name": format!("Person {n} 100%"), "email": format!("p{n}_x@example.com"), "password": PASSWORD });
        assert_eq!(server.post("/api/v1/auths/add", &admin, body).await.0, 200);
    }
    let (_, first) = server.get("/api/v1/users/", &admin).await;
    assert_eq!((first["total"].as_i64(), emails(&first).len(), emails(&first)[0]), (Some(34), 30, "p32_x@example.com"));
    let (_, second) = server.get("/api/v1/users/?page=2", &admin).await;
    assert_eq!(emails(&second), ["p2_x@example.com", "p1_x@example.com", "p0_x@example.com", "admin@example.com"]);
    let (_, past) = server.get("/api/v1/users/?page=99", &admin).await;
    assert_eq!((past["total"].as_i64(), emails(&past).len()), (Some(34), 0));

    let (_, found) = server.get("/api/v1/users/?query=PERSON%207", &admin).await;
    assert_eq!((emails(&found), found["total"].as_i64()), (vec!["p7_x@example.com"], Some(1)));
    // Wildcards of LIKE are searched for literally.
    for (query, total) in [("_x@", 33), ("0%25", 33), ("%25%25", 0), ("p_", 0), ("%5C", 0)] {
        let (_, found) = server.get(&format!("/api/v1/users/?query={query}"), &admin).await;
        assert_eq!(found["total"], total, "{query}");
    }
    assert_eq!(server.get("/api/v1/users/?page=many", &admin).await.0, 422);
}

#[tokio::test]
async fn admin_changes_names_and_unused_emails() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let (id, user) = server.user(&admin, "user@example.com").await;
    let path = format!("/api/v1/users/{id}/update");
    let (status, changed) =
        server.post(&path, &admin, json!({ "name": " New Name ", "email": "New@Example.com" })).await;
    assert_eq!(
        (status.as_u16(), &changed["name"], &changed["email"]),
        (200, &json!("New Name"), &json!("new@example.com"))
    );
    let (_, session) = server.get("/api/v1/auths/", &user).await;
    assert_eq!(session["name"], "New Name", "the session goes on and knows the new name");
    let (status, response) = server.post(&path, &admin, json!({ "email": "ADMIN@example.com" })).await;
    assert_eq!(status, 400, "{response}");
    assert!(response["detail"].as_str().unwrap().contains("already registered"));
    let twice = json!({ "name": "Twice", "email": "NEW@example.com", "password": PASSWORD });
    assert_eq!(server.post("/api/v1/auths/add", &admin, twice).await.0, 400);
}

#[tokio::test]
async fn own_profile_accepts_name_and_language() {
    let server = Server::start(&[]).await;
    let admin = server.admin().await;
    let (_, user) = server.user(&admin, "user@example.com").await;
    let change = async |body| server.post("/api/v1/auths/update/profile", &user, body).await;
    let (status, body) = change(json!({ "name": "Zażółć Gęślą", "locale": "pl" })).await;
    assert_eq!((status.as_u16(), &body["name"], &body["locale"]), (200, &json!("Zażółć Gęślą"), &json!("pl")));
    assert_eq!(change(json!({ "locale": "tlh" })).await.0, 400);
    assert_eq!(server.get("/api/v1/auths/", &user).await.1["locale"], "pl");
    assert_eq!(change(json!({ "locale": null })).await.1["locale"], Value::Null);
    assert_eq!(change(json!({})).await.1["name"], "Zażółć Gęślą");
}
