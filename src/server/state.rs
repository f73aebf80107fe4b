//! The started server: every part put together, once.

use std::{ops::Deref, sync::Arc};

use axum::extract::FromRef;
use mai_contract::{environment, files::DATABASE};
use mai_openrouter::AddressPolicy;
use tokio_util::sync::CancellationToken;

use super::{
    Config, Region, ServeError, TrustedProxies,
    audit::{self, AuditLog, FailureLog},
    auth::{Confirmations, Cookies, PasswordHasher, ReconcilerToken, Sessions, Throttle},
    chat::{self, Answers, Completions, UpstreamRules},
    connection::{self, Connection, ConnectionSource, Connections, KeyMonitor, UpstreamPolicy},
    cors::AllowedOrigins,
    counts::InstanceCounts,
    database::Database,
    markdown::Renderer,
    models::{Models, Upstreams},
    rates::{RateFetcher, Rates},
    secret_key,
    statement::{StatementCloser, Statements},
    usage::{self, Budgets, Ledger, UsageLookup, UsageReports},
    users::{self, NewUser, Role, UserError},
};

/// The state of the router: all parts of a started server. Handlers extract the parts they need by
/// `State<Part>`; only this file and the routes name it. Cloning it copies one pointer.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`], which dereferences to them.
pub struct Parts {
    /// Every setting, checked.
    pub config: Arc<Config>,
    /// The database.
    pub db: Database,
    /// The proxies in front of this server.
    pub trusted_proxies: TrustedProxies,
    /// The origins whose pages may call the API.
    pub(super) allowed_origins: AllowedOrigins,
    /// The cookies of this instance.
    pub cookies: Cookies,
    /// The users of credentials.
    pub sessions: Sessions,
    /// Hashes passwords, one at a time.
    pub passwords: PasswordHasher,
    /// Counts attempts to sign in.
    pub throttle: Throttle,
    /// Asks people for their password again.
    pub confirmations: Confirmations,
    /// Sums up failures to get in.
    pub failures: FailureLog,
    /// Reads what was done.
    pub audit: AuditLog,
    /// The upstream's address and key.
    pub connections: Connections,
    /// The models on offer.
    pub models: Models,
    /// Writes a row for every generation.
    pub ledger: Ledger,
    /// Reads the ledger's rows.
    pub reports: UsageReports,
    /// Limits what people spend.
    pub budgets: Budgets,
    /// The numbers that the reconciler reads.
    pub(crate) counts: InstanceCounts,
    /// Knows the token of the reconciler.
    pub reconciler_token: ReconcilerToken,
    /// The exchange rates that are known.
    pub rates: Rates,
    /// Reads the statements of closed months.
    pub statements: Statements,
    /// Sends chat completions to the upstreams.
    pub completions: Completions,
    /// The answers being written in stored chats.
    pub answers: Answers,
    /// Renders the answers of models.
    pub(crate) renderer: Renderer,
    /// Cancelled when the server begins to shut down; endless answers end on it.
    pub closing: CancellationToken,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Lets a handler extract a part by `State<Part>`.
macro_rules! extractable {
    ($($part:ty: $field:ident),* $(,)?) => {
        $(impl FromRef<App> for $part {
            fn from_ref(app: &App) -> Self {
                app.$field.clone()
            }
        })*
    };
}

extractable! {
    Arc<Config>: config,
    Database: db,
    TrustedProxies: trusted_proxies,
    Cookies: cookies,
    Sessions: sessions,
    Connections: connections,
    Models: models,
    Ledger: ledger,
    UsageReports: reports,
    Budgets: budgets,
    InstanceCounts: counts,
    ReconcilerToken: reconciler_token,
    Rates: rates,
    Statements: statements,
    Completions: completions,
    Answers: answers,
    Renderer: renderer,
    PasswordHasher: passwords,
    Throttle: throttle,
    Confirmations: confirmations,
    FailureLog: failures,
    AuditLog: audit,
    CancellationToken: closing,
}

impl App {
    /// Opens the data directory, which the caller has locked, and does all start-up work.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        let config = Arc::new(config.checked()?);
        let secret = secret_key::load(&config)?;
        let db = Database::open(config.data_dir.join(DATABASE)).await?;
        let default = default_connection(&config).await?;
        let declared = [Some(default.base_url.as_str()), config.ollama_base_url.as_deref()];
        let policy = UpstreamPolicy::new(declared.into_iter().flatten(), config.upstream_networks()?);
        let connections = Connections::load(&db, &secret, default, policy).await?;
        let cookies = Cookies::load(&db, &config, &secret).await?;
        audit::record_changed_settings(&db, &config, &secret).await?;
        let upstreams = Upstreams::new(config.ollama_base_url.as_deref());
        let models = Models::new(config.models.clone(), connections.clone(), upstreams.clone());
        let zone = config.time_zone()?;
        usage::prepare(&db, &config.time_zone, &zone).await?;
        // What a former run left open is counted before anything is asked.
        let connection_id = connections.id(&connections.current());
        usage::close_interrupted(&db, connection_id).await?;
        let rates = Rates::load(&db, zone.clone(), config.declared_rates()?).await?;
        let budgets = Budgets::load(&db, &config.time_zone, &zone, config.monthly_limit(), rates.newest()).await?;
        let ledger = Ledger::new(&db, config.pricing()?, zone.clone(), budgets.clone());
        let reports = UsageReports::new(&db, zone.clone());
        let counts = InstanceCounts::new(&db, &reports, KeyMonitor::new(&connections), config.max_users);
        let reconciler_token = ReconcilerToken::new(&secret);
        let rules =
            UpstreamRules { zdr: config.zdr, no_training: config.no_training, eu: config.region == Some(Region::EU) };
        let completions =
            Completions::new(connections.clone(), upstreams.clone(), models.clone(), ledger.clone(), rules, secret);
        let statements = Statements::new(&db, &rates, zone.clone());
        let closer = StatementCloser { db: db.clone(), zone: zone.clone() };
        let (passwords, throttle, failures) = (PasswordHasher::new(), Throttle::default(), FailureLog::new(&db));
        let trusted_proxies = TrustedProxies::new(&config.proxies()?);
        let app = Self(Arc::new(Parts {
            sessions: Sessions::new(&db, cookies.clone(), trusted_proxies.clone()),
            cookies,
            confirmations: Confirmations::new(&db, &passwords, &throttle, &failures),
            audit: AuditLog::new(&db, &failures),
            failures,
            passwords,
            throttle,
            trusted_proxies,
            allowed_origins: config.allowed_origins()?,
            budgets,
            reports,
            counts,
            reconciler_token,
            answers: Answers::new(&db, completions.clone()),
            renderer: Renderer::new(),
            closing: CancellationToken::new(),
            config,
            db,
            connections,
            models,
            ledger,
            statements,
            rates,
            completions,
        }));
        app.create_declared_admin().await?;
        chat::close_interrupted(&app.db).await?;
        let fetcher = RateFetcher::new(&app.rates, &app.ledger, upstreams.pool(), app.config.nbp()?);
        tokio::spawn(fetcher.run(app.closing.clone()));
        tokio::spawn(closer.run(app.closing.clone()));
        let lookup = UsageLookup {
            db: app.db.clone(),
            ledger: app.ledger.clone(),
            connections: app.connections.clone(),
            upstreams,
        };
        tokio::spawn(lookup.run(app.closing.clone()));
        tokio::spawn(chat::index_backlog(app.db.clone(), app.closing.clone()));
        Ok(app)
    }

    async fn create_declared_admin(&self) -> Result<(), ServeError> {
        let (Some(email), Some(password)) = (&self.config.admin_email, &self.config.admin_password) else {
            return Ok(());
        };
        let admin = NewUser {
            name: self.config.admin_name.clone(),
            email: email.clone(),
            password: password.clone(),
            role: Role::Admin,
        };
        match users::create_declared_admin(&self.db, &self.passwords, self.config.max_users, admin).await {
            Ok(()) => Ok(()),
            Err(UserError::Database(error)) => Err(error.into()),
            Err(error) => Err(ServeError::Configuration(format!(
                "the admin declared by {}, {} and {} can't be created: {error}",
                environment::ADMIN_EMAIL,
                environment::ADMIN_PASSWORD,
                environment::ADMIN_NAME
            ))),
        }
    }

    /// Ends background work and closes the database. Nothing may use the app afterwards.
    pub async fn close(&self) {
        self.closing.cancel();
        self.answers.close().await;
        if let Err(error) = self.failures.flush().await {
            tracing::warn!(%error, "the number of failed sign-ins could not be recorded");
        }
        self.db.close().await;
    }
}

/// Returns the connection in use while the admin has saved none: the mock's or the environment's.
async fn default_connection(config: &Config) -> Result<Connection, ServeError> {
    if config.mock_upstream {
        return connection::start_mock()
            .await
            .map_err(|error| ServeError::Start(format!("the mock upstream could not be started: {error}")));
    }
    Ok(Connection {
        base_url: config.openai_api_base_url.clone(),
        key: config.openai_api_key.clone(),
        source: ConnectionSource::Environment,
        addresses: AddressPolicy::any(),
    })
}
