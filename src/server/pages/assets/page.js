// On every page: copying, changing the appearance without a reload, and leaving nothing to the next person at the
// same computer. Everything else works without a script.

/** Says "Copied" on the button for a moment, then gives it its own content back. */
function confirmCopy(button) {
  if (button.dataset.busy) return;
  button.dataset.busy = "true";
  const content = [...button.childNodes];
  button.replaceChildren(document.body.dataset.copied);
  setTimeout(() => {
    button.replaceChildren(...content);
    delete button.dataset.busy;
  }, 1600);
}

/** The clipboard needs https or localhost; on a plain http address in a local network the old way still works. */
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  (document.querySelector(":popover-open") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("the browser did not let the page copy");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], .copy-code");
  if (!button) return;
  const source = button.dataset.copy
    ? document.getElementById(button.dataset.copy)
    : button.closest(".code")?.querySelector("pre");
  if (!source) return;
  try {
    await copy((source.content ?? source).textContent);
    confirmCopy(button);
  } catch (error) {
    console.warn(error);
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-themes]");
  const chosen = event.submitter?.value;
  if (!form || !chosen) return;
  event.preventDefault();
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button === event.submitter));
  fetch(form.action, { method: "POST", body: new URLSearchParams({ theme: chosen }), redirect: "manual" });
});

// ---- the next person at this computer ------------------------------------------------------------------------------------

const { account } = document.body.dataset;

/** Removes the drafts kept in this browser, but for those of one account. */
function removeDrafts(kept) {
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith("draft:") && !(kept && key.startsWith(`draft:${kept}:`))) localStorage.removeItem(key);
    }
  } catch {
    // Private windows may refuse storage; then there are none.
  }
}

if (account) {
  removeDrafts(account);
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-sign-out]")) removeDrafts();
  });
  // "Back" may show a page as it was left, also after its reader has signed out: it is hidden until it is fetched again.
  addEventListener("pagehide", (event) => {
    if (event.persisted) document.documentElement.dataset.left = "";
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}
