import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { homedir, tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { ownCacheDir } from "../native/own-cache.ts"
import { defaultCacheDir, hubSettings } from "./settings.ts"

test("the cache is where Hugging Face's tools look", () => {
  expect(defaultCacheDir({})).toBe(join(homedir(), ".cache/huggingface/hub"))
  expect(defaultCacheDir({ XDG_CACHE_HOME: "/x" })).toBe("/x/huggingface/hub")
  expect(defaultCacheDir({ XDG_CACHE_HOME: "/x", HF_HOME: "~/h" })).toBe(join(homedir(), "h/hub"))
  expect(defaultCacheDir({ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old" })).toBe("/old")
  expect(defaultCacheDir({ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "/new" })).toBe("/new")
  expect(ownCacheDir({ XDG_CACHE_HOME: "/x" })).toBe("/x/mobileclip")
})

test("the token comes from the option, then the variables, then the file", async () => {
  const folder = mkdtempSync(join(tmpdir(), "settings-"))
  try {
    writeFileSync(join(folder, "token"), "hf_file\n")
    writeFileSync(join(folder, "other"), "hf_other")
    const found = async (env: Record<string, string>, token?: string) => {
      const settings = await hubSettings({ token }, { HF_HOME: folder, ...env })
      return [settings.token, settings.tokenSource]
    }
    expect(await found({ HF_TOKEN: "hf_env" }, " hf_option ")).toEqual(["hf_option", "--token"])
    expect(await found({ HF_TOKEN: "hf_env", HUGGING_FACE_HUB_TOKEN: "hf_old" })).toEqual(["hf_env", "HF_TOKEN"])
    expect(await found({ HF_ACCESS_TOKEN: "hf_js" })).toEqual(["hf_js", "HF_ACCESS_TOKEN"])
    expect(await found({ HF_TOKEN: " " })).toEqual(["hf_file", join(folder, "token")])
    expect(await found({ HF_TOKEN_PATH: join(folder, "other") })).toEqual(["hf_other", join(folder, "other")])
    expect(await found({ HF_HOME: join(folder, "none") })).toEqual([null, null])
    expect(await found({ HF_TOKEN_PATH: join(folder, "token", "below") })).toEqual([null, null])
    if (process.platform === "win32") return
    execFileSync("mkfifo", [join(folder, "pipe")])
    await expect(found({ HF_TOKEN_PATH: join(folder, "pipe") })).rejects.toThrow("pipe is a pipe, a socket or a device")
    await expect(found({ HF_TOKEN_PATH: "/dev/zero" })).rejects.toThrow("/dev/zero is a pipe, a socket or a device")
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test("the address and offline mode come from the environment", async () => {
  const of = (env: Record<string, string>) => hubSettings({}, { HF_HOME: "/nowhere", ...env })
  expect(await of({})).toMatchObject({ endpoint: "https://huggingface.co", offline: false, timeoutSeconds: 30 })
  expect(await of({ HF_ENDPOINT: "https://mirror/hub/" })).toMatchObject({ endpoint: "https://mirror/hub" })
  expect(await of({ HF_HUB_OFFLINE: "yes" })).toMatchObject({ offline: true })
  expect(await of({ TRANSFORMERS_OFFLINE: "1" })).toMatchObject({ offline: true })
  expect(await of({ HF_HUB_OFFLINE: "0" })).toMatchObject({ offline: false })
  await expect(of({ HF_ENDPOINT: "mirror" })).rejects.toThrow(
    'the hub\'s address "mirror" is not an http or https address',
  )
  await expect(of({ HF_ENDPOINT: "https://user:SECRET@mirror" })).rejects.toThrow(
    'the hub\'s address "https://...@mirror" has a user name or a password',
  )
})
