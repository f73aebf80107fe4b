//! The rows of rates.

use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::rate::{Rate, RateSource};
use super::table::RateTable;
use crate::database::{Database, DatabaseError};
use crate::usage::Month;
use crate::zloty::Mid;

/// Reads all rates that are known.
pub(super) async fn load(db: &Database) -> Result<RateTable, DatabaseError> {
    let mut table = RateTable::default();
    let rates = "SELECT date, source, table_number, mid_millionths FROM exchange_rate";
    for row in &sqlx::query(rates).fetch_all(db.reader()).await? {
        if let Some(rate) = rate(row)? {
            table.add(rate);
        }
    }
    let frozen = "SELECT month, date, source, table_number, mid_millionths FROM month_rate";
    for row in &sqlx::query(frozen).fetch_all(db.reader()).await? {
        let month: Option<Month> = row.try_get::<String, _>("month")?.parse().ok();
        if let (Some(month), Some(rate)) = (month, rate(row)?) {
            table.freeze(month, rate);
        }
    }
    Ok(table)
}

/// Reads a row; `None` for one that somebody edited into nonsense.
fn rate(row: &SqliteRow) -> Result<Option<Rate>, sqlx::Error> {
    let date: Option<Date> = row.try_get::<String, _>("date")?.parse().ok();
    let source = RateSource::parse(row.try_get("source")?);
    let mid = Mid::from_millionths(row.try_get("mid_millionths")?);
    let number = row.try_get("table_number")?;
    let parts = date.zip(source).zip(mid);
    Ok(parts.map(|((date, source), mid)| Rate { date, source, number, mid }))
}

/// Writes a rate. A later one of the same day and source replaces it.
pub(super) async fn save(connection: &mut SqliteConnection, rate: &Rate) -> Result<(), DatabaseError> {
    sqlx::query(
        "INSERT INTO exchange_rate (date, source, table_number, mid_millionths, noted_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET table_number = excluded.table_number, mid_millionths = excluded.mid_millionths,
             noted_at = excluded.noted_at",
    )
    .bind(rate.date.to_string())
    .bind(rate.source.as_str())
    .bind(&rate.number)
    .bind(rate.mid.millionths())
    .bind(Timestamp::now().as_millisecond())
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the rates that a former document declared.
pub(super) async fn remove_declared(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    sqlx::query("DELETE FROM exchange_rate WHERE source = 'document'").execute(connection).await?;
    Ok(())
}

/// Gives a closed month its rate. One that it has stays.
pub(super) async fn freeze(connection: &mut SqliteConnection, month: Month, rate: &Rate) -> Result<(), DatabaseError> {
    sqlx::query(
        "INSERT INTO month_rate (month, date, source, table_number, mid_millionths, frozen_at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING",
    )
    .bind(month.to_string())
    .bind(rate.date.to_string())
    .bind(rate.source.as_str())
    .bind(&rate.number)
    .bind(rate.mid.millionths())
    .bind(Timestamp::now().as_millisecond())
    .execute(connection)
    .await?;
    Ok(())
}
