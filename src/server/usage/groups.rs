//! The usage of each person with each model, and the sums of it by person and by model.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::report::Totals;
use crate::user::UserId;

/// The totals of a person with a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonModel {
    /// The id of the person.
    pub user_id: UserId,
    /// The model requested.
    pub model: String,
    /// Their totals.
    pub totals: Totals,
}

/// The name of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: UserId,
    /// The name of the person.
    pub name: String,
    /// Their e-mail.
    pub email: String,
    /// True when it was removed.
    pub removed: bool,
}

impl Account {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get::<String, _>("id")?.into(),
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            removed: row.try_get("removed")?,
        })
    }
}

/// The totals of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserUsage {
    /// Their id.
    pub user_id: UserId,
    /// Their name.
    pub name: String,
    /// Their e-mail.
    pub email: String,
    /// True when their account was removed.
    pub removed: bool,
    /// Their totals.
    #[serde(flatten)]
    pub totals: Totals,
}

/// The totals of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelUsage {
    /// The model requested.
    pub model: String,
    /// Its totals.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Returns the totals of everybody with an account, and of others who had any; highest price first.
pub fn by_user(groups: &[PersonModel], accounts: &[Account]) -> Vec<UserUsage> {
    let mut used = sums(groups, |group| &group.user_id);
    let mut users: Vec<UserUsage> = accounts
        .iter()
        .filter_map(|account| {
            let totals = used.remove(&account.id);
            let is_listed = totals.is_some() || !account.removed;
            is_listed.then(|| UserUsage {
                user_id: account.id.clone(),
                name: account.name.clone(),
                email: account.email.clone(),
                removed: account.removed,
                totals: totals.unwrap_or_default(),
            })
        })
        .collect();
    users.extend(used.into_iter().map(|(id, totals)| UserUsage {
        user_id: id.clone(),
        name: String::new(),
        email: String::new(),
        removed: true,
        totals,
    }));
    users.sort_by(|one, other| {
        let by_name = || one.name.to_lowercase().cmp(&other.name.to_lowercase());
        let by_id = || one.user_id.as_str().cmp(other.user_id.as_str());
        highest_first(&one.totals, &other.totals).then_with(by_name).then_with(by_id)
    });
    users
}

/// Returns the totals of each model; highest price first.
pub fn by_model(groups: &[PersonModel]) -> Vec<ModelUsage> {
    let sums = sums(groups, |group| &group.model).into_iter();
    let mut models: Vec<ModelUsage> = sums.map(|(model, totals)| ModelUsage { model: model.clone(), totals }).collect();
    models.sort_by(|one, other| highest_first(&one.totals, &other.totals).then_with(|| one.model.cmp(&other.model)));
    models
}

fn sums<'a, K: Hash + Eq>(groups: &'a [PersonModel], key: impl Fn(&'a PersonModel) -> &'a K) -> HashMap<&'a K, Totals> {
    let mut sums: HashMap<&K, Totals> = HashMap::new();
    for group in groups {
        *sums.entry(key(group)).or_default() += &group.totals;
    }
    sums
}

fn highest_first(one: &Totals, other: &Totals) -> Ordering {
    (other.price, other.total_tokens).cmp(&(one.price, one.total_tokens))
}

#[cfg(test)]
mod tests {
    use mai_openrouter::NanoUsd;

    use super::*;

    #[test]
    fn sums_have_everybody_and_highest_price_first() {
        let group = |user: &str, model: &str, price| PersonModel {
            user_id: UserId::from(user),
            model: model.to_owned(),
            totals: Totals { requests: 1, price: NanoUsd::new(price), ..Totals::default() },
        };
        let account = |id: &str, removed| Account {
            id: UserId::from(id),
            name: format!("name of {id}"),
            email: String::new(),
            removed,
        };
        let groups = [group("a", "x", 1), group("a", "y", 5), group("b", "x", 7), group("gone", "x", 0)];
        let accounts = [account("a", false), account("b", true), account("idle", false), account("left", true)];
        let users = by_user(&groups, &accounts);
        let found: Vec<_> = users.iter().map(|user| (user.user_id.as_str(), user.totals.price.get())).collect();
        assert_eq!(found, [("b", 7), ("a", 6), ("gone", 0), ("idle", 0)]);
        let models = by_model(&groups);
        let found: Vec<_> = models.iter().map(|model| (model.model.as_str(), model.totals.price.get())).collect();
        assert_eq!(found, [("x", 8), ("y", 5)]);
    }
}
