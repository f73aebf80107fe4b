//! Names of the environment variables of a server.
//!
//! Those without `MAI_` are Open WebUI's, which our server reads as well.

/// Address to listen on.
pub const HOST: &str = "HOST";
/// Port to listen on.
pub const PORT: &str = "PORT";
/// Directory of the data.
pub const DATA_DIR: &str = "DATA_DIR";
/// Name shown to people.
pub const WEBUI_NAME: &str = "WEBUI_NAME";
/// `prod` or `dev`.
pub const ENV: &str = "ENV";
/// Seals the upstream key in the database.
pub const WEBUI_SECRET_KEY: &str = "WEBUI_SECRET_KEY";
/// `true` if people may register by themselves.
pub const ENABLE_SIGNUP: &str = "ENABLE_SIGNUP";
/// Who may register: `FirstUserOnly`, `Closed` or `Open`.
pub const SIGNUP: &str = "MAI_SIGNUP";
/// Addresses and networks of the proxies in front of the server, separated by commas.
pub const TRUSTED_PROXIES: &str = "MAI_TRUSTED_PROXIES";
/// Networks in which an upstream may be that an admin enters, separated by commas.
pub const ALLOWED_UPSTREAM_NETWORKS: &str = "MAI_ALLOWED_UPSTREAM_NETWORKS";
/// Origins whose pages may call the API with a key, separated by commas.
pub const CORS_ALLOWED_ORIGINS: &str = "MAI_CORS_ALLOWED_ORIGINS";
/// Maximal number of accounts.
pub const MAX_USERS: &str = "MAI_MAX_USERS";
/// E-mail of the declared admin.
pub const ADMIN_EMAIL: &str = "WEBUI_ADMIN_EMAIL";
/// Password of the declared admin.
pub const ADMIN_PASSWORD: &str = "WEBUI_ADMIN_PASSWORD";
/// Name of the declared admin.
pub const ADMIN_NAME: &str = "WEBUI_ADMIN_NAME";
/// Language of people who have not chosen one.
pub const DEFAULT_LOCALE: &str = "DEFAULT_LOCALE";
/// Base URL of the upstream.
pub const OPENAI_API_BASE_URL: &str = "OPENAI_API_BASE_URL";
/// Key of the upstream.
pub const OPENAI_API_KEY: &str = "OPENAI_API_KEY";
/// Base URLs of the upstreams; Open WebUI prefers it to the singular.
pub const OPENAI_API_BASE_URLS: &str = "OPENAI_API_BASE_URLS";
/// Keys of the upstreams; Open WebUI prefers it to the singular.
pub const OPENAI_API_KEYS: &str = "OPENAI_API_KEYS";
/// Settings of each upstream, as JSON; Open WebUI only.
pub const OPENAI_API_CONFIGS: &str = "OPENAI_API_CONFIGS";
/// Base URL of an Ollama.
pub const OLLAMA_BASE_URL: &str = "OLLAMA_BASE_URL";
/// `true` if Open WebUI uses an Ollama.
pub const ENABLE_OLLAMA_API: &str = "ENABLE_OLLAMA_API";
/// Ids of the models on offer, separated by commas.
pub const MODELS: &str = "MAI_MODELS";
/// `true` if the server answers from a mock upstream of its own.
pub const MOCK_UPSTREAM: &str = "MAI_MOCK_UPSTREAM";
/// `true` if only model providers may be used that keep nothing of a request.
pub const ZDR: &str = "MAI_ZDR";
/// `true` if only model providers may be used that do not train on requests.
pub const NO_TRAINING: &str = "MAI_NO_TRAINING";
/// Region in which requests are processed: `EU`.
pub const REGION: &str = "MAI_REGION";
/// IANA time zone of days and months of usage.
pub const TIME_ZONE: &str = "MAI_TIME_ZONE";
/// Amount that the client is billed for each dollar of cost, as a decimal.
pub const MARKUP: &str = "MAI_MARKUP";
/// Share that the upstream takes when credits are bought, as a decimal.
pub const CREDIT_FEE: &str = "MAI_CREDIT_FEE";
/// Most that the upstream may charge the provider in a calendar month, in whole US dollars.
pub const MONTHLY_LIMIT_USD: &str = "MAI_MONTHLY_LIMIT_USD";
/// Base URL of the API that exchange rates come from, or `off`.
pub const NBP_URL: &str = "MAI_NBP_URL";
/// Exchange rates that the document declares, separated by commas.
pub const EXCHANGE_RATES: &str = "MAI_EXCHANGE_RATES";
/// `true` if the server stops when its standard input ends.
pub const EXIT_WITH_STDIN: &str = "MAI_EXIT_WITH_STDIN";
/// `text` or `json`.
pub const LOG_FORMAT: &str = "MAI_LOG_FORMAT";
/// Path of the file with secret settings ([`crate::secrets_file`]).
pub const SECRETS_FILE: &str = "MAI_SECRETS_FILE";
