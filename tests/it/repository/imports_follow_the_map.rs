//! Rooms import only what the table in `docs/architecture.md` allows, without circles, and literals
//! of the contract stand once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Crates that are rooms of their own.
const CRATES: [&str; 6] = ["backup", "contract", "listener", "openrouter", "ownership", "server"];

/// Files of the server's crate that put its rooms together, so they may import all of them.
const ASSEMBLY: [&str; 4] = ["lib", "route", "run", "state"];

type Imports = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every source file below `src` with its text, without modules that only tests compile.
fn sources() -> Vec<(PathBuf, String)> {
    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    collect(&root().join("src"), &mut paths);
    let texts: BTreeMap<PathBuf, String> =
        paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect();
    let tests: BTreeSet<PathBuf> = texts.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let is_test =
        |path: &Path| tests.iter().any(|module| path == module.with_extension("rs") || path.starts_with(module));
    texts
        .into_iter()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| (path, text.split("#[cfg(test)]\n#[allow").next().unwrap_or_default().to_owned()))
        .collect()
}

/// Returns the paths, without extension, of modules that a file declares for tests alone.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let name = path.file_stem().unwrap();
    let directory = match name.to_str().unwrap() {
        "mod" | "lib" | "main" => path.parent().unwrap().to_owned(),
        _ => path.with_extension(""),
    };
    let mut modules = Vec::new();
    for after in text.split("#[cfg(test)]\n").skip(1) {
        let mut lines = after.lines();
        let mut line = lines.next().unwrap_or_default();
        let file = line.strip_prefix("#[path = \"").and_then(|rest| rest.split('"').next());
        if let Some(file) = file {
            modules.push(path.parent().unwrap().join(file).with_extension(""));
            line = lines.next().unwrap_or_default();
        }
        if let Some(module) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            modules.push(directory.join(module));
        }
    }
    modules
}

/// Returns the room of a file: its folder below `src`, or its own name.
fn room_of(path: &Path) -> String {
    first_component(path.strip_prefix(root().join("src")).unwrap())
}

/// Returns the first folder of a relative path, or the file's name without its extension.
fn first_component(below: &Path) -> String {
    below.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Returns the rooms that the code of a file names.
fn named_rooms(room: &str, text: &str, rooms: &BTreeSet<String>) -> BTreeSet<String> {
    // Within a crate of its own, `crate::` names its modules.
    let prefixes: &[&str] = if CRATES.contains(&room) { &["mai_"] } else { &["crate::", "mai_"] };
    names_after(prefixes, text).filter(|name| name != room && rooms.contains(name)).collect()
}

/// Returns the names that follow one of these prefixes in code, alone or in a group.
fn names_after(prefixes: &[&str], text: &str) -> impl Iterator<Item = String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut names = Vec::new();
    for rest in prefixes.iter().flat_map(|prefix| code.split(prefix).skip(1)) {
        let items = match rest.strip_prefix('{') {
            Some(group) => group.split("};").next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        let is_name = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_';
        names.extend(items.into_iter().map(|item| item.trim_start().chars().take_while(is_name).collect()));
    }
    names.into_iter()
}

/// Returns the rooms of the documented map with what each may import.
fn allowed() -> Imports {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let table = page.split("| room | holds | may import |\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().skip(1).map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    rows.map(|cells| {
        let names = cells[3].split(',').map(|name| name.trim().trim_matches('`').to_owned());
        (cells[1].trim_matches('`').to_owned(), names.filter(|name| !name.is_empty()).collect())
    })
    .collect()
}

fn actual(rooms: &BTreeSet<String>) -> BTreeMap<(String, String), PathBuf> {
    let mut imports = BTreeMap::new();
    for (path, text) in sources() {
        let room = room_of(&path);
        for other in named_rooms(&room, &text, rooms) {
            imports.entry((room.clone(), other)).or_insert_with(|| path.clone());
        }
    }
    imports
}

#[test]
fn every_room_is_on_the_map() {
    let on_disk: BTreeSet<String> =
        sources().iter().map(|(path, _)| room_of(path)).filter(|room| room != "lib" && room != "main").collect();
    assert_eq!(on_disk, allowed().into_keys().collect());
}

#[test]
fn imports_between_rooms_are_those_of_the_map() {
    let allowed = allowed();
    let actual = actual(&allowed.keys().cloned().collect());
    let refused: Vec<String> = actual
        .iter()
        .filter(|((room, _), _)| room != "lib" && room != "main")
        .filter(|((room, other), _)| !allowed[room].contains(other))
        .map(|((room, other), path)| format!("{room} imports {other} in {}", path.display()))
        .collect();
    assert!(refused.is_empty(), "docs/architecture.md does not allow:\n{}", refused.join("\n"));
    let used: BTreeSet<(String, String)> = actual.into_keys().collect();
    assert!(used.contains(&("reconcile".to_owned(), "core".to_owned())), "imports are not recognised: {used:?}");
    assert!(used.contains(&("server".to_owned(), "openrouter".to_owned())), "crates are not recognised: {used:?}");
}

/// Returns the rooms that import each other, directly or through others.
fn circle(mut left: Imports) -> Imports {
    while let Some(room) = left.iter().find(|(_, imports)| imports.is_empty()).map(|(room, _)| room.clone()) {
        left.remove(&room);
        for imports in left.values_mut() {
            imports.remove(&room);
        }
    }
    left
}

#[test]
fn map_of_rooms_has_no_circle() {
    let circle = circle(allowed());
    assert!(circle.is_empty(), "these rooms import each other: {circle:?}");
}

/// Returns the rooms of the server's crate with what they import, without the files that put the
/// rooms together.
fn server_imports() -> Imports {
    let server = root().join("src/server");
    let mut imports = Imports::new();
    for (path, text) in sources() {
        let Ok(below) = path.strip_prefix(&server) else { continue };
        let room = first_component(below);
        if ASSEMBLY.contains(&room.as_str()) {
            continue;
        }
        // `super` is the crate in a room's own file.
        let own_file = below.parent() == Some(Path::new("")) || below == Path::new(&room).join("mod.rs");
        let prefixes: &[&str] = if own_file { &["crate::", "super::"] } else { &["crate::"] };
        let names = names_after(prefixes, &text).filter(|name| *name != room).collect::<Vec<_>>();
        imports.entry(room).or_default().extend(names);
    }
    let rooms: BTreeSet<String> = imports.keys().cloned().collect();
    imports.values_mut().for_each(|names| names.retain(|name| rooms.contains(name)));
    imports
}

#[test]
fn rooms_of_the_server_have_no_circle() {
    let imports = server_imports();
    for (room, other) in [("pages", "chat"), ("status", "auth"), ("auth", "user"), ("chat", "i18n")] {
        assert!(imports[room].contains(other), "imports are not recognised: {imports:?}");
    }
    let circle = circle(imports);
    assert!(circle.is_empty(), "these rooms of src/server import each other: {circle:?}");
}

#[test]
fn contract_literals_stand_in_the_contract_alone() {
    let literals = [
        "\"/app/backend/data\"",
        "\"/app/backups\"",
        "\"/run/mai",
        "\".mai.lock\"",
        "\"x-mai-version\"",
        "\"/health\"",
        "\"/ready\"",
        "\"WEBUI_",
        "\"OPENAI_API_",
        "\"OLLAMA_BASE_URL\"",
        "\"ENABLE_SIGNUP\"",
        "\"DEFAULT_LOCALE\"",
        "\"MAI_SIGNUP\"",
        "\"MAI_MODELS\"",
        "\"MAI_MAX_USERS\"",
        "\"MAI_SECRETS_FILE\"",
        "65532",
    ];
    let mut found = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| room_of(path) != "contract") {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in lines.filter(|line| literals.iter().any(|literal| line.contains(literal))) {
            found.push(format!("{}: {}", path.display(), line.trim()));
        }
    }
    assert!(found.is_empty(), "name the constant of src/contract instead:\n{}", found.join("\n"));
}
