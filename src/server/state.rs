//! What every request handler shares.

use std::{ops::Deref, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::{
    Config, ServeError,
    auth::{PasswordHasher, SessionCache, Throttle},
    chat::{self, Answers},
    connection::{self, Connections},
    database::Database,
    models::{Models, Upstreams},
    secret_key,
    usage::{self, Ledger},
    users,
};

/// The started server's shared state; cloning it copies one pointer.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`], which dereferences to them.
pub struct Parts {
    /// Every setting, checked.
    pub config: Arc<Config>,
    /// The database.
    pub db: Database,
    /// Whose token is whose, without asking the database.
    pub sessions: SessionCache,
    /// Where the upstream is now.
    pub connections: Connections,
    /// The one place where passwords are hashed, one at a time.
    pub passwords: PasswordHasher,
    /// Counts tries to sign in.
    pub throttle: Throttle,
    /// The secret of this instance: seals the upstream key, salts ids that leave the house.
    pub secret: SecretString,
    /// Cancelled when the server begins to shut down; endless answers have to end on it.
    pub closing: CancellationToken,
    /// When this process started.
    pub started_at: Timestamp,
    /// Where every generation is entered.
    pub ledger: Ledger,
    /// The models on offer.
    pub models: Models,
    /// Clients of the upstreams.
    pub upstreams: Upstreams,
    /// Answers being written in stored chats.
    pub answers: Answers,
    /// Cancelled when answers being written have had their time to end.
    pub(super) cutting: CancellationToken,
    /// Whose midnights divide days and months of usage.
    pub zone: TimeZone,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Opens the data directory (which the caller has locked) and does all start-up work.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        let config = Arc::new(config.checked()?);
        let secret = secret_key::load(&config)?;
        let db = Database::open(config.data_dir.join(super::offline_data::DATABASE)).await?;
        let mock = if config.mock_upstream { Some(connection::start_mock().await?) } else { None };
        let connections = connection::load(&config, &db, &secret, mock).await?;
        let app = Self(Arc::new(Parts {
            sessions: SessionCache::new(),
            connections,
            passwords: PasswordHasher::new(),
            throttle: Throttle::new(),
            closing: CancellationToken::new(),
            started_at: Timestamp::now(),
            ledger: Ledger::new(&db),
            models: Models::default(),
            upstreams: Upstreams::new(&config),
            answers: Answers::default(),
            cutting: CancellationToken::new(),
            zone: config.time_zone()?,
            config,
            db,
            secret,
        }));
        users::create_declared_admin(&app).await?;
        usage::close_interrupted(&app.db).await?;
        chat::close_interrupted(&app).await?;
        tokio::spawn(usage::run_lookups(app.clone()));
        Ok(app)
    }

    /// Ends background work and closes the database; nothing may use the app afterwards.
    pub async fn close(&self) {
        self.closing.cancel();
        chat::close(self).await;
        self.db.close().await;
    }
}
