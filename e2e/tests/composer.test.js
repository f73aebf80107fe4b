// Writing and reading in real browsers: input methods, phones, pastes and files, many tabs, other directions, selections.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { browser as launch, person, shot, until } from "../lib/browser.js";
import { mockUpstream, server } from "../lib/server.js";

const KEY = `sk-or-v1-${"b".repeat(60)}beef`;
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
let browser, mai, upstream, anna;

before(async () => {
  browser = await launch();
  upstream = await mockUpstream(KEY);
  mai = await server({ OPENAI_API_BASE_URL: upstream.url, OPENAI_API_KEY: KEY });
  anna = await person(browser, mai.url);
  const { page } = anna;
  await page.goto("/");
  await page.getByLabel("Name").fill("Anna Nowak");
  await page.getByLabel("E-mail").fill("anna@abc.example");
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByText("Hello, Anna").waitFor();
});

after(async () => {
  await browser?.close();
  await mai?.stop();
  await upstream?.stop();
});

const box = (page) => page.getByPlaceholder("Ask anything");
const done = (page) => until("the answer is done", async () => (await page.locator("[data-live]").count()) === 0 && (await page.locator(".turn:not(.user)").count()) > 0);

async function ask(page, question) {
  await page.goto("/chat");
  await box(page).fill(question);
  await page.getByRole("button", { name: "Send" }).click();
  await page.waitForURL(/\/chat\/[0-9a-f-]+$/);
}

/** Presses Enter as a browser tells it, and returns whether the question was sent by it. */
const enter = (page, properties) =>
  page.evaluate((properties) => {
    let sent = false;
    const form = document.getElementById("composer");
    const note = (event) => { sent = true; event.preventDefault(); event.stopImmediatePropagation(); };
    addEventListener("submit", note, { capture: true });
    const event = new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...properties });
    if (properties.keyCode) Object.defineProperty(event, "keyCode", { value: properties.keyCode });
    form.elements.text.dispatchEvent(event);
    removeEventListener("submit", note, { capture: true });
    return sent;
  }, properties);

/** Dispatches an event with data as a browser does, and returns whether its default was prevented. */
const give = (page, type, { text = "", files = [] }) =>
  page.evaluate(({ type, text, files }) => {
    const data = new DataTransfer();
    if (text) data.setData("text/plain", text);
    for (const [name, kind] of files) data.items.add(new File(["x"], name, { type: kind }));
    const options = { bubbles: true, cancelable: true };
    const event = type === "paste" ? new ClipboardEvent(type, { clipboardData: data, ...options }) : new DragEvent(type, { dataTransfer: data, ...options });
    return !document.getElementById("text").dispatchEvent(event);
  }, { type, text, files });

test("Enter sends but for one that ends a word", async () => {
  const { page } = anna;
  await page.goto("/chat");
  await box(page).fill("にほんご");
  for (const [properties, expected] of [
    [{ isComposing: true }, false],
    [{ keyCode: 229 }, false],
    [{ shiftKey: true }, false],
    [{}, true],
  ]) {
    assert.equal(await enter(page, properties), expected, JSON.stringify(properties));
  }
});

test("Enter of a phone makes a line", async () => {
  const { page, context } = await person(browser, mai.url, { ...PHONE, storageState: await anna.context.storageState() });
  await page.goto("/chat");
  await box(page).fill("one");
  assert.equal(await enter(page, {}), false);
  await box(page).press("Enter");
  await box(page).pressSequentially("two");
  assert.equal(await box(page).inputValue(), "one\ntwo");
  await page.getByRole("button", { name: "Send" }).click();
  await page.waitForURL(/\/chat\/[0-9a-f-]+$/);
  await done(page);
  await context.close();
});

test("what does not fit in is answered, and the draft stays", async () => {
  const { page } = anna;
  await page.goto("/chat");
  await box(page).fill("my draft");
  const notice = page.locator("#problem");
  const long = "a".repeat(200_000);
  for (const [type, data, prevented, words] of [
    ["paste", { files: [["shot.png", "image/png"]] }, true, "not supported yet"],
    ["paste", { text: "a cell", files: [["cell.png", "image/png"]] }, false, ""],
    ["paste", { text: "short" }, false, ""],
    ["paste", { text: long }, true, "200,000 characters"],
    ["dragover", { files: [["a.pdf", "application/pdf"]] }, true, ""],
    ["drop", { files: [["a.pdf", "application/pdf"]] }, true, "not supported yet"],
    ["drop", { text: "short" }, false, ""],
  ]) {
    await page.evaluate(() => document.getElementById("problem").replaceChildren());
    assert.equal(await give(page, type, data), prevented, type);
    assert.ok((await notice.innerText()).includes(words) && (words || !(await notice.innerText())), `${type}: ${await notice.innerText()}`);
    assert.equal(await box(page).inputValue(), "my draft");
  }
  await give(page, "paste", { files: [["shot.png", "image/png"]] });
  await shot(page, "composer-no-files-wide-light");
  await box(page).fill("");
});

test("text goes in its own direction and widens nothing", async () => {
  const { page, context } = await person(browser, mai.url, { viewport: { width: 320, height: 700 }, storageState: await anna.context.storageState() });
  for (const [text, direction] of [["שלום, מה שלומך? (בדיקה) 123.", "rtl"], ["Hello (a test) 123.", "ltr"], ["\u202Eevil title\u2066 x", "ltr"], ["w".repeat(3000), "ltr"]]) {
    await ask(page, text);
    const seen = await page.evaluate(() => {
      const question = document.querySelector(".turn.user .turn-text");
      return { direction: getComputedStyle(question).direction, wide: document.scrollingElement.scrollWidth - innerWidth };
    });
    assert.deepEqual({ direction: seen.direction, wide: Math.max(seen.wide, 0) }, { direction, wide: 0 }, text.slice(0, 20));
    await done(page);
    if (direction === "rtl") {
      assert.equal(await page.locator("#chats a").first().evaluate((link) => getComputedStyle(link).direction), "rtl");
      await shot(page, "chat-rtl-narrow-light");
    }
  }
  await box(page).fill("مرحبا");
  assert.equal(await box(page).evaluate((area) => getComputedStyle(area).direction), "rtl");
  await context.close();
});

test("formula is shown as one while streaming and afterwards", async () => {
  const { page } = anna;
  await ask(page, "What is \\(\\frac{a_1}{b_2} = \\sum_{i=0}^{n} x_i\\) for $5?");
  const fraction = page.locator(".turn:not(.user) math mfrac").first();
  await fraction.waitFor();
  await done(page);
  const { height } = await fraction.boundingBox();
  assert.ok(height > 15, `the fraction is ${height} high`);
  assert.match(await page.locator(".turn:not(.user) .prose").innerText(), /\$5/);
  await shot(page, "formula-wide-light");
});

test("selection survives the end of the answer", async () => {
  const { page } = anna;
  await ask(page, "Tell me a longer story, please.");
  await page.locator("[data-live] .answer-done > *").first().waitFor();
  const selected = await page.evaluate(() => {
    const range = document.createRange();
    range.selectNodeContents(document.querySelector("[data-live] .answer-done > *"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    window.ended = false;
    document.addEventListener("htmx:sse:close", () => (window.ended = true));
    return String(getSelection());
  });
  await until("the stream has ended", () => page.evaluate(() => window.ended));
  assert.ok(selected.length > 0);
  assert.equal(await page.evaluate(() => String(getSelection())), selected);
  await box(page).click();
  await done(page);
});

test("selection in the block that is being written stays", async () => {
  const { page } = anna;
  await ask(page, "mock: chunks=60 delay=50 size=20");
  await until("a block is being written", () => page.evaluate(() => document.querySelector("[data-live] .answer-tail > *")?.textContent.length > 60));
  const selected = await page.evaluate(() => {
    const range = document.createRange();
    range.selectNodeContents(document.querySelector("[data-live] .answer-tail > *"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return String(getSelection());
  });
  const shown = () => page.evaluate(() => [String(getSelection()), document.querySelector("[data-live] .answer-tail").innerHTML]);
  await page.waitForTimeout(200);
  const before = await shown();
  await page.waitForTimeout(600);
  // Nothing of the block is drawn again meanwhile.
  assert.deepEqual(await shown(), before);
  assert.equal(before[0].slice(0, selected.trim().length), selected.trim());
  // It goes on where it was as soon as nothing is selected.
  await box(page).click();
  await done(page);
  const whole = await page.evaluate(() => [...document.querySelectorAll(".turn:not(.user) .prose")].at(-1).textContent);
  const plain = (text) => text.replace(/\s+/g, " ").trim();
  assert.ok(plain(whole).startsWith(plain(selected)), `${selected} | ${whole}`);
  assert.ok(whole.length > 2 * selected.length, whole);
});

test("more tabs than a browser has connections work", async () => {
  const { page, context } = anna;
  await ask(page, "mock: chunks=400 delay=25 size=40");
  const url = page.url();
  const more = [];
  for (let tab = 0; tab < 7; tab++) {
    const next = await context.newPage();
    more.push(next);
    await next.goto(url, { waitUntil: "domcontentloaded" });
  }
  // Another page is not held up by those that follow the answer.
  await page.goto("/account");
  await page.goto(url);
  for (const one of [page, ...more]) await done(one);
  const texts = await Promise.all([page, ...more].map((one) => one.locator(".turn:not(.user) .prose").innerText()));
  assert.equal(new Set(texts).size, 1, "all tabs show the same answer");
  for (const one of more) await one.close();
});

test("no page violated its policy or logged an error", () => anna.assertQuiet());
