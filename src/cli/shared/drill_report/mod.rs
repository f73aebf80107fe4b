//! The page about the newest drill of an instance that a provider may send to its client, as
//! Markdown or as one HTML file that needs nothing else.
//!
//! [`page`] says what is on it, in the words of [`texts`]; [`markdown`] and [`html`] write it.

mod html;
mod markdown;
mod numbers;
mod page;
mod texts;

use std::io::Write;

use anyhow::Context;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::terminal::PrintableOutput;
use crate::api::{Locale, MaiInstance, MaiInstanceStatus};
use page::Page;
use texts::Language;

/// Form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    /// Markdown
    Md,
    /// One HTML file
    Html,
}

/// Arguments of a report.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ReportArgs {
    /// Form of the report
    #[arg(short, long, value_enum, default_value = "md", value_name = "FORMAT")]
    output: Format,

    /// Language of the report [default: that of spec.server.locale, or English]
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

impl ReportArgs {
    /// Prints the report about the newest drill of an instance.
    pub(in crate::cli) fn print(&self, document: &MaiInstance, status: &MaiInstanceStatus) -> anyhow::Result<()> {
        let text = self.text(document, status, Timestamp::now())?;
        let mut out = PrintableOutput::stdout();
        Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
    }

    fn text(&self, document: &MaiInstance, status: &MaiInstanceStatus, now: Timestamp) -> anyhow::Result<String> {
        let language = self.lang.unwrap_or(match document.spec.server.locale {
            Some(Locale::Pl) => Language::Pl,
            Some(Locale::En) | None => Language::En,
        });
        let zone = document.spec.backup.as_ref().map_or("UTC", |backup| &backup.time_zone);
        let zone = TimeZone::get(zone).with_context(|| format!("time zone {zone} is unknown"))?;
        let name = document.metadata.name.as_deref().unwrap_or_default();
        let backup = status.backup.as_ref();
        let drills = backup.and_then(|backup| backup.drill.as_ref()).filter(|drills| drills.has_ended());
        let drills = drills.with_context(|| {
            format!("no drill of {name} has ended yet, so there is nothing to report; run one with `mai drill` or `kubectl mai drill`, or wait for the first if they are scheduled")
        })?;
        let last_verified = backup.and_then(|backup| backup.last_verified);
        let page = Page::new(document, drills, last_verified, language, &zone, now);
        Ok(match self.output {
            Format::Md => markdown::render(&page),
            Format::Html => html::render(&page),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(more: Value) -> MaiInstance {
        let mut spec = json!({
            "displayName": "<b>Żółw & Co</b>", "openRouter": {"mock": true}, "backup": {"timeZone": "Europe/Warsaw"},
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let document =
            json!({"apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance", "metadata": {"name": "abc"}, "spec": spec});
        serde_json::from_value(document).unwrap()
    }

    fn passed() -> Value {
        json!({
            "id": "20261129-021100-00002a", "at": "2026-11-29T02:14:12Z", "backup": "20261128-010000-1f2e3d",
            "destination": "off-site", "takenAt": "2026-11-28T01:00:00Z", "encrypted": true, "bytes": 1_234_567_890,
            "dataBytes": 2_500_000_000_i64, "files": 1234, "databases": 1, "rows": 56_789, "people": 12, "chats": 340,
            "serverVersion": "0.1.0", "recoverySeconds": 192,
        })
    }

    fn status(drill: Value) -> MaiInstanceStatus {
        let backup = json!({"lastVerified": "2026-11-29T13:00:00Z", "drill": drill});
        serde_json::from_value(json!({"backup": backup})).unwrap()
    }

    fn ended(result: &str, message: &str) -> Value {
        json!({
            "id": "20261129-021100-00002a", "startedAt": "2026-11-29T02:11:00Z", "endedAt": "2026-11-29T02:14:12Z",
            "result": result, "message": message,
        })
    }

    fn report(output: Format, lang: Option<Language>, document: &MaiInstance, drill: Value) -> String {
        let now = "2026-11-29T15:30:00Z".parse().unwrap();
        ReportArgs { output, lang }.text(document, &status(drill), now).unwrap()
    }

    #[test]
    fn passed_drill_is_reported_in_both_languages() {
        let drill = json!({"last": ended("Passed", ""), "passed": passed(), "next": "2026-12-06T02:11:00Z"});
        for (lang, expected) in [
            (
                None,
                [
                    "# Recovery test",
                    "**Passed**",
                    "29 November 2026, 03:14",
                    "3 min 12 s",
                    "1.2\u{a0}GB",
                    "off-site",
                    "1,234",
                    "56,789",
                    "mAI 0.1.0",
                    "6 December 2026, 03:11",
                    "2 h 30 min",
                ],
            ),
            (
                Some(Language::Pl),
                [
                    "# Próba odtworzenia",
                    "**Udana**",
                    "29 listopada 2026, 03:14",
                    "3 min 12 s",
                    "1,2\u{a0}GB",
                    "off-site",
                    "1\u{a0}234",
                    "56\u{a0}789",
                    "mAI 0.1.0",
                    "6 grudnia 2026, 03:11",
                    "2 godz. 30 min",
                ],
            ),
        ] {
            let text = report(Format::Md, lang, &document(json!({})), drill.clone());
            for part in expected {
                assert!(text.contains(part), "{part} is not in:\n{text}");
            }
        }
        let polish = document(json!({"server": {"locale": "pl"}}));
        assert!(report(Format::Md, None, &polish, drill.clone()).contains("# Próba odtworzenia"));
        assert!(report(Format::Md, Some(Language::En), &polish, drill).contains("# Recovery test"));
    }

    #[test]
    fn names_and_causes_are_escaped_in_both_formats() {
        let hostile = "destination <script>alert(1)</script>: a|b *c* [d](e) `f`\nno";
        let drill = json!({"last": ended("Failed", hostile), "passed": passed()});
        let html = report(Format::Html, None, &document(json!({})), drill.clone());
        assert!(html.contains("&lt;b&gt;Żółw &amp; Co&lt;/b&gt;"), "{html}");
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script") && !html.contains("<b>"), "{html}");
        let markdown = report(Format::Md, None, &document(json!({})), drill);
        assert!(markdown.contains("\\<b\\>Żółw & Co\\</b\\>"), "{markdown}");
        assert!(markdown.contains("a\\|b \\*c\\* \\[d\\](e) \\`f\\` no"), "{markdown}");
    }

    #[test]
    fn failed_drill_is_not_hidden_behind_an_earlier_one() {
        let earlier = json!({"last": ended("Failed", "the archive is cut off"), "passed": passed()});
        for format in [Format::Md, Format::Html] {
            let text = report(format, None, &document(json!({})), earlier.clone());
            assert!(text.contains("Failed") && text.contains("the archive is cut off"), "{text}");
            assert!(text.contains("29 November 2026, 03:14") && !text.contains("off-site"), "{text}");
        }
    }

    #[test]
    fn foreign_server_is_reported_as_not_started() {
        let mut passed = passed();
        passed.as_object_mut().unwrap().remove("serverVersion");
        let drill = json!({"last": ended("Passed", ""), "passed": passed});
        let text = report(Format::Md, None, &document(json!({"server": {"kind": "OpenWebUI"}})), drill);
        assert!(text.contains("No server was started") && !text.contains("signed in"), "{text}");
    }

    #[test]
    fn instance_without_a_drill_has_no_report() {
        let args = ReportArgs { output: Format::Md, lang: None };
        let running = json!({
            "last": {"id": "20261129-021100-00002a", "startedAt": "2026-11-29T02:11:00Z", "result": "Running"},
        });
        for status in [MaiInstanceStatus::default(), status(json!({})), status(running)] {
            let error = args.text(&document(json!({})), &status, Timestamp::now()).unwrap_err().to_string();
            assert!(error.contains("no drill of abc has ended yet") && error.contains("mai drill"), "{error}");
        }
    }
}
