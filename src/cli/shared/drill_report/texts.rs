//! Words of the report, in both languages side by side.

use crate::api::Drill;

/// Language of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Language {
    /// English
    En,
    /// Polish
    Pl,
}

impl Language {
    /// Code of the language in HTML.
    pub(super) fn code(self) -> &'static str {
        self.choose("en", "pl")
    }

    fn choose(self, english: &'static str, polish: &'static str) -> &'static str {
        match self {
            Self::En => english,
            Self::Pl => polish,
        }
    }
}

/// Defines functions that return a text in a language.
macro_rules! texts {
    ($($name:ident { en: $english:expr, pl: $polish:expr $(,)? })*) => {
        impl Language {
            $(pub(super) fn $name(self) -> &'static str {
                self.choose($english, $polish)
            })*
        }
    };
}

texts! {
    title { en: "Recovery test", pl: "Próba odtworzenia" }
    passed { en: "Passed", pl: "Udana" }
    failed { en: "Failed", pl: "Nieudana" }
    works {
        en: "A backup was brought back, and a server worked on it.",
        pl: "Kopia zapasowa została odtworzona, a serwer na niej zadziałał.",
    }
    is_whole {
        en: "A backup was brought back, and all of it is there.",
        pl: "Kopia zapasowa została odtworzona i jest kompletna.",
    }
    does_not_work {
        en: "A backup could not be brought back. It is tried again by itself.",
        pl: "Kopii zapasowej nie udało się odtworzyć. Próba zostanie powtórzona automatycznie.",
    }
    cause { en: "Cause", pl: "Przyczyna" }
    recovery_time { en: "Time to recover", pl: "Czas odtworzenia" }
    tested { en: "Tested", pl: "Data próby" }
    taken { en: "Backup taken", pl: "Kopia z dnia" }
    backup { en: "Backup", pl: "Kopia" }
    archive { en: "Archive", pl: "Archiwum" }
    data { en: "Data", pl: "Dane" }
    read_from { en: "Read from", pl: "Odczytana z" }
    backups_volume { en: "backups volume of the server", pl: "wolumin kopii na serwerze" }
    last_passed { en: "Last passed", pl: "Ostatnia udana próba" }
    never { en: "never", pl: "nigdy" }
    next { en: "Next test", pl: "Następna próba" }
    on_demand { en: "on demand", pl: "na żądanie" }
    checked { en: "What was checked", pl: "Co sprawdzono" }
    checked_archive {
        en: "The archive was read in full, and its checksum is the recorded one",
        pl: "Archiwum odczytano w całości, a jego suma kontrolna zgadza się z zapisaną",
    }
    checked_encryption {
        en: "It is encrypted, and its key opened it",
        pl: "Archiwum jest zaszyfrowane, a jego klucz je otworzył",
    }
    checked_files {
        en: "Files compared by size and checksum",
        pl: "Pliki porównane co do rozmiaru i sumy kontrolnej",
    }
    checked_databases {
        en: "Databases checked for damage",
        pl: "Bazy danych sprawdzone pod kątem uszkodzeń",
    }
    checked_rows {
        en: "Rows in them counted and compared",
        pl: "Wiersze w bazach policzone i porównane",
    }
    checked_start {
        en: "A server was started on the data and answered",
        pl: "Serwer uruchomiony na danych odpowiedział",
    }
    checked_sign_in {
        en: "A test account signed in",
        pl: "Konto testowe zalogowało się",
    }
    listed_people {
        en: "Accounts that the server listed",
        pl: "Konta wymienione przez serwer",
    }
    counted_people { en: "Accounts in the database", pl: "Konta w bazie danych" }
    counted_chats { en: "Chats in the database", pl: "Rozmowy w bazie danych" }
    no_server {
        en: "No server was started, since its program is not part of mAI. Files, databases and counts were checked all the same.",
        pl: "Serwera nie uruchomiono, ponieważ jego program nie jest częścią mAI. Pliki, bazy danych i liczby sprawdzono tak samo.",
    }
    loss { en: "What could be lost", pl: "Co można utracić" }
    no_verified {
        en: "There is no verified backup, so all of the data could be lost.",
        pl: "Nie ma sprawdzonej kopii, więc można utracić wszystkie dane.",
    }
    method { en: "How it is done", pl: "Jak to działa" }
}

impl Language {
    /// Returns a sentence about what was written since the newest verified backup.
    pub(super) fn loss_window(self, taken: &str, age: &str) -> String {
        match self {
            Self::En => format!(
                "If the server were lost, so would be what was written since the newest verified backup. It was taken on {taken}, {age} before this page was made."
            ),
            Self::Pl => format!(
                "W razie utraty serwera przepadnie to, co zapisano po ostatniej sprawdzonej kopii. Wykonano ją {taken}, czyli {age} przed utworzeniem tej strony."
            ),
        }
    }

    /// Returns a paragraph about drills of this interval.
    pub(super) fn method_words(self, interval: Drill) -> String {
        let (often, rest) = match self {
            Self::En => (
                match interval {
                    Drill::Daily => "Every day",
                    Drill::Weekly => "Every week",
                    Drill::Monthly => "Every month",
                    Drill::Never => "On demand",
                },
                "a random backup is read from where it is stored, unpacked apart from the data in use, and compared with what was recorded when it was made. A separate server that reaches nothing else is started on it. The time counts from the choice of the backup until that server is ready. Nothing of it is kept, and people who work meanwhile notice nothing.",
            ),
            Self::Pl => (
                match interval {
                    Drill::Daily => "Codziennie",
                    Drill::Weekly => "Co tydzień",
                    Drill::Monthly => "Co miesiąc",
                    Drill::Never => "Na żądanie",
                },
                "losowa kopia jest odczytywana z miejsca, w którym jest przechowywana, rozpakowywana z dala od danych w użyciu i porównywana z tym, co zapisano przy jej tworzeniu. Na niej uruchamiany jest osobny serwer, który nie łączy się z niczym innym. Czas liczy się od wyboru kopii do gotowości tego serwera. Nic z tego nie zostaje, a osoby pracujące w tym czasie niczego nie zauważają.",
            ),
        };
        format!("{often} {rest}")
    }

    /// Returns the line about the origin of the page.
    pub(super) fn made(self, at: &str, zone: &str) -> String {
        match self {
            Self::En => format!("Made by mAI operator on {at}. Times are in {zone}."),
            Self::Pl => format!("Przygotował mAI operator {at}. Godziny w strefie {zone}."),
        }
    }
}
