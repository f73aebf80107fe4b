//! Everything that is allowed without a policy, and stays allowed with one.

use mai_contract::environment as name;

use crate::api::{PlatformKind, ServerKind};

/// Directory below which documents may name any place.
pub(super) const BASE: &str = "/srv/mai";

/// Variables that our own server reads and that concern nobody but its own client.
const SERVER_ENV: [&str; 27] = [
    name::ENV,
    name::ENABLE_SIGNUP,
    name::SIGNUP,
    name::TRUSTED_PROXIES,
    name::MAX_USERS,
    name::ADMIN_EMAIL,
    name::ADMIN_PASSWORD,
    name::ADMIN_NAME,
    name::DEFAULT_LOCALE,
    name::OPENAI_API_BASE_URL,
    name::OLLAMA_BASE_URL,
    name::MODELS,
    name::MOCK_UPSTREAM,
    name::TIME_ZONE,
    name::NBP_URL,
    name::EXCHANGE_RATES,
    name::LOG_FORMAT,
    "RUST_LOG",
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// Variables with which a loader or an interpreter runs other code than the image was made for, as
/// patterns.
const LOADERS: [&str; 18] = [
    "LD_*",
    "DYLD_*",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "MALLOC_*",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "NODE_OPTIONS",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYLIB",
    "RUBYOPT",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
];

/// Variables by which a reconciler knows its servers; no document sets them.
const RESERVED: [&str; 3] = ["MAI_INSTANCE_*", "MAI_STATE_DIR", name::SECRETS_FILE];

/// Annotations of an Ingress that change how requests of its own host are passed on, and nothing
/// else of the controller.
const INGRESS_ANNOTATIONS: [&str; 14] = [
    "nginx.ingress.kubernetes.io/proxy-body-size",
    "nginx.ingress.kubernetes.io/proxy-buffering",
    "nginx.ingress.kubernetes.io/proxy-buffer-size",
    "nginx.ingress.kubernetes.io/proxy-connect-timeout",
    "nginx.ingress.kubernetes.io/proxy-read-timeout",
    "nginx.ingress.kubernetes.io/proxy-send-timeout",
    "nginx.ingress.kubernetes.io/proxy-request-buffering",
    "nginx.ingress.kubernetes.io/ssl-redirect",
    "nginx.ingress.kubernetes.io/force-ssl-redirect",
    "traefik.ingress.kubernetes.io/router.entrypoints",
    "traefik.ingress.kubernetes.io/router.tls",
    "haproxy.org/timeout-server",
    "haproxy.org/timeout-client",
    "haproxy.org/ssl-redirect",
];

/// Returns whether a variable of `server.env` is allowed by itself. A process runs our own server,
/// whatever kind its document declares.
pub(super) fn allows_variable(kind: ServerKind, platform: Option<PlatformKind>, variable: &str) -> bool {
    let is_ours = kind == ServerKind::Mai || platform == Some(PlatformKind::Process);
    match is_ours {
        true => SERVER_ENV.contains(&variable),
        false => !is_loader(variable) && !is_reserved(variable),
    }
}

/// Returns whether a loader or an interpreter reads a variable.
pub(super) fn is_loader(variable: &str) -> bool {
    matches(&LOADERS, variable)
}

/// Returns whether no policy may allow a variable.
pub(super) fn is_reserved(variable: &str) -> bool {
    matches(&RESERVED, variable)
}

/// Returns whether an annotation of an Ingress is allowed by itself.
pub(super) fn allows_annotation(annotation: &str) -> bool {
    INGRESS_ANNOTATIONS.contains(&annotation)
}

fn matches(patterns: &[&str], text: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == *pattern,
    })
}
