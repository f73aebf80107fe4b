// An employee meets a budget, reads why, and goes on once the administrator has raised it; what changes shows without a reload.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { browser as launch, person, shot, until } from "../lib/browser.js";
import { mockUpstream, server } from "../lib/server.js";

const KEY = `sk-or-v1-${"b".repeat(60)}beef`;
const PASSWORD = "correct horse battery";
let browser, mai, upstream, anna, jan, watching;

async function post(path, body, token) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(`${mai.url}/api/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, path);
  return answer.json();
}

async function signedIn(email) {
  const somebody = await person(browser, mai.url);
  await somebody.page.goto("/sign-in");
  await somebody.page.getByLabel("E-mail").fill(email);
  await somebody.page.getByLabel("Password").fill(PASSWORD);
  await somebody.page.getByRole("button", { name: "Sign in" }).click();
  await somebody.page.getByText("What can I help you with?").waitFor();
  return somebody;
}

before(async () => {
  browser = await launch();
  upstream = await mockUpstream(KEY);
  mai = await server({ OPENAI_API_BASE_URL: upstream.url, OPENAI_API_KEY: KEY, MAI_MARKUP: "1.3" });
  const { token } = await post("auths/signup", { name: "Anna Nowak", email: "anna@abc.example", password: PASSWORD });
  await post("auths/add", { name: "Jan Kowalski", email: "jan@abc.example", password: PASSWORD, role: "user" }, token);
  anna = await signedIn("anna@abc.example");
  jan = await signedIn("jan@abc.example");
  watching = await anna.context.newPage();
  await watching.goto("/usage");
  await watching.getByText("Nothing limits what people spend").waitFor();
  await watching.evaluate(() => (window.notReloaded = true));
});

after(async () => {
  await browser?.close();
  await mai?.stop();
  await upstream?.stop();
});

async function ask(question) {
  await jan.page.getByPlaceholder("Ask anything").fill(question);
  await jan.page.keyboard.press("Enter");
}

test("administrator sets a budget, and an open page shows it", async () => {
  const { page, expectStatus } = anna;
  await page.goto("/usage");
  const set = async (limit) => {
    await page.getByRole("button", { name: "Set a budget" }).first().click();
    const dialog = page.locator("#set-budget");
    await dialog.getByLabel("Whose spending").selectOption({ label: "Jan Kowalski" });
    await dialog.getByLabel("Limit in USD").fill(limit);
    await shot(page, "budget-form-wide-light");
    await dialog.getByRole("button", { name: "Set a budget" }).click();
  };
  expectStatus(400);
  await set("a lot");
  await page.getByText("Enter a limit from 0").waitFor();
  await set("0");
  await page.locator(".budget-head b").getByText("Jan Kowalski").waitFor();
  await watching.locator(".budget-head b").getByText("Jan Kowalski").waitFor();
});

test("employee reads why nothing is answered, and keeps the question", async () => {
  const { page } = jan;
  await page.goto("/chat");
  await page.locator("#budget-left").getByText("$0.00 of your budget of $0.00 left").waitFor();
  await ask("How do I write an offer?");
  await page.getByText("Your budget of $0.00 is not enough for this answer").waitFor();
  await page.getByText("An administrator can raise it under Usage.").waitFor();
  await page.locator(".turn.user").getByText("How do I write an offer?").waitFor();
  await shot(page, "budget-refused-wide-light");
  await page.locator("#budget-left a").click();
  await page.getByRole("heading", { name: "My usage" }).waitFor();
  await page.getByText("All is used; nothing more is answered").waitFor();
  await page.goBack();
});

test("administrator raises it in two clicks, and an open page shows it", async () => {
  const { page } = anna;
  await page.getByRole("button", { name: "Raise for this month" }).click();
  await shot(page, "budget-raise-wide-light");
  await page.locator(".dialog:popover-open").getByRole("button", { name: "+ $1.00" }).click();
  await page.locator(".budget").getByText("$1.00 left until").waitFor();
  await watching.locator(".budget").getByText("$1.00 left until").waitFor();
});

test("employee goes on, and open pages show tokens, price and what is left", async () => {
  const { page } = jan;
  const row = watching.locator(".matrix").getByRole("row", { name: /Jan Kowalski/ });
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".used").getByText(/\d tokens · \$0\.0\d+/).waitFor();
  await page.locator("#budget-left").getByText(/of your budget of \$1\.00 left/).waitFor();
  await until("the administrator's page shows the cost", async () => (await row.count()) === 1 && /\$0\.0\d+/.test(await row.innerText()));
  assert.equal(await watching.evaluate(() => window.notReloaded), true);
  await shot(page, "budget-answered-wide-light");
});

test("pages of usage fit wide and phone, light and dark, in both languages", async () => {
  for (const { page, context } of [anna, jan]) {
    const { cookies } = await context.storageState();
    const who = page === anna.page ? "admin" : "employee";
    const paths = who === "admin" ? ["/usage", "/usage/me", "/usage/calls"] : ["/usage/me", "/chat"];
    for (const [size, options] of [["wide", {}], ["phone", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }]]) {
      for (const [theme, locale] of [["light", "en-GB"], ["dark", "pl-PL"]]) {
        const reader = await person(browser, mai.url, { ...options, locale, colorScheme: theme, storageState: { cookies, origins: [] } });
        for (const path of paths) {
          await reader.page.goto(path);
          const overflow = await reader.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          assert.equal(overflow, 0, `${path} scrolls sideways on ${size}`);
          await shot(reader.page, `money-${who}${path.replaceAll("/", "-")}-${size}-${theme}`, { fullPage: true });
        }
        reader.assertQuiet();
        await reader.context.close();
      }
    }
  }
});

test("nothing of this made the browser complain", () => {
  anna.assertQuiet();
  jan.assertQuiet();
});
