//! The facts about an answer, and its end.

use super::chunk::FinishReason;
use crate::error_body::UpstreamErrorBody;
use crate::usage::Usage;

/// The facts about a generation that its answer holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AnswerSummary {
    /// The upstream's id of the generation.
    pub generation_id: Option<String>,
    /// The model that answered, which may not be the one asked for.
    pub model: Option<String>,
    /// The provider that ran the model.
    pub provider: Option<String>,
    /// Tokens and cost, of all reports together.
    pub usage: Option<Usage>,
    /// The upstream's error, whether before or after it had begun to answer.
    pub error: Option<UpstreamErrorBody>,
    /// Why the model stopped.
    pub finish: Option<FinishReason>,
    /// True after the end mark of a stream, or a whole document.
    pub finished: bool,
    /// True when some of it was an answer of a model, or a part of one.
    pub is_answer: bool,
}

impl AnswerSummary {
    /// Adds a report of the usage to what is known.
    pub(super) fn add_usage(&mut self, report: Usage) {
        self.usage = Some(self.usage.map_or(report, |known| known.merged_with(report)));
    }

    /// True when it ended as answers end, with text or without.
    pub fn ended_well(&self) -> bool {
        let failed = self.error.is_some() || matches!(self.finish, Some(FinishReason::Error(_)));
        !failed && self.is_answer && (self.finished || self.finish.is_some())
    }
}

/// The end of an answer, for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerEnd {
    /// It ended as it should and holds text.
    Complete,
    /// The upstream reported an error.
    Error(UpstreamErrorBody),
    /// It is no answer of a model; what it is instead.
    NotAnAnswer(String),
    /// It ended without any mark of an end.
    CutOff,
    /// It was cut at the limit of tokens.
    Length,
    /// A filter of the provider held it back.
    Filtered,
    /// The model refused, in these words.
    Refused(String),
    /// The model wants these tools to be called.
    ToolCalls(Vec<String>),
    /// All it holds is reasoning.
    OnlyReasoning,
    /// It holds images.
    Images,
    /// A part of it was too long to be read.
    LeftOut,
    /// It holds nothing.
    Empty,
}
