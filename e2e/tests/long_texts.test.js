// Names, titles and words as long as they may be stay within the place they are shown in, on wide screens and phones.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { browser as launch, person, shot, until } from "../lib/browser.js";
import { server } from "../lib/server.js";

const WORD = "Donaudampfschifffahrtsgesellschaftskapitän".repeat(3).slice(0, 100);
const SENTENCE = "Quarterly report on deliveries, complaints and everything else that the board has asked for in May".slice(0, 100);
const EMAIL = `${"anna.maria".repeat(6)}@${"long-department".repeat(3)}.example`;
const SIZES = [["wide", {}], ["phone", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }]];
const PAGES = ["/chat", "/users", "/connection", "/usage", "/account"];
let browser, mai, storageState;
const chats = [];

before(async () => {
  browser = await launch();
  mai = await server({ MAI_MOCK_UPSTREAM: "true", WEBUI_NAME: `Company ${WORD}` });
});

after(async () => {
  await browser?.close();
  await mai?.stop();
});

/** Elements whose content is wider than they are, although nothing scrolls or cuts it with an ellipsis. */
function overflowing(page) {
  return page.evaluate(() => {
    const found = [];
    for (const element of document.body.querySelectorAll("*")) {
      if (element.closest("svg, .chart, .visually-hidden, .skip, [hidden], template") || !element.checkVisibility()) continue;
      const style = getComputedStyle(element);
      if (style.display === "inline" || element.scrollWidth <= element.clientWidth + 1) continue;
      const scrolls = ["auto", "scroll"].includes(style.overflowX) && element.matches(".table-scroll, pre, table, textarea");
      const cut = style.overflowX === "hidden" && style.textOverflow === "ellipsis";
      const field = element.matches("input, select");
      if (!scrolls && !cut && !field) found.push(`${element.tagName}.${element.className} ${element.scrollWidth} > ${element.clientWidth}`);
    }
    const page = document.documentElement;
    if (page.scrollWidth > page.clientWidth) found.push(`page ${page.scrollWidth} > ${page.clientWidth}`);
    return found;
  });
}

test("long names of users, keys and chats are accepted", async () => {
  const { page, context, assertQuiet } = await person(browser, mai.url);
  await page.goto("/register");
  await page.getByLabel("Name").fill(WORD);
  await page.getByLabel("E-mail").fill(EMAIL);
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByText("What can I help you with?").waitFor();
  storageState = await context.storageState();
  for (const title of [WORD, SENTENCE]) {
    await page.goto("/chat");
    await page.getByPlaceholder("Ask anything").fill(`${WORD}${WORD} ${SENTENCE}`);
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/chat\/[0-9a-f-]+$/);
    await until("the answer is done", async () => (await page.locator("[data-live]").count()) === 0);
    await page.locator(".chat-head").getByRole("button", { name: "Chat options" }).click();
    await page.getByLabel("Rename chat").fill(title);
    await page.getByRole("button", { name: "Save" }).click();
    await page.locator("#chats").getByText(title).waitFor();
    chats.push(new URL(page.url()).pathname);
  }
  await page.goto("/users");
  await page.getByRole("button", { name: "Add user" }).first().click();
  await page.locator("#add-name").fill(SENTENCE);
  await page.locator("#add-email").fill(`b${EMAIL}`);
  await page.locator("#add form .button.primary").click();
  await page.getByText("can sign in now").waitFor();
  assert.deepEqual(await overflowing(page), []);
  await page.goto("/account");
  await page.locator("#key-name").fill(WORD);
  await page.getByRole("button", { name: "Create key" }).click();
  await page.locator("#secret").waitFor();
  assert.deepEqual(await overflowing(page), []);
  assertQuiet();
  await context.close();
});

for (const [size, options] of SIZES) {
  test(`long chat titles end in an ellipsis on ${size}`, async () => {
    const { page, context } = await person(browser, mai.url, { ...options, storageState });
    for (const chat of ["/chat", ...chats]) {
      await page.goto(chat);
      if (size === "phone") await page.locator(".topbar").getByRole("button", { name: "Menu" }).click();
      await page.locator("#side").waitFor();
      await page.evaluate(() => Promise.all(document.getAnimations().filter((one) => one.effect.getTiming().iterations === 1).map((one) => one.finished)));
      const side = await page.locator("#side").evaluate((element) => ({ right: element.getBoundingClientRect().right }));
      const titles = await page.locator("#chats a").evaluateAll((links) => links.map((link) => {
        const { overflowX, textOverflow, whiteSpace } = getComputedStyle(link);
        return { overflowX, textOverflow, whiteSpace, right: link.getBoundingClientRect().right, cut: link.scrollWidth > link.clientWidth };
      }));
      assert.equal(titles.length, 2);
      for (const { right, ...style } of titles) {
        assert.deepEqual(style, { overflowX: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap", cut: true });
        assert.ok(right <= side.right, `a title ends at ${right}, the sidebar at ${side.right}`);
      }
      const list = await page.locator("#chats").evaluate((element) => element.scrollWidth - element.clientWidth);
      assert.equal(list, 0, "the list of chats scrolls sideways");
      assert.deepEqual(await overflowing(page), [], chat);
      await shot(page, `long-sidebar-${chats.indexOf(chat) + 1}-${size}`);
    }
    await context.close();
  });

  test(`long names and words fit every page on ${size}`, async () => {
    const { page, context } = await person(browser, mai.url, { ...options, storageState });
    for (const path of [...PAGES, ...chats]) {
      await page.goto(path);
      assert.deepEqual(await overflowing(page), [], path);
      await shot(page, `long${path.startsWith("/chat/") ? "-conversation" : path.replaceAll("/", "-")}-${size}`);
    }
    for (const path of ["/users", "/account"]) {
      await page.goto(path);
      await page.locator(".actions button").last().click();
      await page.locator(".dialog:popover-open").waitFor();
      assert.deepEqual(await overflowing(page), [], `dialog of ${path}`);
      await shot(page, `long${path.replaceAll("/", "-")}-dialog-${size}`);
    }
    await context.close();
  });
}

test("long name of the instance fits the sign-in page", async () => {
  for (const [size, options] of SIZES) {
    const { page, context } = await person(browser, mai.url, options);
    await page.goto("/sign-in");
    assert.deepEqual(await overflowing(page), [], size);
    await context.close();
  }
});
