//! The chat server of one instance, over HTTP against a real `mai serve`.

mod accounts_are_managed_by_admins;
mod answers_are_read_in_any_dialect;
mod answers_complete_without_a_reader;
mod api_keys_are_limited;
mod api_serves_openai_clients;
mod audit_tells_who_did_what;
mod chat_bytes_pass_unchanged;
mod connections_are_bounded;
mod cross_site_requests_are_refused;
mod data_directory_has_one_server;
mod entered_upstreams_are_public;
mod every_route_is_authorised;
mod failures_are_worded_per_reader;
mod first_user_becomes_admin;
mod known_clients_are_served;
mod logs_contain_no_secrets;
mod long_answers_are_bounded;
mod other_origins_need_a_key;
mod pages_respect_permissions;
mod search_finds_own_chats;
mod sessions_end_immediately;
mod sign_in_is_rate_limited;
mod upstream_failures_are_reported;
mod upstream_key_stays_secret;
mod usage_belongs_to_its_connection;
mod usage_is_counted_once;
