//! `GET /chat/{id}/messages/{message}/stream`: an answer as it is written, from its start, to any
//! number of readers.

use std::{convert::Infallible, pin::Pin, time::Duration};

use axum::{
    extract::{Path, State},
    http::HeaderValue,
    response::{
        Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{parse, turn::labels};
use crate::{
    chat::{AnswerEvent, Answers},
    markdown::{Change, Labels, LiveMarkdown, Part, Patch, Renderer},
    pages::{error_page::ErrorPage, layout::SignedInVisitor, response},
};

pub(super) async fn stream_answer(
    State(answers): State<Answers>,
    State(renderer): State<Renderer>,
    State(closing): State<CancellationToken>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Path((_, message)): Path<(String, String)>,
) -> Result<Response, ErrorPage> {
    let message = layout.check(parse(&message))?;
    let events = layout.check(answers.follow(&user.id, message).await)?;
    let answer = AnswerStream::new(events, message, renderer, labels(&layout));
    let events = stream::unfold(answer, |mut answer| async move {
        answer.next().await.map(|event| (Ok::<_, Infallible>(event), answer))
    })
    // The page joins the answer again after the restart.
    .take_until(async move { closing.cancelled().await });
    let mut response = response::events(Sse::new(events).keep_alive(KeepAlive::default()));
    // A proxy must not buffer what is meant to appear at once.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Shortest interval between two events.
const INTERVAL: Duration = Duration::from_millis(100);
/// The part of the time that is spent on drawing for one reader at most, as a fraction of it.
const DRAWING_SHARE: u32 = 8;

/// The events of an answer for one reader: what is finished once, the open end again and again.
struct AnswerStream {
    events: Pin<Box<dyn Stream<Item = AnswerEvent> + Send>>,
    id: Uuid,
    renderer: Renderer,
    /// `None` when it could not be drawn; the saved answer follows in the end.
    live: Option<LiveMarkdown>,
    interval: Duration,
    end: End,
}

/// The end of a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    /// The answer has ended and is drawn to its end.
    Reached,
    Told,
}

impl AnswerStream {
    fn new(
        events: impl Stream<Item = AnswerEvent> + Send + 'static,
        id: Uuid,
        renderer: Renderer,
        labels: Labels,
    ) -> Self {
        let live = Some(LiveMarkdown::new(labels));
        Self { events: Box::pin(events), id, renderer, live, interval: INTERVAL, end: End::NotYet }
    }

    async fn next(&mut self) -> Option<Event> {
        while self.end == End::NotYet {
            let first = self.events.next().await;
            self.apply(first);
            let until = Instant::now() + self.interval;
            while self.end == End::NotYet {
                match timeout_at(until, self.events.next()).await {
                    Ok(event) => self.apply(event),
                    Err(_) => break,
                }
            }
            let html = self.draw().await;
            if !html.is_empty() {
                return Some(Event::default().data(html));
            }
        }
        if self.end == End::Told {
            return None;
        }
        self.end = End::Told;
        // The page then fetches the saved answer, with its buttons and any problem.
        Some(Event::default().event("finished").data(""))
    }

    fn apply(&mut self, event: Option<AnswerEvent>) {
        match event {
            Some(AnswerEvent::Text(text)) => {
                if let Some(live) = &mut self.live {
                    live.push(&text);
                }
            }
            Some(AnswerEvent::Done | AnswerEvent::Stopped | AnswerEvent::Failed(_)) | None => self.end = End::Reached,
        }
    }

    /// Returns the elements by which htmx changes the page.
    async fn draw(&mut self) -> String {
        let Some(mut live) = self.live.take() else { return String::new() };
        let (begun, is_last) = (Instant::now(), self.end != End::NotYet);
        let drawing = self.renderer.run(live.open_length(), move || {
            let patches = if is_last { live.last_patches() } else { live.patches() };
            (live, patches)
        });
        let Some((live, patches)) = drawing.await else { return String::new() };
        self.live = Some(live);
        self.interval = INTERVAL.max(begun.elapsed() * DRAWING_SHARE);
        patches.iter().map(|patch| element(self.id, patch)).collect()
    }
}

/// Returns the element that has htmx change a part of the page.
fn element(id: Uuid, Patch { part, within, change, html }: &Patch) -> String {
    let part = match part {
        Part::Done => "done",
        Part::Tail => "tail",
    };
    let swap = match change {
        Change::Replace => "innerHTML",
        Change::Append => "beforeend",
    };
    format!("<hx-partial hx-target=\"#m-{id}-{part}{within}\" hx-swap=\"{swap}\">{html}</hx-partial>")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::chat::AnswerFailure;

    fn answer_stream(events: impl Stream<Item = AnswerEvent> + Send + 'static) -> AnswerStream {
        let labels = Labels { copy: "Copy", plain: "Plain" };
        AnswerStream::new(events, Uuid::nil(), Renderer::new(), labels)
    }

    async fn drawn(answer: &mut AnswerStream, text: &str) -> String {
        answer.apply(Some(AnswerEvent::Text(text.to_owned())));
        answer.draw().await
    }

    #[tokio::test]
    async fn first_event_replaces_the_page_and_later_ones_append() {
        let mut answer = answer_stream(stream::pending());
        let nil = Uuid::nil();
        assert_eq!(
            drawn(&mut answer, "# One\n\nTwo\n\nThr").await,
            format!(
                "<hx-partial hx-target=\"#m-{nil}-done\" hx-swap=\"innerHTML\"><h1>One</h1>\n</hx-partial>\
                 <hx-partial hx-target=\"#m-{nil}-tail\" hx-swap=\"innerHTML\"><p>Two</p>\n<p>Thr</p>\n</hx-partial>"
            )
        );
        assert_eq!(
            drawn(&mut answer, "ee").await,
            format!("<hx-partial hx-target=\"#m-{nil}-tail > :last-child\" hx-swap=\"beforeend\">ee</hx-partial>")
        );
        let html = drawn(&mut answer, "\n\nFour\n").await;
        assert!(html.contains("-done\" hx-swap=\"beforeend\"><p>Two</p>\n<p>Three</p>"), "{html}");
    }

    #[tokio::test]
    async fn stream_ends_with_its_last_words_and_one_finished_event() {
        for end in [AnswerEvent::Done, AnswerEvent::Stopped, AnswerEvent::Failed(AnswerFailure::worded("why"))] {
            let mut answer = answer_stream(stream::iter([AnswerEvent::Text("Hi".to_owned()), end]));
            let mut events = Vec::new();
            while let Some(event) = answer.next().await {
                events.push(format!("{event:?}"));
            }
            assert!(events.len() == 2 && events[0].contains("Hi") && events[1].contains("finished"), "{events:?}");
        }
    }
}
