//! CPU and memory of a Compose file, in the units of a document.

use serde_json::{Map, Value, json};

use super::project::text;

/// Returns `resources` of the document.
pub(super) fn resources(service: &Value) -> Value {
    let declared = &service["deploy"]["resources"];
    let amount = |cpu: &Value, memory: &Value| {
        let mut amounts = Map::new();
        amounts.extend(text(cpu).map(|cpu| ("cpu".to_owned(), json!(cpu))));
        amounts.extend(text(memory).map(|memory| ("memory".to_owned(), json!(binary(&memory)))));
        amounts
    };
    let either = |a: &Value, b: &Value| if a.is_null() { b.clone() } else { a.clone() };
    let limits = amount(
        &either(&declared["limits"]["cpus"], &service["cpus"]),
        &either(&declared["limits"]["memory"], &service["mem_limit"]),
    );
    let requests = amount(
        &declared["reservations"]["cpus"],
        &either(&declared["reservations"]["memory"], &service["mem_reservation"]),
    );
    let mut resources = Map::new();
    for (name, amounts) in [("limits", limits), ("requests", requests)] {
        if !amounts.is_empty() {
            resources.insert(name.to_owned(), Value::Object(amounts));
        }
    }
    Value::Object(resources)
}

/// Docker's `4G`, `4gb` and `512m` are powers of 1024; a document writes those as Gi and Mi.
fn binary(amount: &str) -> String {
    let end = amount.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(amount.len());
    let (number, unit) = amount.split_at(end);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" => "Ki",
        "m" | "mb" => "Mi",
        "g" | "gb" => "Gi",
        "" | "b" => "",
        _ => return amount.to_owned(),
    };
    format!("{number}{unit}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn dockers_units_are_powers_of_1024() {
        for (docker, ours) in [("4G", "4Gi"), ("512m", "512Mi"), ("1gb", "1Gi"), ("100", "100"), ("2Gi", "2Gi")] {
            assert_eq!(super::binary(docker), ours);
        }
    }
}
