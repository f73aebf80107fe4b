// The chat's composer and thread: keys, drafts, sending and stopping, and staying at the end while an answer grows.

const thread = document.getElementById("thread");
const form = document.getElementById("composer");
const text = document.getElementById("text");

// ---- writing -------------------------------------------------------------------------------------------------------------

// `page.js` removes the drafts of other accounts.
const draftKey = form && `draft:${document.body.dataset.account}:${form.dataset.draft}`;

/** Browsers without `field-sizing` get the height set here. */
function fit() {
  if (CSS.supports("field-sizing", "content")) return;
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
}

function write(value) {
  text.value = value;
  fit();
  text.focus();
  text.setSelectionRange(value.length, value.length);
}

function keepDraft() {
  try {
    if (text.value) localStorage.setItem(draftKey, text.value);
    else localStorage.removeItem(draftKey);
  } catch {
    // Private windows may refuse storage; a draft is then kept by the page alone.
  }
}

function draft() {
  try {
    return localStorage.getItem(draftKey) ?? "";
  } catch {
    return "";
  }
}

if (form) {
  if (!text.value) text.value = draft();
  fit();
  // On a phone the keyboard would cover the page before it was read.
  if (matchMedia("(hover: hover)").matches) {
    text.focus();
    text.setSelectionRange(text.value.length, text.value.length);
  }

  text.addEventListener("input", () => {
    fit();
    keepDraft();
  });

  // The keyboard of a phone has no Shift+Enter: there Enter makes a line, and the button sends.
  const phone = matchMedia("(pointer: coarse) and (hover: none)");
  text.addEventListener("keydown", (event) => {
    // Enter that ends a word of an input method does not send. Safari tells it by 229 alone.
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    if (phone.matches && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    if (text.value.trim() && !writing()) form.requestSubmit();
  });

  form.addEventListener("submit", (event) => {
    if (!text.value.trim() || writing()) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    // A new chat is sent by the browser itself and leaves this page.
    if (!form.hasAttribute("hx-post")) {
      try {
        localStorage.removeItem(draftKey);
      } catch {
        // See keepDraft.
      }
    }
  }, { capture: true });

  /** Shows one of the notices that the page has for what does not fit in here. */
  function say(notice) {
    document.getElementById("problem").replaceChildren(document.getElementById(notice).content.cloneNode(true));
  }

  const hasFiles = (data) => [...(data?.types ?? [])].includes("Files");
  const fits = (added) => text.value.length - (text.selectionEnd - text.selectionStart) + added.length <= text.maxLength;

  text.addEventListener("paste", (event) => {
    const pasted = event.clipboardData?.getData("text/plain") ?? "";
    // Programs for texts and tables put a picture beside what was copied.
    if (!pasted && hasFiles(event.clipboardData)) say("no-files");
    else if (!fits(pasted)) say("too-long");
    else return;
    event.preventDefault();
  });

  // A file that nobody takes would be opened in place of the page.
  document.addEventListener("dragover", (event) => {
    if (hasFiles(event.dataTransfer)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (hasFiles(event.dataTransfer)) say("no-files");
    else if (event.target === text && !fits(event.dataTransfer?.getData("text/plain") ?? "")) say("too-long");
    else return;
    event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const suggestion = event.target.closest("[data-ask]");
    if (!suggestion || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    write(suggestion.dataset.ask);
    keepDraft();
  });
}

// ---- sending and stopping --------------------------------------------------------------------------------------------------

function writing() {
  return Boolean(thread?.querySelector("[data-live]"));
}

function showButtons() {
  const busy = writing();
  form?.querySelector("[data-send]")?.toggleAttribute("hidden", busy);
  form?.querySelector("[data-stop]")?.toggleAttribute("hidden", !busy);
}

document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  if (ctx.sourceElement !== form || !ctx.response?.raw.ok) return;
  document.getElementById("problem").replaceChildren();
  write("");
  keepDraft();
  stick = true;
});

// ---- reading while it is written ------------------------------------------------------------------------------------------

function holdsSelection(element) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.getRangeAt(0).intersectsNode(element);
}

/** Resolves when nothing of an element is selected any more. */
function released(element) {
  return new Promise((resolve) => {
    const check = () => {
      if (element.isConnected && holdsSelection(element)) return;
      document.removeEventListener("selectionchange", check);
      resolve();
    };
    document.addEventListener("selectionchange", check);
    check();
  });
}

// The block that is being written is drawn again and again, and what a reader has selected in it would be lost: it waits for them.
document.addEventListener("htmx:sse:before:message", (event) => {
  const tail = event.target.closest("[data-live]")?.querySelector(".answer-tail");
  if (tail && holdsSelection(tail)) event.detail.waitUntil(released(tail));
});

// So does the written answer, which replaces the one that grew.
document.addEventListener("finished", (event) => {
  const article = event.target.closest("[data-live]");
  if (!article || !holdsSelection(article)) return;
  event.stopImmediatePropagation();
  released(article).then(() => article.isConnected && htmx.trigger(article, "finished"));
}, { capture: true });

// ---- many tabs -------------------------------------------------------------------------------------------------------------

/** Answers that the tabs of a browser follow at once. Without HTTP/2 it has six connections for all of them. */
const MOST_STREAMS = 4;
const POLL_MS = 2000;
/** Older tabs come first. */
const tab = (performance.timeOrigin + performance.now()).toFixed(3).padStart(20, "0") + Math.random();
/** The other tabs that follow an answer. */
const others = new Set();
const tabs = new BroadcastChannel("answers");
let following = false;
/** The stream of this tab. */
let connection;

function follow(now) {
  if (following === now) return;
  following = now;
  tabs.postMessage({ tab, following });
}

function crowded() {
  return [...others].filter((other) => other < tab).length >= MOST_STREAMS;
}

/** Fetches the answer as it is. One that is still written is followed again from there, if it may be. */
function fetchAgain(article) {
  if (article?.isConnected) htmx.trigger(article, "finished");
}

tabs.addEventListener("message", ({ data }) => {
  const isNew = data.following && !others.has(data.tab);
  if (data.following) others.add(data.tab);
  else others.delete(data.tab);
  if (!following) return;
  if (isNew) tabs.postMessage({ tab, following });
  // The place is given up first: without it there may be none to fetch anything.
  if (crowded()) connection?.reader?.cancel();
});

document.addEventListener("htmx:sse:before:connection", (event) => {
  const article = event.target.closest("[data-live]");
  if (!article) return;
  connection = event.detail.connection;
  if (!document.hidden && !crowded()) {
    follow(true);
    return;
  }
  connection.cancelled = true;
  follow(false);
  if (document.hidden) document.addEventListener("visibilitychange", () => fetchAgain(article), { once: true });
  else setTimeout(fetchAgain, POLL_MS, article);
});
document.addEventListener("htmx:sse:close", () => follow(false));
// A tab in the background lets its connection go, and takes it up again.
document.addEventListener("visibilitychange", () => document.hidden && follow(false));
addEventListener("pagehide", () => follow(false));

// ---- staying at the end ------------------------------------------------------------------------------------------------------

const page = document.scrollingElement;
/** True while the page follows the answer: at its end, until the reader scrolls up. */
let stick = true;

function fromEnd() {
  return page.scrollHeight - page.clientHeight - page.scrollTop;
}

function toEnd() {
  page.scrollTo({ top: page.scrollHeight, behavior: "instant" });
}

const toEndButton = document.querySelector("[data-to-end]");
toEndButton?.addEventListener("click", () => {
  stick = true;
  toEnd();
});

if (thread) {
  toEnd();
  showButtons();
  let top = page.scrollTop;
  document.addEventListener("scroll", () => {
    // Growing content never moves the page up, so this was the reader, unless the page became shorter.
    if (fromEnd() < 2) stick = true;
    else if (page.scrollTop < top) stick = false;
    else if (fromEnd() < 64) stick = true;
    top = page.scrollTop;
    toEndButton?.toggleAttribute("hidden", stick);
  }, { passive: true });
  new MutationObserver(() => {
    showButtons();
    if (stick) toEnd();
  }).observe(thread, { childList: true, subtree: true, characterData: true });
}

// The stream of an answer is gone: the reloaded page shows the answer as it was saved.
document.addEventListener("htmx:sse:error", (event) => {
  if (![401, 404].includes(event.detail.status)) return;
  location.reload();
});
