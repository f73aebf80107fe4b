//! The migrations, in their order. A published one never changes.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// The number, name and SQL of each step. The database records number and name.
const STEPS: [(i64, &str, &str); 5] = [
    (1, "accounts", include_str!("migrations/0001_accounts.sql")),
    (10, "usage", include_str!("migrations/0010_usage.sql")),
    (11, "chats", include_str!("migrations/0011_chats.sql")),
    (12, "failures", include_str!("migrations/0012_failures.sql")),
    (20, "nano_usd", include_str!("migrations/0020_nano_usd.sql")),
];

pub(super) fn all() -> Migrator {
    let step = |(number, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(STEPS.map(step).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::STEPS;

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
}
