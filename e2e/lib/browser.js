// A Chromium that records policy violations, console errors and requests to other hosts, none of which a page may cause.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

export async function browser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
}

/** Opens a browser context of its own. `complaints` collects everything a page must not do. */
export async function person(browser, url, options = {}) {
  const context = await browser.newContext({ baseURL: url, viewport: { width: 1280, height: 860 }, locale: "en-GB", ...options });
  context.setDefaultTimeout(60_000);
  const complaints = [];
  // Chromium reports error statuses on the console; tests announce the ones they expect.
  const expected = [];
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  context.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) complaints.push(`request to ${request.url()}`);
  });
  context.on("console", (message) => {
    if (!["error", "warning"].includes(message.type())) return;
    const announced = expected.findIndex((text) => message.text().includes(text));
    if (announced >= 0) expected.splice(announced, 1);
    else complaints.push(`${message.type()} on ${message.page()?.url()}: ${message.text()}`);
  });
  context.on("weberror", (error) => complaints.push(`exception: ${error.error().stack}`));
  const page = await context.newPage();
  return {
    page,
    context,
    complaints,
    /** Expects one response with this error status. */
    expectStatus: (status) => expected.push(`status of ${status}`),
    assertQuiet: () => assert.deepEqual(complaints, [], "the browser complained"),
  };
}

/** Saves a screenshot when SHOTS names a folder. */
export async function shot(page, name, options = {}) {
  if (!process.env.SHOTS) return;
  mkdirSync(process.env.SHOTS, { recursive: true });
  await page.screenshot({ path: join(process.env.SHOTS, `${name}.png`), animations: "disabled", ...options });
}

/** Waits until `probe` is true. */
export async function until(what, probe, milliseconds = 60_000) {
  const end = Date.now() + milliseconds;
  while (Date.now() < end) {
    if (await probe()) return;
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  assert.fail(`timed out waiting until ${what}`);
}
