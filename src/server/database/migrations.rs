//! The migrations, in their order. A published one never changes.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// The number, name and SQL of each step. The database records number and name.
const STEPS: [(i64, &str, &str); 17] = [
    (1, "accounts", include_str!("migrations/0001_accounts.sql")),
    (10, "usage", include_str!("migrations/0010_usage.sql")),
    (11, "chats", include_str!("migrations/0011_chats.sql")),
    (12, "failures", include_str!("migrations/0012_failures.sql")),
    (20, "nano_usd", include_str!("migrations/0020_nano_usd.sql")),
    (21, "search", include_str!("migrations/0021_search.sql")),
    (22, "key_scopes", include_str!("migrations/0022_key_scopes.sql")),
    (23, "audit", include_str!("migrations/0023_audit.sql")),
    (24, "generation_connection", include_str!("migrations/0024_generation_connection.sql")),
    (25, "prices", include_str!("migrations/0025_prices.sql")),
    (26, "budgets", include_str!("migrations/0026_budgets.sql")),
    (27, "rates", include_str!("migrations/0027_rates.sql")),
    (28, "statements", include_str!("migrations/0028_statements.sql")),
    (29, "budgets_in_pln", include_str!("migrations/0029_budgets_in_pln.sql")),
    (30, "direct_sums", include_str!("migrations/0030_direct_sums.sql")),
    (31, "account_links", include_str!("migrations/0031_account_links.sql")),
    (33, "imports", include_str!("migrations/0033_imports.sql")),
];

pub(super) fn all() -> Migrator {
    migrator(&STEPS)
}

fn migrator(steps: &[(i64, &'static str, &'static str)]) -> Migrator {
    let step = |(number, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(steps.iter().copied().map(step).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sqlx::{Connection, SqliteConnection};

    use super::{STEPS, all, migrator};

    #[test]
    fn every_file_in_the_directory_is_a_step() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/database/migrations");
        let mut files: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort_unstable();
        assert_eq!(files, STEPS.map(|(number, name, _)| format!("{number:04}_{name}.sql")));
    }

    #[tokio::test]
    async fn keys_of_earlier_versions_keep_chat_and_usage() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrator(&STEPS[..5]).run(&mut connection).await.unwrap();
        for statement in [
            "INSERT INTO user (id, name, email, role, password_hash, created_at, updated_at)
             VALUES ('u', 'Ann', 'ann@example.com', 'admin', '', 1, 1)",
            "INSERT INTO api_key (id, user_id, name, key_hash, hint, created_at) VALUES ('k', 'u', 'old', x'00', 'abcd', 1)",
            "INSERT INTO session (token_hash, user_id, created_at, last_seen_at, expires_at) VALUES (x'00', 'u', 1, 1, 2)",
        ] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        all().run(&mut connection).await.unwrap();
        let key: (String, Option<i64>) =
            sqlx::query_as("SELECT scopes, expires_at FROM api_key").fetch_one(&mut connection).await.unwrap();
        assert_eq!(key, ("chat usage".to_owned(), None));
        let confirmed: Option<i64> =
            sqlx::query_scalar("SELECT confirmed_at FROM session").fetch_one(&mut connection).await.unwrap();
        assert_eq!(confirmed, None);
    }

    #[tokio::test]
    async fn costs_of_earlier_versions_become_nano_usd() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrator(&STEPS[..4]).run(&mut connection).await.unwrap();
        for (id, cost) in [("1", Some(41)), ("2", Some(0)), ("3", None), ("4", Some(i64::MAX)), ("5", Some(-5))] {
            sqlx::query(
                "INSERT INTO generation (id, user_id, model, started_at, status, streamed, via, cost_micro_usd)
                 VALUES (?, 'u', 'm', 1, 'completed', 0, 'api', ?)",
            )
            .bind(id)
            .bind(cost)
            .execute(&mut connection)
            .await
            .unwrap();
        }
        all().run(&mut connection).await.unwrap();
        let costs: Vec<(Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT cost_nano_usd, cost_micro_usd FROM generation ORDER BY id")
                .fetch_all(&mut connection)
                .await
                .unwrap();
        assert_eq!(
            costs,
            [(Some(41_000), Some(41)), (Some(0), Some(0)), (None, None), (None, None), (None, None)],
            "a cost that no answer has is unknown"
        );
    }
}
