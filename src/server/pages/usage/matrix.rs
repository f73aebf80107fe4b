//! The table of people and models.

use std::collections::HashMap;

use super::report::{Writer, split_model};
use crate::usage::{ModelUsage, PersonModel, Totals, UserUsage};

/// Columns of models; what further ones cost is in one more.
const MOST_MODELS: usize = 8;

/// The cost of each person with each model, drawn by `usage_report.html`.
pub(super) struct Matrix {
    /// Names and makers of the models.
    pub(super) models: Vec<(String, String)>,
    pub(super) rows: Vec<MatrixRow>,
}

/// The costs of a person, in the order of the models.
pub(super) struct MatrixRow {
    pub(super) name: String,
    /// Empty where the person did not use the model.
    pub(super) costs: Vec<String>,
    pub(super) total: String,
}

impl Matrix {
    /// Makes the table of people and models that were used, in the given order.
    pub(super) fn new(write: &Writer<'_>, groups: &[PersonModel], users: &[UserUsage], models: &[ModelUsage]) -> Self {
        let shown = &models[..models.len().min(MOST_MODELS)];
        let has_others = models.len() > shown.len();
        let columns: HashMap<&str, usize> =
            shown.iter().enumerate().map(|(index, model)| (model.model.as_str(), index)).collect();
        let width = shown.len() + usize::from(has_others);
        let mut cells: HashMap<&str, Vec<Totals>> = HashMap::new();
        for group in groups {
            let column = columns.get(group.model.as_str()).copied().unwrap_or(shown.len());
            let row = cells.entry(group.user_id.as_str()).or_insert_with(|| vec![Totals::default(); width]);
            if let Some(cell) = row.get_mut(column) {
                *cell += &group.totals;
            }
        }
        let cost = |totals: &Totals| if totals.requests == 0 { String::new() } else { write.cost(totals) };
        let rows = users.iter().filter_map(|user| {
            let cells = cells.get(user.user_id.as_str())?;
            let name = if user.name.is_empty() { user.user_id.as_str() } else { &user.name };
            let costs = cells.iter().map(cost).collect();
            Some(MatrixRow { name: name.to_owned(), costs, total: write.cost(&user.totals) })
        });
        let name = |model: &ModelUsage| {
            let (name, maker) = split_model(&model.model);
            (name.to_owned(), maker.to_owned())
        };
        let others = has_others.then(|| (write.t.other_models().to_owned(), String::new()));
        Self { rows: rows.collect(), models: shown.iter().map(name).chain(others).collect() }
    }
}
