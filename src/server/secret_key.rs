//! The secret of the instance: from WEBUI_SECRET_KEY, or a random one in the data directory.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
};

use mai_contract::environment;
use rand::RngCore;
use secrecy::SecretString;

use super::{Config, ServeError};

/// Loads the secret. A random one is created once and kept in `DATA_DIR/.secret_key`, readable by
/// its owner only.
pub(super) fn load(config: &Config) -> Result<SecretString, ServeError> {
    if let Some(secret) = &config.webui_secret_key {
        return Ok(secret.clone());
    }
    let path = config.data_dir.join(".secret_key");
    let failed = |source| ServeError::DataDirectoryNotWritable { path: config.data_dir.clone(), source };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            let mut random = [0; 32];
            rand::rng().fill_bytes(&mut random);
            let secret = hex::encode(random);
            file.write_all(secret.as_bytes()).map_err(failed)?;
            file.sync_all().map_err(failed)?;
            warn(&path);
            Ok(SecretString::from(secret))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let secret = std::fs::read_to_string(&path).map_err(failed)?;
            if secret.trim().is_empty() {
                return Err(ServeError::Configuration(format!(
                    "{} is empty; set WEBUI_SECRET_KEY, or remove the file and enter the upstream key again",
                    path.display()
                )));
            }
            warn(&path);
            Ok(SecretString::from(secret.trim()))
        }
        Err(error) => Err(failed(error)),
    }
}

fn warn(path: &std::path::Path) {
    tracing::warn!("{} is not set; using the random key in {}", environment::WEBUI_SECRET_KEY, path.display());
}
