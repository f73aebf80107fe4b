// Nineteen people are invited without a mail server, and a forgotten password is replaced without the provider.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { browser as launch, person, shot } from "../lib/browser.js";
import { server } from "../lib/server.js";

const PASSWORD = "correct horse battery";
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
let browser, mai, anna, links;

before(async () => {
  browser = await launch();
  mai = await server({ MAI_MOCK_UPSTREAM: "true" });
  anna = await person(browser, mai.url);
  const { page } = anna;
  await page.goto("/");
  await page.getByLabel("Name").fill("Anna Nowak");
  await page.getByLabel("E-mail").fill("anna@abc.example");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByText("Hello, Anna").waitFor();
});

after(async () => {
  await browser?.close();
  await mai?.stop();
});

test("nineteen people are invited from a pasted list", async () => {
  const { page } = anna;
  await page.goto("/users");
  await page.getByRole("link", { name: "Invite people" }).click();
  const people = Array.from({ length: 19 }, (_, index) => `Jan Kowalski ${index + 1}; jan${index + 1}@abc.example`);
  await page.getByRole("textbox", { name: "People" }).fill(["Name; E-mail", ...people, "=cmd; x@abc.example"].join("\n"));
  await page.getByRole("button", { name: "Check the list" }).click();
  await page.getByText("One line is left out.").waitFor();
  await shot(page, "invitations-checked-wide-light", { fullPage: true });
  await page.getByRole("button", { name: "Invite 19 people" }).click();
  await page.getByText("19 people are invited.").waitFor();
  links = await page.locator(".links code").allTextContents();
  assert.equal(new Set(links).size, 19);
  await shot(page, "invitations-links-wide-light", { fullPage: true });
  await page.setViewportSize(PHONE.viewport);
  await shot(page, "invitations-links-phone-light", { fullPage: true });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page is wider than the phone");
  await page.setViewportSize({ width: 1280, height: 860 });
});

test("an invited person chooses a password and is in", async () => {
  const jan = await person(browser, mai.url, { ...PHONE, locale: "pl-PL" });
  await jan.page.goto(links[0]);
  await jan.page.getByText("Witaj, Jan Kowalski 1").waitFor();
  await shot(jan.page, "invitation-phone-pl");
  await jan.page.getByLabel("Hasło").fill(PASSWORD);
  await jan.page.getByRole("button", { name: "Utwórz konto" }).click();
  await jan.page.waitForURL(/\/chat$/);
  jan.expectStatus(410);
  await jan.page.goto(links[0]);
  await jan.page.getByText("Został już wykorzystany").waitFor();
  await shot(jan.page, "invitation-used-phone-pl");
  jan.assertQuiet();
});

test("a forgotten password is replaced by a link", async () => {
  const { page } = anna;
  await page.goto("/users");
  await page.getByRole("button", { name: "Reset password: Jan Kowalski 1", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await shot(page, "password-link-wide-light");
  await dialog.getByRole("button", { name: "Make a link" }).click();
  const link = await page.locator("#secret").textContent();
  const jan = await person(browser, mai.url, { colorScheme: "dark" });
  await jan.page.goto(link);
  await jan.page.getByLabel("New password").fill("another good password");
  await shot(jan.page, "new-password-wide-dark");
  await jan.page.getByRole("button", { name: "Save" }).click();
  await jan.page.getByText("Please sign in").waitFor();
  await jan.page.getByRole("link", { name: "Sign in" }).click();
  await jan.page.getByLabel("E-mail").fill("jan1@abc.example");
  await jan.page.getByLabel("Password").fill("another good password");
  await jan.page.getByRole("button", { name: "Sign in" }).click();
  await jan.page.getByText("What can I help you with?").waitFor();
  jan.assertQuiet();
});

test("an invitation is renewed and withdrawn", async () => {
  const { page } = anna;
  await page.goto("/users/invitations");
  await page.getByRole("button", { name: /^New link.*Jan Kowalski 2$/ }).click();
  const link = await page.locator(".links code").textContent();
  assert.ok(!links.includes(link));
  await page.getByRole("button", { name: /^Withdraw.*Jan Kowalski 3$/ }).click();
  await page.getByText("The invitation was withdrawn.").waitFor();
  await page.emulateMedia({ colorScheme: "dark" });
  await shot(page, "invitations-open-wide-dark", { fullPage: true });
  anna.assertQuiet();
});
