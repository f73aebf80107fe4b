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

  text.addEventListener("keydown", (event) => {
    // `isComposing`: Enter that ends an input method's word does not send.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
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
