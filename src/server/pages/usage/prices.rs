//! The prices of the models that were used, as the client is billed.

use mai_openrouter::NanoUsd;

use super::report::split_model;
use super::texts::UsageTexts;
use crate::models::Catalogue;
use crate::pages::layout::Layout;
use crate::usage::Pricing;

/// A row of the price list.
pub(super) struct PriceRow {
    pub(super) name: String,
    pub(super) maker: String,
    /// Of a million tokens of a question, and of an answer.
    pub(super) prices: [String; 2],
}

impl PriceRow {
    /// `pricing` makes what the client is billed of what the upstream lists.
    pub(super) fn new(layout: &Layout, model: &str, catalogue: &Catalogue, pricing: Pricing) -> Self {
        let t = UsageTexts(layout.locale);
        let (name, maker) = split_model(model);
        let listed = catalogue.price(model).map(|price| price.per_million());
        let word = |price: NanoUsd| {
            if price == NanoUsd::ZERO { t.free().to_owned() } else { layout.locale.usd(pricing.price(price)) }
        };
        Self {
            name: name.to_owned(),
            maker: maker.to_owned(),
            prices: listed
                .map_or_else(|| [t.unknown_cell(), t.unknown_cell()].map(str::to_owned), |both| both.map(word)),
        }
    }
}
