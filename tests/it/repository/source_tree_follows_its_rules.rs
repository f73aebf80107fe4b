//! The source tree follows its rules of style: doc comments say what something is or does, test
//! names are short, and files can be read in one sitting.

use std::path::{Path, PathBuf};

/// Words that a doc comment does not begin with: a type is named, a function has a verb.
const NOT_FIRST_WORDS: [&str; 6] = ["What", "How", "Whether", "When", "Told", "Said"];

const LONGEST_TEST_NAME: usize = 60;
const LONGEST_FILE: usize = 500;

struct SourceFile {
    path: String,
    text: String,
}

/// Returns all Rust files below `src`, `tests` and `bench`.
fn source_files() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut directories: Vec<PathBuf> = ["src", "tests", "bench"].iter().map(|name| root.join(name)).collect();
    let mut files = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push(SourceFile { path: path.strip_prefix(root).unwrap().display().to_string(), text });
            }
        }
    }
    assert!(files.len() > 200, "only {} files were found", files.len());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

impl SourceFile {
    /// Returns each violation as `file:line: text`.
    fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        let lines = self.text.lines().count();
        if lines > LONGEST_FILE {
            found.push(format!("{}: {lines} lines; split it, {LONGEST_FILE} are the limit", self.path));
        }
        let (mut in_doc_comment, mut is_test) = (false, false);
        for (line, number) in self.text.lines().map(str::trim).zip(1..) {
            let doc_comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
            if let Some(comment) = doc_comment
                && !in_doc_comment
                && let Some(word) = comment.split_whitespace().next()
                && NOT_FIRST_WORDS.contains(&word)
            {
                found.push(format!("{}:{number}: a doc comment begins with {word}: {line}", self.path));
            }
            in_doc_comment = doc_comment.is_some();
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            if let Some((_, function)) = line.split_once("fn ")
                && std::mem::take(&mut is_test)
            {
                let name = function.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap();
                if name.len() > LONGEST_TEST_NAME {
                    found.push(format!(
                        "{}:{number}: the name of a test has {} characters, {LONGEST_TEST_NAME} are the limit: {name}",
                        self.path,
                        name.len()
                    ));
                }
            }
        }
        found
    }
}

#[test]
fn source_files_follow_the_rules_of_style() {
    let files = source_files();
    let violations: Vec<String> = files.iter().flat_map(SourceFile::violations).collect();
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn violation_of_each_rule_is_found_with_its_line() {
    let long = "a".repeat(LONGEST_TEST_NAME + 1);
    let text = format!(
        "//! Whether it works.\n\n/// Returns one.\n/// When it is odd, two.\nfn {long}() {{}}\n\n#[test]\nfn {long}() {{}}\n{}",
        "\n".repeat(LONGEST_FILE)
    );
    let file = SourceFile { path: "src/file.rs".to_owned(), text };
    let starts = ["src/file.rs: 508 lines", "src/file.rs:1: a doc comment begins with Whether", "src/file.rs:8: "];
    let violations = file.violations();
    assert_eq!(violations.len(), starts.len(), "{violations:#?}");
    for (violation, start) in violations.iter().zip(starts) {
        assert!(violation.starts_with(start), "{violation}");
    }
}
