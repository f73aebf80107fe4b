//! Errors of chat completions and of stored chats.

use crate::database::DatabaseError;
use crate::usage::OverBudget;
use mai_openrouter::UpstreamError;

/// A completion that did not reach a model.
#[derive(Debug, thiserror::Error)]
pub enum CompletionError {
    /// No upstream is configured.
    #[error("No AI provider is connected yet. An administrator can connect one under Settings → Connection.")]
    NoConnection,
    /// The connection of the admin cannot keep what the provider promised.
    #[error("This server may only ask OpenRouter{}, as its provider has promised. An administrator can enter such a connection under Settings → Connection.", if *.eu { " in the EU" } else { "" })]
    NotPrivate {
        /// True if it has to be the host in the EU.
        eu: bool,
    },
    /// The model is not offered, or not allowed here.
    #[error("Model not found")]
    ModelNotFound,
    /// The body is no valid chat request.
    #[error("The request is not valid: {0}.")]
    Malformed(#[source] serde_json::Error),
    /// A field of the request cannot be used.
    #[error("The field `{field}` {problem}.")]
    InvalidField {
        /// Its name.
        field: &'static str,
        /// The end of a sentence about it.
        problem: &'static str,
    },
    /// A tool or plugin may run other models than those allowed.
    #[error("The field `{field}` holds `{name}`, which may run other models; only certain models are allowed here.")]
    MayChooseModel {
        /// The field of the request.
        field: &'static str,
        /// The name of the tool or plugin.
        name: String,
    },
    /// The coding of the body is not known here.
    #[error("The request is compressed in a way that this server does not know; send it as it is, or with gzip.")]
    UnknownCoding,
    /// The body is not what its coding says.
    #[error("The request could not be unpacked; its content-encoding does not fit it, or it is cut off.")]
    NotUnpacked,
    /// The body is over the limit.
    #[error("The request is larger than {0} MiB, which is the most this server takes.")]
    TooLarge(usize),
    /// The upload was cut off.
    #[error("The request ended before it was complete.")]
    Incomplete,
    /// It may cost more than what is left of a budget.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// So much waits to be written that the request could not be booked.
    #[error("The server cannot write to its database fast enough at this moment. Please try again.")]
    Overloaded,
    /// The upstream gave an answer that is none of its API; the text ends a sentence about it.
    #[error("The AI provider {0}. Its address may be wrong, or something on the way answered for it.")]
    NoApiAnswer(String),
    /// The upstream could not be reached, or left without an answer.
    #[error("{}.", .0.sentence())]
    Upstream(#[from] UpstreamError),
}

/// An operation on a stored chat that failed.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// No such chat, or another user's, which is answered alike.
    #[error("There is no such chat.")]
    NotFound,
    /// An answer is being written in this chat.
    #[error("An answer is still being written in this chat. Wait for it, or stop it first.")]
    Busy,
    /// The question is empty.
    #[error("Please write a question first.")]
    Empty,
    /// The question is too long.
    #[error("A question can have at most {0} characters. Please shorten it.")]
    TooLong(usize),
    /// The title is empty or too long.
    #[error("A title has 1 to {0} characters.")]
    BadTitle(usize),
    /// The search is too long.
    #[error("A search can have at most {characters} characters and {words} words. Please shorten it.")]
    BadSearch {
        /// Most characters.
        characters: usize,
        /// Most words.
        words: usize,
    },
    /// The model cannot be asked.
    #[error(transparent)]
    Completion(#[from] CompletionError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
