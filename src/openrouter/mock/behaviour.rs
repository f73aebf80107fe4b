//! The behaviour of the mock that one request asks for.

use std::time::Duration;

/// Read from `metadata.mock` of the request or, so that a person can try it in the chat, from a
/// question that begins with `mock:`. Settings are separated by spaces or commas, for instance
/// `chunks=21 delay=0 cut=5`:
///
/// | setting | effect |
/// |---|---|
/// | `error=402` | refuse with this status before the first token (400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503) |
/// | `fail=N` | an error event after N chunks, then the stream ends |
/// | `cut=N` | the connection is cut after N chunks |
/// | `chunks=N` | an answer of N chunks of plain words |
/// | `size=N` | each of those chunks holds N bytes of text (8) |
/// | `text=T` | their text is T, repeated |
/// | `delay=MS` | wait before each chunk; a whole answer waits for all of them |
/// | `first=MS` | wait before the first chunk, after the head and a comment |
/// | `head=MS` | wait before the head |
/// | `store=MS` | how long after its end `/generation` does not know the generation (500) |
/// | `usage=none` | no usage is reported in the answer |
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behaviour {
    pub(super) error: Option<u16>,
    pub(super) fail: Option<usize>,
    pub(super) cut: Option<usize>,
    pub(super) chunks: Option<usize>,
    pub(super) size: Option<usize>,
    pub(super) text: Option<String>,
    pub(super) delay: Option<Duration>,
    pub(super) first: Duration,
    pub(super) head: Duration,
    pub(super) store: Option<Duration>,
    pub(super) no_usage: bool,
}

impl Behaviour {
    /// Reads settings; an unknown one is an error.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut behaviour = Self::default();
        for setting in text.split([' ', ',', '\n', '\t']).filter(|setting| !setting.is_empty()) {
            let refuse = || format!("the mock does not know `{setting}`");
            let (name, value) = setting.split_once('=').ok_or_else(refuse)?;
            if (name, value) == ("usage", "none") {
                behaviour.no_usage = true;
                continue;
            }
            if name == "text" && !value.is_empty() {
                behaviour.text = Some(value.to_owned());
                continue;
            }
            let number: u32 = value.parse().map_err(|_| refuse())?;
            let count = number as usize;
            let wait = Duration::from_millis(number.into());
            match name {
                "error" => {
                    let code = u16::try_from(number).ok().filter(|code| (400..600).contains(code));
                    behaviour.error = Some(code.ok_or_else(refuse)?);
                }
                "fail" => behaviour.fail = Some(count),
                "cut" => behaviour.cut = Some(count),
                "chunks" => behaviour.chunks = Some(count.min(100_000)),
                "size" => behaviour.size = Some(count.min(1 << 20)),
                "delay" => behaviour.delay = Some(wait),
                "first" => behaviour.first = wait,
                "head" => behaviour.head = wait,
                "store" => behaviour.store = Some(wait),
                _ => return Err(refuse()),
            }
        }
        Ok(behaviour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_parsed_from_one_line() {
        let behaviour = Behaviour::parse("chunks=21 delay=0, cut=5 usage=none text=>");
        let expected = Behaviour {
            chunks: Some(21),
            delay: Some(Duration::ZERO),
            cut: Some(5),
            no_usage: true,
            text: Some(">".to_owned()),
            ..Behaviour::default()
        };
        assert_eq!(behaviour, Ok(expected));
        assert_eq!(Behaviour::parse("chunks=21 colour=red"), Err("the mock does not know `colour=red`".to_owned()));
        assert!(Behaviour::parse("error=200").is_err());
    }
}
