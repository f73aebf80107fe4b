// The first day of a company with its assistant: accounts, connection, chats, usage and keys, in real browsers.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { browser as launch, person, shot, until } from "../lib/browser.js";
import { mockUpstream, server } from "../lib/server.js";

const KEY = `sk-or-v1-${"a".repeat(60)}beef`;
let browser, mai, upstream, anna, jan;

before(async () => {
  browser = await launch();
  mai = await server({ MAI_ALLOWED_UPSTREAM_NETWORKS: "127.0.0.0/8" });
  upstream = await mockUpstream(KEY);
  anna = await person(browser, mai.url);
});

after(async () => {
  await browser?.close();
  await mai?.stop();
  await upstream?.stop();
});

const answers = (page) => page.locator(".turn:not(.user)");
const done = (page) => until("the answer is done", async () => (await page.locator("[data-live]").count()) === 0 && (await answers(page).count()) > 0);

/** Asks and waits until something of the answer is there. */
async function ask(page, question) {
  const before = await answers(page).count();
  await page.getByPlaceholder("Ask anything").fill(question);
  await page.keyboard.press("Enter");
  await until("an answer begins", async () => (await answers(page).count()) > before || /\/chat\/.+/.test(page.url()));
}

test("first person who registers becomes the administrator", async () => {
  const { page } = anna;
  await page.goto("/");
  await page.getByText("you become the administrator").waitFor();
  await shot(page, "register-wide-light");
  await page.getByLabel("Name").fill("Anna Nowak");
  await page.getByLabel("E-mail").fill("anna@abc.example");
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByText("Hello, Anna").waitFor();
  await page.getByRole("link", { name: "Users" }).waitFor();
});

test("administrator without a connection is led to its page", async () => {
  const { page } = anna;
  await page.getByText("Not connected to a model yet").waitFor();
  await shot(page, "not-connected-wide-light");
  await page.getByRole("link", { name: "Set up the connection" }).click();
  await page.getByRole("heading", { name: "Connection", level: 1 }).waitFor();
});

test("wrong key is refused and a right one saved", async () => {
  const { page, expectStatus } = anna;
  await page.getByLabel("Base URL").fill(upstream.url);
  await page.getByLabel("API key").fill("sk-or-v1-wrong");
  expectStatus(400);
  await page.getByRole("button", { name: "Save and check" }).click();
  const refused = page.getByRole("alert").filter({ hasText: "Not saved" });
  await refused.getByText("401").waitFor();
  assert.equal(await page.getByLabel("Base URL").inputValue(), upstream.url);
  await page.getByLabel("API key").fill(KEY);
  await page.getByRole("button", { name: "Save and check" }).click();
  await page.getByText("The key was checked and saved").waitFor();
  await page.getByText("A key ending in beef is stored").waitFor();
  assert.ok(!(await page.content()).includes(KEY), "the key itself is shown again");
  await shot(page, "connection-wide-light");
});

test("answer streams as markdown and stays after a reload", async () => {
  const { page } = anna;
  await page.goto("/chat");
  await page.getByText("Write an e-mail").waitFor();
  await shot(page, "welcome-wide-light");
  await ask(page, "What is a good name for a cat?");
  await page.waitForURL(/\/chat\/[0-9a-f-]+$/);
  const lengths = new Set();
  await until("the answer grows", async () => {
    lengths.add((await answers(page).first().innerText().catch(() => "")).length);
    return lengths.size > 3;
  });
  await shot(page, "streaming-wide-light");
  await done(page);
  const answer = answers(page).first();
  await answer.locator("pre code").first().waitFor();
  await answer.locator("table").first().waitFor();
  const text = await answer.locator(".prose").innerText();
  assert.match(text, /good name for a cat/);
  await page.reload();
  assert.equal(await answers(page).first().locator(".prose").innerText(), text);
  await page.locator("#chats").getByText("What is a good name for a cat?").waitFor();
  await shot(page, "chat-wide-light");
  anna.chat = new URL(page.url()).pathname;
});

test("reload and a second tab join an answer in progress", async () => {
  const { page, context } = anna;
  await ask(page, "Tell me a longer story, please.");
  await until("the second answer streams", async () => (await page.locator("[data-live] .answer-done > *").count()) > 0);
  await page.reload();
  const second = await context.newPage();
  await second.goto(page.url());
  await done(page);
  await done(second);
  assert.equal(await answers(second).last().locator(".prose").innerText(), await answers(page).last().locator(".prose").innerText());
  await second.close();
});

test("stopped answer can be regenerated", async () => {
  const { page } = anna;
  await ask(page, "mock: chunks=400 delay=15");
  await until("the third answer streams", async () => (await page.locator("[data-live] .prose > div:not(:empty)").count()) > 0);
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("You stopped this answer").waitFor();
  const count = await answers(page).count();
  const stopped = (await answers(page).last().innerText()).length;
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator("[data-live]").waitFor();
  await done(page);
  assert.equal(await answers(page).count(), count, "the regenerated answer was added, not replaced");
  assert.ok((await answers(page).last().innerText()).length > stopped);
  await page.getByRole("button", { name: "Send" }).waitFor();
});

test("refusal of the upstream is shown with a retry", async () => {
  const { page } = anna;
  await ask(page, "mock: error=402");
  const refused = answers(page).last().locator(".notice.bad");
  await refused.getByText("The answer could not be finished").waitFor();
  await shot(page, "refused-wide-light");
  await answers(page).last().getByRole("button", { name: "Try again" }).waitFor();
  await ask(page, "mock: chunks=40 cut=8");
  await done(page);
  await answers(page).last().locator(".notice.bad").waitFor();
  assert.ok((await answers(page).last().locator(".prose").innerText()).length > 0, "what came before the cut is kept");
  await shot(page, "cut-off-wide-light");
});

test("page follows an answer only for a reader at its end", async () => {
  const { page } = anna;
  const scrolled = () => page.evaluate(() => Math.round(document.scrollingElement.scrollTop));
  const fromEnd = () => page.evaluate(() => { const p = document.scrollingElement; return p.scrollHeight - p.clientHeight - p.scrollTop; });
  await ask(page, "mock: chunks=700 delay=10 size=300");
  await until("the answer is longer than the window", async () => (await page.locator("[data-live]").boundingBox())?.height > 1200);
  await until("the end is in view while it grows", async () => (await fromEnd()) < 200);
  await page.mouse.move(640, 300);
  await page.mouse.wheel(0, -700);
  await page.getByRole("button", { name: "Go to the newest message" }).waitFor();
  const place = await scrolled();
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal(await scrolled(), place, "the page moved under a reader");
  await page.getByRole("button", { name: "Go to the newest message" }).click();
  await done(page);
  await until("the end is in view", async () => (await fromEnd()) < 64);
});

test("draft survives a reload and Shift+Enter adds a line", async () => {
  const { page } = anna;
  const box = page.getByPlaceholder("Ask anything");
  await box.fill("First line");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("second line");
  await page.reload();
  assert.equal(await box.inputValue(), "First line\nsecond line");
  await box.fill("");
});

test("code block is copied verbatim", async () => {
  const { page, context } = anna;
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const code = page.locator(".code").first();
  await code.getByRole("button", { name: "Copy" }).click();
  await code.getByRole("button", { name: "Copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await code.locator("pre").textContent());
});

test("chat can be searched, renamed and deleted", async () => {
  const { page } = anna;
  await page.getByLabel("Search chats").fill("zebra");
  await page.getByText("No chats found").waitFor();
  await page.getByLabel("Search chats").fill("cat");
  await page.locator("#chats a").first().waitFor();
  await page.getByLabel("Search chats").fill("");
  await page.goto("/chat");
  await ask(page, "A chat to be deleted");
  await page.waitForURL(/\/chat\/[0-9a-f-]+$/);
  await done(page);
  await page.locator(".chat-head").getByRole("button", { name: "Chat options" }).click();
  await page.getByLabel("Rename chat").fill("Short-lived");
  await shot(page, "chat-options-wide-light");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#chats").getByText("Short-lived").waitFor();
  await page.locator(".chat-head").getByRole("button", { name: "Chat options" }).click();
  await page.locator("#options").getByRole("button", { name: "Delete" }).first().click();
  await page.locator("#delete").getByRole("button", { name: "Delete" }).click();
  await page.getByText("What can I help you with?").waitFor();
  assert.equal(await page.locator("#chats").getByText("Short-lived").count(), 0);
});

test("generated password of an added user is shown once", async () => {
  const { page } = anna;
  await page.getByRole("link", { name: "Users" }).click();
  await page.getByText("1 of 20 accounts in use").waitFor();
  await page.getByRole("button", { name: "Add user" }).first().click();
  const dialog = page.locator("#add");
  await dialog.getByLabel("Name").fill("Jan Kowalski");
  await dialog.getByLabel("E-mail").fill("jan@abc.example");
  await shot(page, "users-add-wide-light");
  await dialog.getByRole("button", { name: "Add user" }).click();
  await page.getByText("Jan Kowalski can sign in now").waitFor();
  jan = { password: await page.locator("#secret").innerText() };
  assert.match(jan.password, /^[a-z2-9]{4}(-[a-z2-9]{4}){3}$/);
  await page.getByText("2 of 20 accounts in use").waitFor();
  await shot(page, "users-wide-light");
});

test("user cannot open the pages of the administrator", async () => {
  Object.assign(jan, await person(browser, mai.url));
  const { page, expectStatus } = jan;
  await page.goto("/usage?month=2026-01");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.getByLabel("E-mail").fill("jan@abc.example");
  await page.getByLabel("Password").fill("not it at all");
  expectStatus(400);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("do not match").waitFor();
  await shot(page, "sign-in-wide-light");
  await page.getByLabel("Password").fill(jan.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "My usage" }).waitFor();
  for (const path of ["/users", "/connection", "/usage/calls"]) {
    expectStatus(403);
    assert.equal((await page.goto(path)).status(), 403, path);
  }
  await page.getByText("Only for administrators").waitFor();
  await shot(page, "forbidden-wide-light");
  expectStatus(404);
  assert.equal((await page.goto(anna.chat)).status(), 404);
  await page.goto("/chat");
  assert.equal(await page.locator("#chats a").count(), 0, "somebody else's chats are listed");
  assert.equal(await page.getByRole("link", { name: "Usage" }).count(), 0);
});

test("usage page updates without a reload", async () => {
  const { page } = anna;
  await page.goto("/usage");
  const month = page.locator(".tile").filter({ has: page.locator('[data-figure="cost"]') }).locator(".note");
  const requests = async () => parseInt(await month.innerText(), 10);
  // A cent and more is shown without the fractions that an answer costs; one person stays below it.
  const cost = page.getByRole("row", { name: /Jan Kowalski/ }).getByRole("cell").nth(2);
  const costs = async () => ((await cost.count()) === 0 ? "" : await cost.innerText());
  const [before, spent] = [await requests(), await costs()];
  assert.ok(before >= 4, `${before} requests`);
  assert.match(await page.locator('[data-figure="cost"]').innerText(), /^\$\d/);
  await page.evaluate(() => (window.notReloaded = true));
  await ask(jan.page, "Hello from Jan");
  await until("the figure grows", async () => (await requests()) > before);
  await until("the cost grows", async () => /^\$\d/.test(await costs()) && (await costs()) !== spent);
  assert.equal(await page.evaluate(() => window.notReloaded), true);
  await shot(page, "usage-wide-light");
});

test("API key is shown once and works until revoked", async () => {
  const { page } = jan;
  await done(page);
  await page.goto("/account");
  await page.getByPlaceholder("e.g. Report script").fill("Report script");
  await page.getByRole("button", { name: "Create key" }).click();
  const key = await page.locator("#secret").innerText();
  assert.match(key, /^sk-/);
  assert.match(await page.locator(".snippet pre").innerText(), new RegExp(`base_url="${mai.url}/v1"`));
  await shot(page, "account-key-wide-light");
  const models = await fetch(`${mai.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  assert.equal(models.status, 200);
  await page.goto("/account");
  assert.equal(await page.locator("#secret").count(), 0);
  await page.getByRole("button", { name: "Revoke" }).first().click();
  await page.locator(".dialog:popover-open").getByRole("button", { name: "Revoke" }).click();
  await page.getByText("The key was revoked").waitFor();
  const refused = await fetch(`${mai.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  assert.equal(refused.status, 401);
});

test("language chosen in the account applies to all pages", async () => {
  const { page } = anna;
  await page.goto("/account");
  await page.getByLabel("Language").selectOption("pl");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "Konto", level: 1 }).waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "pl");
  await page.goto("/usage");
  await page.getByRole("heading", { name: "Zużycie", level: 1 }).waitFor();
  await shot(page, "usage-polish-wide-light");
});

test("dark appearance applies at once and after a reload", async () => {
  const { page } = anna;
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  await page.getByRole("button", { name: "Ciemny" }).click();
  await until("the background is dark", async () => (await background()) !== light);
  await until("the choice is stored", async () => (await anna.context.cookies()).some(({ name, value }) => name === "theme" && value === "dark"));
  await page.reload();
  assert.notEqual(await background(), light);
});

test("every page fits wide and phone, light and dark, in both languages", async () => {
  const storageState = await anna.context.storageState();
  for (const [size, options] of [["wide", {}], ["phone", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }]]) {
    for (const [theme, language] of [["light", size === "wide" ? "pl" : "en"], ["dark", size === "wide" ? "en" : "pl"]]) {
      const cookies = storageState.cookies.filter(({ name }) => name !== "theme");
      const { page, context, expectStatus, assertQuiet } = await person(browser, mai.url, { ...options, colorScheme: theme, storageState: { cookies, origins: [] } });
      await page.goto("/account");
      await page.locator("#locale").selectOption(language);
      await page.locator("form:has(#locale) .button.primary").click();
      await until("the language is chosen", async () => (await page.locator("html").getAttribute("lang")) === language);
      await page.goto("/chat");
      const chat = await page.locator("#chats a").first().getAttribute("href");
      for (const path of ["/chat", chat, "/users", "/connection", "/usage", "/audit", "/account", "/account/activity", "/nothing-here"]) {
        if (path === "/nothing-here") expectStatus(404);
        await page.goto(path);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(overflow, 0, `${path} scrolls sideways on ${size} in ${language}`);
        await shot(page, `all${path.startsWith("/chat/") ? "-conversation" : path.replaceAll("/", "-")}-${size}-${theme}`);
      }
      if (size === "phone") {
        await page.goto("/chat");
        await page.locator(".topbar").getByRole("button", { name: "Menu" }).click();
        await page.locator("#side").getByText(language === "pl" ? "Nowy czat" : "New chat").first().waitFor();
        await shot(page, `all-drawer-${size}-${theme}`);
        await page.keyboard.press("Escape");
        await page.locator("#side").waitFor({ state: "hidden" });
      }
      assertQuiet();
      await context.close();
    }
  }
});

test("pages work without scripts", async () => {
  const { page, context } = await person(browser, mai.url, { javaScriptEnabled: false });
  await page.goto("/");
  await page.getByLabel("E-mail").fill("anna@abc.example");
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.goto("/users");
  await page.locator("button[popovertarget=add]").first().click();
  await page.locator("#add-name").fill("Ewa Lis");
  await page.locator("#add-email").fill("ewa@abc.example");
  await page.locator("#add form .button.primary").click();
  await page.getByText("Ewa Lis").first().waitFor();
  await page.goto("/usage");
  await page.locator('[data-figure="cost"]').waitFor();
  await context.close();
});

test("sign-out ends the session", async () => {
  const { page } = jan;
  await page.goto("/chat");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.goto("/chat");
  await page.waitForURL(/sign-in/);
});

test("policy violations are noticed by these tests", async () => {
  const { page, context, complaints } = await person(browser, mai.url);
  await page.goto("/sign-in");
  await page.evaluate(() => {
    const script = document.createElement("script");
    try {
      script.textContent = "window.foreign = true";
      document.body.append(script);
    } catch {}
    document.body.setAttribute("style", "color: red");
  });
  await until("both violations are noticed", () => complaints.filter((text) => text.includes("policy violation")).length >= 2);
  assert.equal(await page.evaluate(() => window.foreign), undefined);
  await context.close();
});

test("no page violated its policy or logged an error", () => {
  anna.assertQuiet();
  jan.assertQuiet();
});
