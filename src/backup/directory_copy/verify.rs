//! Verifies a copy: every file as in the manifest, no other files, every database intact.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::BackupError;
use super::create::digest;
use super::manifest::{FILE, FORMAT, Manifest};
use super::snapshot::inspect;

/// Verifies the copy in `directory` and returns its manifest.
pub async fn verify(directory: &Path) -> Result<Manifest, BackupError> {
    let file = directory.join(FILE);
    let text = std::fs::read(&file).map_err(BackupError::io("read back", &file))?;
    let wrong = |path: &Path, what: String| BackupError::Unverified { path: path.to_owned(), what };
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| wrong(&file, error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(wrong(
            &file,
            format!("it is of format {}, and this version of mai reads {FORMAT}", manifest.format),
        ));
    }
    let data = directory.join("data");
    let mut expected = BTreeSet::new();
    for entry in &manifest.files {
        let path = data.join(&entry.path);
        let (size, sha256) = digest(&path)?;
        if (size, &sha256) != (entry.size, &entry.sha256) {
            return Err(wrong(
                &path,
                format!("it has {size} bytes with SHA-256 {sha256}, not {} with {}", entry.size, entry.sha256),
            ));
        }
        if let Some(facts) = &entry.database {
            let found = inspect(&path).await?;
            if found != *facts {
                return Err(wrong(&path, format!("the database is {found:?}, not {facts:?}")));
            }
        }
        expected.insert(path);
    }
    for link in &manifest.links {
        let path = data.join(&link.path);
        let target = std::fs::read_link(&path).map_err(BackupError::io("read back", &path))?;
        if target != link.target {
            return Err(wrong(&path, format!("it points to {}, not {}", target.display(), link.target.display())));
        }
        expected.insert(path);
    }
    let mut there = BTreeSet::new();
    walk(&data, &mut there).map_err(BackupError::io("read back", &data))?;
    match there.difference(&expected).next() {
        Some(path) => Err(wrong(path, "the manifest does not know it".to_owned())),
        None => Ok(manifest),
    }
}

fn walk(directory: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else {
            files.insert(entry.path());
        }
    }
    Ok(())
}
