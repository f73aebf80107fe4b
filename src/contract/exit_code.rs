//! Exit codes of a server.

/// Exit code of a server that could not serve, by cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Any other cause.
    Failure = 1,
    /// A setting is wrong.
    Configuration = 2,
    /// A newer version of the server wrote the data. Nothing in it was changed.
    DataTooNew = 65,
    /// The data directory cannot be written.
    DataNotWritable = 73,
    /// Another server holds the data directory.
    DataInUse = 75,
    /// A restore has replaced a part of the data and has to be finished or taken back first.
    RestoreUnfinished = 79,
    /// Another program listens on the port.
    PortTaken = 98,
}

impl ExitCode {
    const ALL: [Self; 7] = [
        Self::Failure,
        Self::Configuration,
        Self::DataTooNew,
        Self::DataNotWritable,
        Self::DataInUse,
        Self::RestoreUnfinished,
        Self::PortTaken,
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The cause behind a number that a server ended with.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| i32::from(known.code()) == code)
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;

    #[test]
    fn exit_code_is_found_by_its_number() {
        for code in ExitCode::ALL {
            assert_eq!(ExitCode::from_code(i32::from(code.code())), Some(code));
        }
        assert_eq!(ExitCode::from_code(0), None);
        assert_eq!(ExitCode::from_code(-1), None);
    }
}
