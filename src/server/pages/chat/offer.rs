//! The models a question can be put to, or the reason why there are none.

use super::texts::ChatTexts;
use crate::{
    connection::Connections,
    database::Database,
    models::Models,
    pages::{error_page::ErrorPage, layout::Layout, upstream_problem},
    users::{self, Role},
};

/// The reason why nothing can be asked, drawn by `unavailable.html`.
pub(super) struct Unavailable {
    pub(super) title: String,
    pub(super) lead: String,
    /// True when the reader may open the connection page.
    pub(super) link: bool,
}

/// An option of the model menu.
pub(super) struct ModelChoice {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) chosen: bool,
}

/// Returns the models on offer, with `wanted` or else the first one chosen, or the reason why there
/// are none.
pub(super) async fn offer(
    db: &Database,
    models: &Models,
    connections: &Connections,
    layout: &Layout,
    wanted: Option<String>,
) -> Result<(Vec<ModelChoice>, Option<Unavailable>), ErrorPage> {
    let t = ChatTexts(layout.locale);
    let catalogue = models.list().await;
    let wanted = wanted.filter(|wanted| catalogue.models().iter().any(|model| model.id == *wanted));
    let choices: Vec<ModelChoice> = catalogue
        .models()
        .iter()
        .enumerate()
        .map(|(index, model)| ModelChoice {
            id: model.id.clone(),
            name: model.label.clone(),
            chosen: wanted.as_ref().map_or(index == 0, |wanted| *wanted == model.id),
        })
        .collect();
    if !choices.is_empty() {
        return Ok((choices, None));
    }
    let link = layout.is_admin();
    let (title, lead) = if connections.current().is_configured() {
        let lead = match catalogue.problem() {
            Some(problem) if link => upstream_problem::upstream_sentence(problem, layout.locale),
            _ => t.no_models().to_owned(),
        };
        (t.models_unknown(), lead)
    } else if link {
        (t.not_connected(), t.not_connected_admin().to_owned())
    } else {
        (t.not_connected(), t.not_connected_user(&admin_names(db, layout).await?))
    };
    Ok((choices, Some(Unavailable { title: title.to_owned(), lead, link })))
}

async fn admin_names(db: &Database, layout: &Layout) -> Result<String, ErrorPage> {
    let users = layout.check(users::all(db).await)?;
    let admins: Vec<&str> = users
        .iter()
        .filter(|user| user.role == Role::Admin && user.deleted_at.is_none())
        .map(|user| user.name.as_str())
        .collect();
    Ok(admins.join(", "))
}
