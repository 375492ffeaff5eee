/** The system's Chromium, headless, for tests of what runs in a browser. */
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"
import { type Browser, chromium, type LaunchOptions } from "playwright-core"

const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "microsoft-edge"]

/** The path. Throws where there is none, naming what to install. */
export function findChromium(): string {
  const { CHROME_PATH, PATH = "" } = process.env
  if (CHROME_PATH) {
    if (isProgram(CHROME_PATH)) return CHROME_PATH
    throw new Error(`CHROME_PATH is ${CHROME_PATH}, which is not a program: give Chromium's path, or unset it`)
  }
  const paths = PATH.split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)))
  const found = paths.find(isProgram)
  if (found) return found
  throw new Error(
    `no Chromium on this machine (looked for ${names.join(", ")}): apt-get install chromium, or set CHROME_PATH`,
  )
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Started for one test file, and closed by `close()` or `await using`. It reaches the loopback interface alone: names of hosts
 * are not found.
 *
 * @param options more `args`, for WebGPU or a small quota
 */
export function launchChromium({ args = [], ...options }: LaunchOptions = {}): Promise<Browser> {
  return chromium.launch({
    executablePath: findChromium(),
    headless: true,
    ...options,
    // The sandbox needs rights that containers and root do not have; pages are our own.
    args: [
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
      ...args,
    ],
  })
}
