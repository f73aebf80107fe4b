//! Every setting of a server: an environment variable and, for trying out by hand, a flag.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use jiff::tz::TimeZone;
use mai_contract::{InvalidNetwork, Network, environment, files, http};
use mai_openrouter::{Endpoint, NanoUsd};
use secrecy::{ExposeSecret, SecretString};

use super::ServeError;
use super::connection::OpenRouterHost;
use super::cors::AllowedOrigins;
use super::rates::{self, Rate};
use super::usage::{InvalidFactor, Millionths, Pricing};

/// The upstream of an instance that names no other.
const OPENROUTER: &str = "https://openrouter.ai/api/v1";

/// The settings of `mai serve`. An empty value of an optional setting counts as unset, because
/// Compose files and manifests pass variables on even when they are empty.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address to listen on
    #[arg(long, env = environment::HOST, default_value = "0.0.0.0")]
    pub host: String,

    /// Port to listen on; 0 takes a free one and logs it
    #[arg(long, env = environment::PORT, default_value_t = http::PORT)]
    pub port: u16,

    /// Directory of the database and everything else that has to survive
    #[arg(long, env = environment::DATA_DIR, default_value = files::DATA)]
    pub data_dir: PathBuf,

    /// Name shown to people
    #[arg(long, env = environment::WEBUI_NAME, default_value = "mAI")]
    pub webui_name: String,

    /// Production or development; in production, cookies of requests that came by https are marked
    /// Secure
    #[arg(long = "environment", env = environment::ENV, value_enum, default_value_t = Environment::Prod)]
    pub environment: Environment,

    /// Seals the upstream key in the database; when unset, a random one is kept in
    /// DATA_DIR/.secret_key
    #[arg(long, env = environment::WEBUI_SECRET_KEY, hide_env_values = true, value_parser = secret)]
    pub webui_secret_key: Option<SecretString>,

    /// Accepted for the contract of the image; true and false both mean that only the first person
    /// may register
    #[arg(long, env = environment::ENABLE_SIGNUP, default_value = "true", value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub enable_signup: bool,

    /// The people who may register an account by themselves
    #[arg(long = "signup", env = environment::SIGNUP, value_enum, ignore_case = true, default_value_t = Signup::FirstUserOnly)]
    pub signup: Signup,

    /// Most living accounts, the admin included
    #[arg(long, env = environment::MAX_USERS, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_users: u32,

    /// E-mail of an admin to create while there are no accounts
    #[arg(long, env = environment::ADMIN_EMAIL)]
    pub admin_email: Option<String>,

    /// Password of that admin
    #[arg(long, env = environment::ADMIN_PASSWORD, hide_env_values = true, value_parser = secret)]
    pub admin_password: Option<SecretString>,

    /// Name of that admin
    #[arg(long, env = environment::ADMIN_NAME, default_value = "Admin")]
    pub admin_name: String,

    /// Language of people who have not chosen one: en or pl
    #[arg(long, env = environment::DEFAULT_LOCALE)]
    pub default_locale: Option<String>,

    /// Base URL of the upstream; a connection saved by the admin wins over it
    #[arg(long, env = environment::OPENAI_API_BASE_URL, default_value = OPENROUTER)]
    pub openai_api_base_url: String,

    /// Key of the upstream; a connection saved by the admin wins over it
    #[arg(long, env = environment::OPENAI_API_KEY, hide_env_values = true, value_parser = secret)]
    pub openai_api_key: Option<SecretString>,

    /// Base URL of an Ollama whose models are offered in addition to the upstream's
    #[arg(long, env = environment::OLLAMA_BASE_URL)]
    pub ollama_base_url: Option<String>,

    /// Ids of the models people may use, separated by commas; empty means all the upstream offers
    #[arg(long = "models", env = environment::MODELS, value_delimiter = ',')]
    pub models: Vec<String>,

    /// Addresses and networks of the proxies in front of this server, separated by commas; their
    /// X-Forwarded-For, -Proto and -Host say where a request comes from and went to
    #[arg(long = "trusted-proxies", env = environment::TRUSTED_PROXIES, value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,

    /// Networks in which an upstream may be that the admin enters, separated by commas; without any,
    /// only one at a public address
    #[arg(long = "allowed-upstream-networks", env = environment::ALLOWED_UPSTREAM_NETWORKS, value_delimiter = ',')]
    pub allowed_upstream_networks: Vec<String>,

    /// Origins whose pages may call the API with a key, separated by commas; * allows any
    #[arg(long = "cors-allowed-origins", env = environment::CORS_ALLOWED_ORIGINS, value_delimiter = ',')]
    pub cors_allowed_origins: Vec<String>,

    /// Use only model providers of OpenRouter that keep nothing of a request
    #[arg(long, env = environment::ZDR, default_value = "false", value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub zdr: bool,

    /// Use only model providers of OpenRouter that do not train on requests
    #[arg(long, env = environment::NO_TRAINING, default_value = "false", value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub no_training: bool,

    /// Region in which OpenRouter processes requests; it is called at its host there
    #[arg(long, env = environment::REGION, value_enum, ignore_case = true)]
    pub region: Option<Region>,

    /// Start a mock upstream inside this process and use it, for trying out
    #[arg(long, env = environment::MOCK_UPSTREAM, default_value = "false", value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub mock_upstream: bool,

    /// IANA time zone whose midnights divide days and months of usage
    #[arg(long, env = environment::TIME_ZONE, default_value = "UTC")]
    pub time_zone: String,

    /// Amount the client is billed for each dollar of cost; 1.3 adds 30 %
    #[arg(long, env = environment::MARKUP)]
    pub markup: Option<String>,

    /// Share that the upstream takes when credits are bought, such as 0.055 for 5.5 %
    #[arg(long = "credit-fee", env = environment::CREDIT_FEE)]
    pub credit_fee: Option<String>,

    /// Most that the upstream may charge the provider in a calendar month, in whole US dollars
    #[arg(long = "monthly-limit-usd", env = environment::MONTHLY_LIMIT_USD, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub monthly_limit_usd: Option<u32>,

    /// Base URL of the API of NBP, which exchange rates come from [default: NBP itself]; off asks nobody
    #[arg(long, env = environment::NBP_URL, default_value = "", hide_default_value = true)]
    pub nbp_url: String,

    /// Exchange rates that win over those of NBP, separated by commas: day, złoty for a dollar and
    /// number of the table, such as "2026-11-27 3.6123 230/A/NBP/2026"
    #[arg(long = "exchange-rates", env = environment::EXCHANGE_RATES, value_delimiter = ',')]
    pub exchange_rates: Vec<String>,

    /// Shut down gracefully when standard input ends; takes the server along when its supervisor
    /// dies
    #[arg(long, env = environment::EXIT_WITH_STDIN, default_value = "false", value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub exit_with_stdin: bool,

    /// Format of the log lines
    #[arg(long, env = environment::LOG_FORMAT, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// The environment of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Environment {
    /// Production
    #[value(alias = "production")]
    Prod,
    /// Development
    #[value(alias = "development")]
    Dev,
}

/// The people who may register an account by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Signup {
    /// The first person becomes admin; everybody else is added by them
    #[value(name = "FirstUserOnly")]
    FirstUserOnly,
    /// Nobody; the admin has to be declared by WEBUI_ADMIN_EMAIL
    #[value(name = "Closed")]
    Closed,
    /// Everybody, up to the most accounts allowed
    #[value(name = "Open")]
    Open,
}

/// A region of OpenRouter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Region {
    /// The European Union
    #[value(name = "EU")]
    EU,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

impl Config {
    /// The defaults with another data directory and a free port; how tests and benches start a
    /// server.
    pub fn for_directory(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 0,
            data_dir: data_dir.into(),
            webui_name: "mAI".to_owned(),
            environment: Environment::Prod,
            webui_secret_key: None,
            enable_signup: true,
            signup: Signup::FirstUserOnly,
            max_users: 20,
            admin_email: None,
            admin_password: None,
            admin_name: "Admin".to_owned(),
            default_locale: None,
            openai_api_base_url: OPENROUTER.to_owned(),
            openai_api_key: None,
            ollama_base_url: None,
            models: Vec::new(),
            trusted_proxies: Vec::new(),
            allowed_upstream_networks: Vec::new(),
            cors_allowed_origins: Vec::new(),
            zdr: false,
            no_training: false,
            region: None,
            mock_upstream: false,
            time_zone: "UTC".to_owned(),
            markup: None,
            credit_fee: None,
            monthly_limit_usd: None,
            nbp_url: "off".to_owned(),
            exchange_rates: Vec::new(),
            exit_with_stdin: false,
            log_format: LogFormat::Text,
        }
    }

    /// Drops empty values and checks what clap cannot. Every server starts with this.
    pub fn checked(mut self) -> Result<Self, ServeError> {
        let invalid = |sentence: String| Err(ServeError::Configuration(sentence));
        for text in [
            &mut self.admin_email,
            &mut self.default_locale,
            &mut self.ollama_base_url,
            &mut self.markup,
            &mut self.credit_fee,
        ] {
            *text = text.take().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        }
        for secret in [&mut self.webui_secret_key, &mut self.admin_password, &mut self.openai_api_key] {
            *secret = secret.take().filter(|secret| !secret.expose_secret().trim().is_empty());
        }
        self.models =
            self.models.iter().map(|model| model.trim()).filter(|model| !model.is_empty()).map(str::to_owned).collect();
        if self.webui_name.trim().is_empty() {
            self.webui_name = "mAI".to_owned();
        }
        if self.admin_email.is_some() != self.admin_password.is_some() {
            return invalid(format!(
                "{} and {} belong together; set both or none",
                environment::ADMIN_EMAIL,
                environment::ADMIN_PASSWORD
            ));
        }
        if let Some(locale) = &self.default_locale
            && !super::user::LOCALES.contains(&locale.as_str())
        {
            return invalid(format!("{} is {locale:?}; it has to be one of en, pl", environment::DEFAULT_LOCALE));
        }
        if self.openai_api_base_url.trim().is_empty() {
            self.openai_api_base_url = OPENROUTER.to_owned();
        }
        self.openai_api_base_url = super::connection::base_url(&self.openai_api_base_url)
            .map_err(|error| ServeError::Configuration(format!("{}: {error}", environment::OPENAI_API_BASE_URL)))?;
        self.openai_api_base_url = self.regional_base_url()?;
        self.ollama_base_url = match self.ollama_base_url {
            Some(url) => Some(
                super::connection::base_url(&url)
                    .map_err(|error| ServeError::Configuration(format!("{}: {error}", environment::OLLAMA_BASE_URL)))?,
            ),
            None => None,
        };
        self.time_zone()?;
        self.pricing()?;
        self.proxies()?;
        self.upstream_networks()?;
        self.allowed_origins()?;
        self.nbp()?;
        self.declared_rates()?;
        Ok(self)
    }

    /// Returns the base URL of the upstream in the region, which only OpenRouter has.
    fn regional_base_url(&self) -> Result<String, ServeError> {
        let base_url = &self.openai_api_base_url;
        match (self.region, OpenRouterHost::from_base_url(base_url)) {
            (Some(Region::EU), Some(OpenRouterHost::Global)) => Ok(OpenRouterHost::EU_BASE_URL.to_owned()),
            (Some(Region::EU), Some(OpenRouterHost::Other) | None) if !self.mock_upstream => {
                Err(ServeError::Configuration(format!(
                    "{} is EU, and {} is {base_url:?}, which is not in it; use {}, or remove one of them",
                    environment::REGION,
                    environment::OPENAI_API_BASE_URL,
                    OpenRouterHost::EU_BASE_URL,
                )))
            }
            _ => Ok(base_url.clone()),
        }
    }

    /// The networks of the proxies in front of this server.
    pub fn proxies(&self) -> Result<Vec<Network>, ServeError> {
        networks(environment::TRUSTED_PROXIES, &self.trusted_proxies)
    }

    /// The networks in which an upstream may be that the admin enters.
    pub fn upstream_networks(&self) -> Result<Vec<Network>, ServeError> {
        networks(environment::ALLOWED_UPSTREAM_NETWORKS, &self.allowed_upstream_networks)
    }

    /// The origins whose pages may call the API.
    pub(super) fn allowed_origins(&self) -> Result<AllowedOrigins, ServeError> {
        AllowedOrigins::parse(entries(&self.cors_allowed_origins))
            .map_err(|error| ServeError::Configuration(format!("{}: {error}", environment::CORS_ALLOWED_ORIGINS)))
    }

    /// The factors that make the prices of what the provider pays for.
    pub fn pricing(&self) -> Result<Pricing, ServeError> {
        let Pricing { markup, credit_fee } = Pricing::AT_COST;
        Ok(Pricing {
            markup: factor(environment::MARKUP, self.markup.as_ref(), markup)?,
            credit_fee: factor(environment::CREDIT_FEE, self.credit_fee.as_ref(), credit_fee)?,
        })
    }

    /// Most that the upstream may charge the provider in a calendar month.
    pub(super) fn monthly_limit(&self) -> Option<NanoUsd> {
        self.monthly_limit_usd.map(|dollars| NanoUsd::new(i64::from(dollars) * 1_000_000_000))
    }

    /// The API that exchange rates come from; `None` where nobody is asked.
    pub(super) fn nbp(&self) -> Result<Option<Endpoint>, ServeError> {
        rates::address(&self.nbp_url).map_err(|_| {
            ServeError::Configuration(format!(
                "{} is {:?}, which is no address; use a base URL such as https://api.nbp.pl/api, or off",
                environment::NBP_URL,
                self.nbp_url
            ))
        })
    }

    /// The exchange rates that win over those of NBP.
    pub(super) fn declared_rates(&self) -> Result<Vec<Rate>, ServeError> {
        entries(&self.exchange_rates)
            .map(Rate::declared)
            .collect::<Result<_, _>>()
            .map_err(|error| ServeError::Configuration(format!("{}: {error}", environment::EXCHANGE_RATES)))
    }

    /// The time zone whose midnights divide days and months of usage.
    pub fn time_zone(&self) -> Result<TimeZone, ServeError> {
        TimeZone::get(&self.time_zone).map_err(|_| {
            ServeError::Configuration(format!(
                "{} is {:?}, which is no known time zone; use an IANA name such as Europe/Warsaw",
                environment::TIME_ZONE,
                self.time_zone
            ))
        })
    }
}

/// Returns the factor that a variable holds.
fn factor(variable: &str, text: Option<&String>, default: Millionths) -> Result<Millionths, ServeError> {
    let parsed = text.map_or(Ok(default), |text| text.parse());
    parsed.map_err(|error: InvalidFactor| ServeError::Configuration(format!("{variable}: {error}")))
}

/// Returns the entries of a list without blanks around them.
fn entries(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn networks(variable: &str, texts: &[String]) -> Result<Vec<Network>, ServeError> {
    entries(texts)
        .map(str::parse)
        .collect::<Result<_, InvalidNetwork>>()
        .map_err(|error| ServeError::Configuration(format!("{variable}: {error}")))
}

fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}
