//! Rendering beside the requests: on threads of its own, few at once, and once for each message.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread::available_parallelism;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{Labels, SafeHtml, plain, render};

/// A text up to this long takes less time than handing it to another thread would be worth.
const SHORT: usize = 2048;
/// Most bytes of HTML that are kept. It grows to this only where people read long chats.
const MOST_KEPT: usize = 4 << 20;

/// Renders texts without keeping other requests waiting. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Renderer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// One for each text that may be rendered at the same time.
    turns: Semaphore,
    kept: Mutex<Kept>,
}

/// A message that has ended, in a language, which its copy label stands for.
type Key = (Uuid, &'static str);

/// The HTML of messages, the oldest of which goes first.
#[derive(Debug, Default)]
struct Kept {
    html: HashMap<Key, SafeHtml>,
    order: VecDeque<Key>,
    bytes: usize,
}

impl Kept {
    fn insert(&mut self, key: Key, html: SafeHtml) {
        if html.len() > MOST_KEPT / 4 || self.html.contains_key(&key) {
            return;
        }
        self.bytes += html.len();
        self.html.insert(key, html);
        self.order.push_back(key);
        while self.bytes > MOST_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.html.remove(&oldest).map_or(0, |html| html.len());
        }
    }
}

impl Renderer {
    pub(crate) fn new() -> Self {
        // One core is left to everything else.
        let turns = available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1)).max(1);
        Self(Arc::new(Shared { turns: Semaphore::new(turns), kept: Mutex::default() }))
    }

    /// Renders a message that has ended, or takes its HTML from before: its text never changes.
    pub(crate) async fn render_ended(&self, message: Uuid, text: &str, labels: Labels) -> SafeHtml {
        let key = (message, labels.copy);
        let kept = self.0.kept.lock().html.get(&key).cloned();
        match kept {
            Some(html) => html,
            None => {
                let html = self.render(text, labels).await;
                self.0.kept.lock().insert(key, html.clone());
                html
            }
        }
    }

    /// Renders a text.
    pub(crate) async fn render(&self, text: &str, labels: Labels) -> SafeHtml {
        let work = {
            let text = text.to_owned();
            move || render(&text, labels)
        };
        // A parser that gave up tells nothing about the text.
        self.run(text.len(), work).await.unwrap_or_else(|| plain::plain(text, labels))
    }

    /// Runs work on a text of this length, on another thread if it is long. `None` when it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        length: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if length <= SHORT {
            // Many short ones after each other let others run in between.
            tokio::task::consume_budget().await;
            return Some(work());
        }
        let _turn = self.0.turns.acquire().await.ok()?;
        tokio::task::spawn_blocking(work).await.ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    const LABELS: Labels = Labels { copy: "Copy", plain: "Plain" };

    #[tokio::test]
    async fn html_of_a_message_is_kept_within_a_bound() {
        let renderer = Renderer::new();
        let first = Uuid::from_u128(1);
        assert_eq!(renderer.render_ended(first, "*a*", LABELS).await.to_string(), "<p><em>a</em></p>\n");
        // The text of a message that has ended does not change, so it is not looked at again.
        assert_eq!(renderer.render_ended(first, "*b*", LABELS).await.to_string(), "<p><em>a</em></p>\n");
        let other = Labels { copy: "Kopiuj", ..LABELS };
        assert_eq!(renderer.render_ended(first, "*b*", other).await.to_string(), "<p><em>b</em></p>\n");

        let mut kept = Kept::default();
        for number in 0..20 {
            kept.insert((Uuid::from_u128(number), "Copy"), SafeHtml::from("x".repeat(MOST_KEPT / 8)));
        }
        assert_eq!((kept.html.len(), kept.order.len(), kept.bytes), (8, 8, MOST_KEPT));
        kept.insert((first, "Copy"), SafeHtml::from("x".repeat(MOST_KEPT)));
        assert_eq!(kept.html.len(), 8);
    }

    #[tokio::test]
    async fn panic_of_the_parser_is_survived() {
        let renderer = Renderer::new();
        assert_eq!(renderer.run::<u8>(SHORT + 1, || panic!("the parser gave up")).await, None);
        assert_eq!(renderer.run(SHORT + 1, || 1).await, Some(1));
    }
}
