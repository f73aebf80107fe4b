//! The per-client chat server: accounts, chat, usage, pages. Configured by environment alone.

mod i18n;
mod markdown;
