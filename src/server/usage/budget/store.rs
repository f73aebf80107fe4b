//! Budgets in the database, and what was spent and reserved before the start of this server.

use jiff::{Timestamp, ToSpan};
use mai_openrouter::NanoUsd;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::definition::{Budget, BudgetAmount, BudgetPeriod, BudgetScope};
use super::spending::{PeriodSpending, Reservation, Spending};
use crate::database::{Database, DatabaseError};
use crate::usage::period::number_of;
use crate::usage::pricing::{Millionths, Pricing};
use crate::zloty::{Mid, Pln};

/// Time after which nothing is reserved any more for a generation whose cost was not found.
pub(in crate::usage) const LONGEST_RESERVATION_MS: i64 = 24 * 60 * 60 * 1000;

/// Reads all budgets.
pub(super) async fn load(db: &Database) -> Result<Vec<Budget>, DatabaseError> {
    let rows = sqlx::query("SELECT * FROM budget ORDER BY scope, subject, period").fetch_all(db.reader()).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

fn read(row: &SqliteRow) -> Result<Budget, sqlx::Error> {
    let unknown = |column: &str| sqlx::Error::Decode(format!("unknown {column} of a budget").into());
    let set_at = row.try_get::<Option<i64>, _>("pln_rate_millionths")?.and_then(Mid::from_millionths);
    let amount = |column| {
        let amount: i64 = row.try_get(column)?;
        Ok::<_, sqlx::Error>(match set_at {
            Some(set_at) => BudgetAmount::Pln { amount: Pln::new(amount), set_at },
            None => BudgetAmount::Usd(NanoUsd::new(amount)),
        })
    };
    let raised_for = row.try_get::<Option<String>, _>("raised_for")?.and_then(|day| day.parse().ok());
    let columns =
        if set_at.is_some() { ["limit_groszy", "raised_groszy"] } else { ["limit_nano_usd", "raised_nano_usd"] };
    let [limit, raised] = [amount(columns[0])?, amount(columns[1])?];
    Ok(Budget {
        id: row.try_get("id")?,
        scope: BudgetScope::parse(row.try_get("scope")?).ok_or_else(|| unknown("scope"))?,
        subject: row.try_get("subject")?,
        period: BudgetPeriod::parse(row.try_get("period")?).ok_or_else(|| unknown("period"))?,
        limit,
        hard: row.try_get("hard")?,
        raised: raised_for.map(|day| (raised, day)),
    })
}

/// Inserts a budget, or changes the one with the same scope, subject and period.
pub(super) async fn save(connection: &mut SqliteConnection, budget: &Budget, now: i64) -> Result<(), DatabaseError> {
    let raised = budget.raised.map(|(amount, _)| amount);
    let [limit_groszy, raised_groszy] = [Some(budget.limit), raised].map(|amount| match amount? {
        BudgetAmount::Usd(_) => None,
        BudgetAmount::Pln { amount, .. } => Some(amount.groszy()),
    });
    sqlx::query(
        "INSERT OR REPLACE INTO budget (id, scope, subject, period, limit_nano_usd, hard, raised_nano_usd, raised_for,
             limit_groszy, raised_groszy, pln_rate_millionths, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(budget.id.as_str())
    .bind(budget.scope.as_str())
    .bind(budget.subject.as_str())
    .bind(budget.period.as_str())
    .bind(budget.limit.usd(None).get())
    .bind(budget.hard)
    .bind(raised.map_or(0, |amount| amount.usd(None).get()))
    .bind(budget.raised.map(|(_, day)| day.to_string()))
    .bind(limit_groszy)
    .bind(raised_groszy.unwrap_or_default())
    .bind(budget.limit.rate(None).map(Mid::millionths))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes a budget.
pub(super) async fn remove(connection: &mut SqliteConnection, id: &str) -> Result<(), DatabaseError> {
    sqlx::query("DELETE FROM budget WHERE id = ?").bind(id).execute(connection).await?;
    Ok(())
}

/// Returns true where the account or API key exists.
pub(super) async fn has_subject(db: &Database, scope: BudgetScope, subject: &str) -> Result<bool, DatabaseError> {
    let query = match scope {
        BudgetScope::Company => return Ok(true),
        _ if subject.is_empty() => return Ok(true),
        BudgetScope::Person => "SELECT count(*) FROM user WHERE id = ? AND deleted_at IS NULL",
        BudgetScope::Key => "SELECT count(*) FROM api_key WHERE id = ?",
    };
    let found: i64 = sqlx::query_scalar(query).bind(subject).fetch_one(db.reader()).await?;
    Ok(found > 0)
}

/// Adds to the current day and month what the sums and rows of the database hold of them.
pub(super) async fn load_spending(db: &Database, spending: &mut Spending) -> Result<(), DatabaseError> {
    for period in [&mut spending.day, &mut spending.month] {
        load_sums(db, period).await?;
    }
    for (_, reservation) in reservations(db).await? {
        spending.reserve(&reservation);
    }
    Ok(())
}

async fn load_sums(db: &Database, period: &mut PeriodSpending) -> Result<(), DatabaseError> {
    let rows = sqlx::query(
        "SELECT user_id, api_key_id, sum(price_nano_usd) AS price, sum(iif(billed = 1, cost_nano_usd, 0)) AS cost
         FROM usage_rollup WHERE span = 'day' AND start >= ? AND start < ? GROUP BY user_id, api_key_id",
    )
    .bind(number_of(period.first_day()))
    .bind(number_of(period.next_first_day()))
    .fetch_all(db.reader())
    .await?;
    for row in rows {
        let amount = |name| Ok::<_, sqlx::Error>(NanoUsd::new(row.try_get(name)?));
        period.add_spent(row.try_get("user_id")?, row.try_get("api_key_id")?, amount("price")?, amount("cost")?);
    }
    Ok(())
}

/// Returns the generations for which something is reserved, oldest first.
pub(in crate::usage) async fn reservations(db: &Database) -> Result<Vec<(String, Reservation)>, DatabaseError> {
    let rows = sqlx::query(
        "SELECT id, user_id, api_key_id, started_at, reserved_nano_usd, billed, markup_ppm, credit_fee_ppm
         FROM generation WHERE reserved_nano_usd IS NOT NULL AND settled_at IS NULL ORDER BY started_at",
    )
    .fetch_all(db.reader())
    .await?;
    Ok(rows.iter().map(|row| Ok((row.try_get("id")?, reservation(row)?))).collect::<Result<_, sqlx::Error>>()?)
}

/// Reads the reservation of a generation from its row.
pub(in crate::usage) fn reservation(row: &SqliteRow) -> Result<Reservation, sqlx::Error> {
    let pricing = Pricing {
        markup: Millionths::new(row.try_get("markup_ppm")?),
        credit_fee: Millionths::new(row.try_get("credit_fee_ppm")?),
    };
    let cost = NanoUsd::new(row.try_get::<Option<i64>, _>("reserved_nano_usd")?.unwrap_or_default());
    let started_at = Timestamp::from_millisecond(row.try_get("started_at")?);
    Ok(Reservation::new(
        row.try_get("user_id")?,
        row.try_get::<Option<String>, _>("api_key_id")?.map(Into::into),
        started_at.unwrap_or(Timestamp::UNIX_EPOCH),
        cost,
        pricing,
        row.try_get("billed")?,
    ))
}

/// Returns the moment before which reservations have ended.
pub(in crate::usage) fn oldest_reservation(now: Timestamp) -> Timestamp {
    now.checked_sub(LONGEST_RESERVATION_MS.milliseconds()).unwrap_or(Timestamp::UNIX_EPOCH)
}
