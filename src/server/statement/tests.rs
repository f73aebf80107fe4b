//! All statements together are the ledger, after random histories; and no statement changes.

#![allow(clippy::unwrap_used)]

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use mai_contract::statement::{Amounts, StatementReport};
use mai_openrouter::NanoUsd;
use proptest::prelude::*;

use super::freeze::freeze;
use super::{Audience, Statements, csv};
use crate::database::Database;
use crate::rates::Rates;
use crate::usage::{Month, prepare};

/// A change of the ledger, or of time.
#[derive(Debug, Clone)]
enum Step {
    /// A generation, so many minutes after the first of March, ends with a cost or without.
    End { minutes: i64, person: u8, model: u8, billed: bool, cost: Option<i64> },
    /// The cost of the generation with this number becomes known.
    Settle { number: usize, cost: i64 },
    /// A settled generation is corrected by a row of its own.
    Correct { number: usize, cost: i64 },
    /// The next month is closed.
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..40_usize;
    let cost = 0..9_000_000_000_i64;
    let end = (0..4 * 30 * 24 * 60_i64, 0..3_u8, 0..3_u8, any::<bool>(), proptest::option::of(cost.clone()));
    prop_oneof![
        6 => end.prop_map(|(minutes, person, model, billed, cost)| Step::End { minutes, person, model, billed, cost }),
        2 => (number.clone(), cost).prop_map(|(number, cost)| Step::Settle { number, cost }),
        1 => (number, -900_i64..900).prop_map(|(number, cost)| Step::Correct { number, cost }),
        1 => Just(Step::Close),
    ]
}

fn warsaw() -> TimeZone {
    TimeZone::get("Europe/Warsaw").unwrap()
}

async fn write(db: &Database, statement: &'static str, texts: Vec<String>, numbers: Vec<Option<i64>>) {
    db.write(move |connection| {
        Box::pin(async move {
            let mut query = sqlx::query(statement);
            for text in texts {
                query = query.bind(text);
            }
            for number in numbers {
                query = query.bind(number);
            }
            query.execute(connection).await?;
            Ok(())
        })
    })
    .await
    .unwrap();
}

async fn apply(db: &Database, index: usize, step: &Step) {
    let price = |cost: i64| cost * 13 / 10;
    match step {
        Step::End { minutes, person, model, billed, cost } => {
            let at = "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap() + minutes.minutes();
            let offset = warsaw().to_offset(at).seconds();
            write(
                db,
                "INSERT INTO generation (id, user_id, model, started_at, status, streamed, via, billed, utc_offset,
                     total_tokens, prompt_tokens, completion_tokens, cost_nano_usd, price_nano_usd, settled_at)
                 VALUES (?1, ?2, ?3, ?4, 'completed', 0, 'api', ?5, ?6, 7, 3, 4, ?7, ?8, iif(?7 IS NULL, NULL, 1))",
                vec![format!("{index:04}"), format!("person {person}"), format!("model {model}")],
                vec![
                    Some(at.as_millisecond()),
                    Some(i64::from(*billed)),
                    Some(i64::from(offset)),
                    *cost,
                    cost.map(price),
                ],
            )
            .await;
        }
        Step::Settle { number, cost } => {
            write(
                db,
                "UPDATE generation SET cost_nano_usd = ?2, price_nano_usd = ?3, settled_at = 2
                 WHERE settled_at IS NULL AND id = ?1",
                vec![format!("{number:04}")],
                vec![Some(*cost), Some(price(*cost))],
            )
            .await;
        }
        Step::Correct { number, cost } => {
            write(
                db,
                "INSERT INTO generation (id, user_id, model, started_at, status, streamed, via, billed, utc_offset,
                     cost_nano_usd, price_nano_usd, settled_at, corrects)
                 SELECT ?1, user_id, model, started_at, status, streamed, via, billed, utc_offset, ?3, ?3, 3, id
                 FROM generation WHERE settled_at IS NOT NULL AND corrects IS NULL AND id = ?2",
                vec![format!("{index:04}"), format!("{number:04}")],
                vec![Some(*cost)],
            )
            .await;
        }
        Step::Close => {}
    }
}

/// Requests, tokens, unknown costs, cost and price.
type Sums = [i64; 5];

fn sums(amounts: &Amounts) -> Sums {
    let cost = amounts.cost_nano_usd.unwrap();
    [amounts.requests, amounts.total_tokens, amounts.unknown_cost, cost, amounts.price_nano_usd]
}

fn add<'a>(amounts: impl Iterator<Item = &'a Amounts>) -> Sums {
    amounts.map(sums).fold(Sums::default(), |sum, other| std::array::from_fn(|index| sum[index] + other[index]))
}

/// Checks that a statement adds up in each of its forms.
fn assert_adds_up(report: &StatementReport) {
    let lines = |billed: bool| report.lines.iter().filter(move |line| line.billed == billed);
    assert_eq!(sums(&report.total), add(lines(true).map(|line| &line.amounts)));
    assert_eq!(sums(&report.total), add([&report.usage, &report.corrections].into_iter()));
    assert_eq!(sums(&report.own_connection), add(lines(false).map(|line| &line.amounts)));
    assert_eq!(sums(&report.usage), add(report.people.iter().map(|person| &person.amounts)));
    assert_eq!(sums(&report.usage), add(report.models.iter().map(|model| &model.amounts)));

    let table = csv(report, Audience::Provider);
    let mut rows = table.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let names = rows.next().unwrap();
    let column = |name: &str| names.iter().position(|column| *column == name).unwrap();
    let mut written = [0; 3];
    let columns = ["price_usd", "cost_usd", "margin_usd"].map(column);
    for row in rows {
        let numbers = columns.map(|column| row[column].parse::<NanoUsd>().unwrap().get());
        match row[0] {
            "total" => assert_eq!(numbers, written),
            "own_connection" => {}
            _ => written = std::array::from_fn(|index| written[index] + numbers[index]),
        }
    }
    let total = &report.total;
    let expected = [total.price_nano_usd, total.cost_nano_usd.unwrap(), total.margin_nano_usd.unwrap()];
    assert_eq!(written, expected);
}

async fn ledger(db: &Database, billed: bool) -> Sums {
    let (requests, tokens, unknown, cost, price) = sqlx::query_as::<_, (i64, i64, i64, i64, i64)>(
        "SELECT count(CASE WHEN corrects IS NULL THEN 1 END), coalesce(sum(total_tokens), 0),
             count(CASE WHEN cost_nano_usd IS NULL THEN 1 END), coalesce(sum(cost_nano_usd), 0),
             coalesce(sum(price_nano_usd), 0)
         FROM generation WHERE billed = ?",
    )
    .bind(billed)
    .fetch_one(db.reader())
    .await
    .unwrap();
    [requests, tokens, unknown, cost, price]
}

async fn check(steps: Vec<Step>) {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path().join("mai.db")).await.unwrap();
    prepare(&db, "Europe/Warsaw", &warsaw()).await.unwrap();
    let rates = Rates::load(&db, warsaw(), Vec::new()).await.unwrap();
    let statements = Statements::new(&db, &rates, warsaw());
    let mut month: Month = "2026-02".parse().unwrap();
    let mut frozen: Vec<(Month, StatementReport)> = Vec::new();
    // However many months a history closes by itself, all of it lies before the last closing.
    for (index, step) in steps.iter().chain(std::iter::repeat_n(&Step::Close, 7)).enumerate() {
        apply(&db, index, step).await;
        if matches!(step, Step::Close) {
            month = month.next();
            let now = Timestamp::from_second(1_800_000_000).unwrap();
            assert!(freeze(&db, month, &warsaw(), now).await.unwrap());
            assert!(!freeze(&db, month, &warsaw(), now).await.unwrap());
            frozen.push((month, statements.of(month, Audience::Provider).await.unwrap()));
        }
    }
    let (mut billed, mut own) = (Vec::new(), Vec::new());
    for (month, report) in &frozen {
        assert_adds_up(report);
        assert_eq!(&statements.of(*month, Audience::Provider).await.unwrap(), report, "a statement has changed");
        billed.push(&report.total);
        own.push(&report.own_connection);
    }
    assert_eq!(add(billed.into_iter()), ledger(&db, true).await);
    assert_eq!(add(own.into_iter()), ledger(&db, false).await);
    db.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn statements_are_the_ledger_after_any_history(steps in proptest::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(steps));
    }
}

#[tokio::test]
async fn statement_is_frozen_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path().join("mai.db")).await.unwrap();
    prepare(&db, "Europe/Warsaw", &warsaw()).await.unwrap();
    let step = Step::End { minutes: 5, person: 1, model: 1, billed: true, cost: Some(7) };
    apply(&db, 0, &step).await;
    let month: Month = "2026-03".parse().unwrap();

    // Whatever fails after the first row leaves nothing.
    write(
        &db,
        "CREATE TRIGGER broken BEFORE INSERT ON statement_seat BEGIN SELECT raise(ABORT, 'x'); END",
        vec![],
        vec![],
    )
    .await;
    assert!(freeze(&db, month, &warsaw(), Timestamp::UNIX_EPOCH).await.is_err());
    let rows = "SELECT (SELECT count(*) FROM statement) + (SELECT count(*) FROM statement_line)";
    assert_eq!(sqlx::query_scalar::<_, i64>(rows).fetch_one(db.reader()).await.unwrap(), 0);
    write(&db, "DROP TRIGGER broken", vec![], vec![]).await;
    assert!(freeze(&db, month, &warsaw(), Timestamp::UNIX_EPOCH).await.unwrap());
    // A clock that was set back closes no former month.
    assert!(!freeze(&db, month.previous(), &warsaw(), Timestamp::UNIX_EPOCH).await.unwrap());

    for statement in [
        "UPDATE statement_line SET price_nano_usd = 0",
        "DELETE FROM statement_seat",
        "DELETE FROM statement",
        "INSERT INTO statement_seat (month, day, user_id) VALUES ('2026-03', 1, 'x')",
    ] {
        let refused = db.write(move |connection| {
            Box::pin(async move {
                sqlx::query(statement).execute(connection).await?;
                Ok(())
            })
        });
        assert!(refused.await.is_err(), "{statement}");
    }
}
