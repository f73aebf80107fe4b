//! Chat completions, stored chats, and the answers being written in them.
//!
//! * [`Completions`]: the only way to a model. It routes a request to the model's upstream, enters
//!   it in the ledger, and returns the answer as a `metered_body`, which closes the ledger row when
//!   it ends.
//! * [`Answers`]: asks in a stored chat. An `answer_task` streams the answer into a `live_answer`,
//!   saves it as an `answer_row`, and continues without readers; [`Answers::follow`] streams it to any number of them.
//! * [`create`], [`list`], [`get`], [`rename`], [`remove`]: rows of stored chats (`store`).
//! * [`search`]: finds chats by their words. `search_words` is how words are compared.
//! * [`AnswerFailure`]: the reason of a failed answer, stored as a code and worded for each reader.
//!
//! No page is drawn here, and no price is computed.

mod answer_row;
mod answer_task;
mod answers;
mod begin_answer;
mod completions;
mod error;
mod failure;
mod failure_code;
mod failure_texts;
mod live_answer;
mod message;
mod metered_body;
mod search;
mod search_words;
mod store;
mod title;
mod upstream_rules;
mod upstream_user;

pub use answers::{Answers, QUESTION_LENGTH, SentQuestion};
pub use completions::Completions;
pub(super) use completions::{CompletionRequest, Operation};
pub use error::{ChatError, CompletionError};
pub use failure::AnswerFailure;
pub use failure_code::FailureCode;
pub use live_answer::AnswerEvent;
pub use message::{AnswerUsage, Chat, Message, MessageRole, MessageStatus};
pub(super) use metered_body::MeteredBody;
pub(super) use search::index_backlog;
pub use search::{FoundChats, search};
pub use search_words::{SEARCH_LENGTH, SEARCH_WORDS};
pub(super) use store::{close_interrupted, count};
pub use store::{create, get, list, message, remove, rename};
pub use title::TITLE_LENGTH;
pub(super) use upstream_rules::UpstreamRules;
