//! The sums of the database, compared with sums made here of every row, after random histories.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Unit};
use proptest::prelude::*;
use sqlx::{Connection, Row, SqliteConnection};

use super::rollup::{prepare, utc_offset};
use crate::database::Database;

/// Requests, tokens, cost, price and unknown costs.
type Sums = [i64; 5];
/// The span and its start, person, model and whether it is billed.
type Group = (String, i64, String, String, i64);

/// A change of the ledger.
#[derive(Debug, Clone)]
enum Step {
    /// A generation begins, so many minutes after the first of March.
    Begin { minutes: i64, person: u8, model: u8, billed: bool },
    /// The generation with this number (or one of the others) ends, with a cost or without.
    End { number: usize, cost: Option<i64> },
    /// The upstream's record of one tells its cost.
    Settle { number: usize, cost: i64 },
    /// A settled one is corrected by a row of its own.
    Correct { number: usize, cost: i64 },
    /// The time zone of the client changes.
    MoveTo { zone: &'static str },
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..40_usize;
    // A year, in which clocks change and months end.
    let begin = (0..525_600_i64, 0..3_u8, 0..3_u8, any::<bool>());
    prop_oneof![
        4 => begin.prop_map(|(minutes, person, model, billed)| Step::Begin { minutes, person, model, billed }),
        3 => (number.clone(), proptest::option::of(0..9_000_000_000_i64)).prop_map(|(number, cost)| Step::End { number, cost }),
        2 => (number.clone(), 0..9_000_000_000_i64).prop_map(|(number, cost)| Step::Settle { number, cost }),
        1 => (number, -900_i64..900).prop_map(|(number, cost)| Step::Correct { number, cost }),
        1 => proptest::sample::select(&["Europe/Warsaw", "Asia/Kolkata", "America/Sao_Paulo"][..])
            .prop_map(|zone| Step::MoveTo { zone }),
    ]
}

async fn apply(db: &Database, connection: &mut SqliteConnection, zone: &mut &'static str, index: usize, step: &Step) {
    let price = |cost: i64| cost * 13 / 10;
    let first = "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap();
    let query = match step {
        Step::Begin { minutes, person, model, billed } => {
            let at = first + minutes.minutes();
            sqlx::query(
                "INSERT INTO generation (id, user_id, model, started_at, status, streamed, via, billed, utc_offset)
                 VALUES (?, ?, ?, ?, 'pending', 0, 'api', ?, ?)",
            )
            .bind(format!("{index:04}"))
            .bind(format!("person {person}"))
            .bind(format!("model {model}"))
            .bind(at.as_millisecond())
            .bind(billed)
            .bind(utc_offset(&TimeZone::get(zone).unwrap(), at))
        }
        Step::End { number, cost } => sqlx::query(
            "UPDATE generation SET status = 'completed', total_tokens = 7, cost_nano_usd = ?2, price_nano_usd = ?3,
                 settled_at = iif(?2 IS NULL, NULL, 1)
             WHERE status = 'pending' AND id = ?1",
        )
        .bind(format!("{number:04}"))
        .bind(cost)
        .bind(cost.map(price)),
        Step::Settle { number, cost } => sqlx::query(
            "UPDATE generation SET total_tokens = 9, cost_nano_usd = ?2, price_nano_usd = ?3, settled_at = 2
             WHERE status <> 'pending' AND settled_at IS NULL AND id = ?1",
        )
        .bind(format!("{number:04}"))
        .bind(cost)
        .bind(price(*cost)),
        Step::Correct { number, cost } => sqlx::query(
            "INSERT INTO generation (id, user_id, model, started_at, status, streamed, via, billed, utc_offset, corrects,
                 cost_nano_usd, price_nano_usd, settled_at)
             SELECT ?2, user_id, model, started_at, 'completed', 0, via, billed, utc_offset, id, ?3, ?4, 3
             FROM generation WHERE settled_at IS NOT NULL AND id = ?1",
        )
        .bind(format!("{number:04}"))
        .bind(format!("correction {index}"))
        .bind(cost)
        .bind(price(*cost)),
        Step::MoveTo { zone: other } => {
            *zone = other;
            return prepare(db, other, &TimeZone::get(other).unwrap()).await.unwrap();
        }
    };
    query.execute(connection).await.unwrap();
}

/// Returns the sums of every row that has ended, by clocks of this zone.
async fn sums_of_rows(connection: &mut SqliteConnection, zone: &str) -> BTreeMap<Group, Sums> {
    let zone = TimeZone::get(zone).unwrap();
    let rows = sqlx::query("SELECT * FROM generation WHERE status <> 'pending'").fetch_all(connection).await.unwrap();
    let mut sums: BTreeMap<Group, Sums> = BTreeMap::new();
    for row in rows {
        let at = Timestamp::from_millisecond(row.get("started_at")).unwrap().to_zoned(zone.clone());
        let day = i64::from((at.date() - jiff::civil::date(1970, 1, 1)).get_days());
        let hour = at.timestamp() - i64::from(at.minute()).minutes();
        let hour = hour.round(Unit::Minute).unwrap().as_millisecond();
        let number = |name| row.get::<Option<i64>, _>(name);
        let added = [
            i64::from(row.get::<Option<String>, _>("corrects").is_none()),
            number("total_tokens").unwrap_or(0),
            number("cost_nano_usd").unwrap_or(0),
            number("price_nano_usd").unwrap_or(0),
            i64::from(number("cost_nano_usd").is_none()),
        ];
        for (span, start) in [("hour", hour), ("day", day)] {
            let group = (span.to_owned(), start, row.get("user_id"), row.get("model"), row.get("billed"));
            let sum = sums.entry(group).or_default();
            sum.iter_mut().zip(added).for_each(|(sum, added)| *sum += added);
        }
    }
    sums
}

async fn sums_of_database(connection: &mut SqliteConnection) -> BTreeMap<Group, Sums> {
    let rows = sqlx::query("SELECT * FROM usage_rollup").fetch_all(connection).await.unwrap();
    let columns = ["requests", "total_tokens", "cost_nano_usd", "price_nano_usd", "unknown_cost"];
    rows.iter()
        .map(|row| {
            let group = (row.get("span"), row.get("start"), row.get("user_id"), row.get("model"), row.get("billed"));
            (group, columns.map(|name| row.get(name)))
        })
        .collect()
}

async fn check(steps: Vec<Step>) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mai.db");
    let db = Database::open(&file).await.unwrap();
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    let mut zone = "Europe/Warsaw";
    apply(&db, &mut connection, &mut zone, 0, &Step::MoveTo { zone: "Europe/Warsaw" }).await;
    for (index, step) in steps.iter().enumerate() {
        apply(&db, &mut connection, &mut zone, index, step).await;
    }
    let expected = sums_of_rows(&mut connection, zone).await;
    let mut found = sums_of_database(&mut connection).await;
    // A group from which everything was taken away stays, with nothing in it.
    found.retain(|_, sums| *sums != [0; 5]);
    assert_eq!(found, expected, "{zone}");
    db.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn sums_equal_the_rows_after_any_history(steps in proptest::collection::vec(step(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(check(steps));
    }
}

#[tokio::test]
async fn settled_generation_does_not_change() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mai.db");
    let db = Database::open(&file).await.unwrap();
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    sqlx::query(
        "INSERT INTO generation (id, user_id, model, started_at, status, streamed, via, cost_nano_usd, price_nano_usd, settled_at)
         VALUES ('a', 'u', 'm', 1, 'completed', 0, 'api', 5, 6, 2)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    for change in ["cost_nano_usd = 4", "price_nano_usd = 7", "total_tokens = 1", "user_id = 'v'", "settled_at = NULL"]
    {
        let outcome =
            sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE generation SET {change}"))).execute(&mut connection).await;
        assert!(outcome.unwrap_err().to_string().contains("a settled generation does not change"), "{change}");
    }
    db.close().await;
}
