// Starts `mai serve` with a data directory of its own and ends it again.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Below the ports that the kernel assigns to outgoing connections, such as those of the browser.
let nextPort = 15_000 + (process.pid % 150) * 100;

/** Returns a port that nobody listens on, another one at each call. */
export async function freePort() {
  for (;;) {
    const port = nextPort++;
    const server = createServer();
    const free = await new Promise((resolve) => server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)));
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** Starts a verb of `mai` and waits until `ready` accepts the response of `url`. */
async function start(args, env, url, ready) {
  const child = spawn(process.env.MAI, args, { env: { PATH: process.env.PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (log += bytes));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  let over = false;
  ended.then(() => (over = true));
  for (let waited = 0; waited < 120_000 && !over; waited += 50) {
    const answer = await fetch(url).catch(() => null);
    if (answer && ready(answer)) {
      return {
        log: () => log,
        async stop() {
          child.kill("SIGTERM");
          await ended;
        },
      };
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  child.kill("SIGKILL");
  throw new Error(`mai ${args.join(" ")} did not come up:\n${log}`);
}

/** Starts a mock of OpenRouter that accepts one key, and answers so slowly that a slow browser sees its answers grow. */
export async function mockUpstream(key) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/api/v1`;
  const process = await start(["mock-upstream", "--listen", `127.0.0.1:${port}`, "--key", key, "--delay", "60"], {}, `${url}/models`, () => true);
  return { url, ...process };
}

/** Starts a server without accounts; without a connection unless `env` says otherwise. */
export async function server(env = {}) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const data = mkdtempSync(join(tmpdir(), "mai-e2e-"));
  const process = await start(
    ["serve"],
    { HOST: "127.0.0.1", PORT: String(port), DATA_DIR: data, WEBUI_NAME: "Company ABC", MAI_NBP_URL: "off", ...env },
    `${url}/ready`,
    (answer) => answer.ok,
  );
  return {
    url,
    log: process.log,
    async stop() {
      await process.stop();
      rmSync(data, { recursive: true });
    },
  };
}
