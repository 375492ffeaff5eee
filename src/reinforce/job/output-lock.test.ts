import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { pictureSamples, writeSamples } from "../../../test/training-samples.ts"
import { main } from "../../cli/main.ts"
import { lockFolder } from "../../host/locks/lock.ts"
import { lockOutput } from "./output.ts"

const folder = mkdtempSync(join(tmpdir(), "output-lock-"))
const shard = join(folder, "00000.tar")
beforeAll(async () => writeSamples(shard, await pictureSamples(2)))
afterAll(() => rmSync(folder, { recursive: true }))

const commands = {
  caption: ["caption", "--input", shard, "--model-name", "nowhere"],
  embed: ["embed", "--input", shard, "--model-name", "nowhere"],
  join: ["join", "--images", shard, "--reinforcements", shard],
  run: ["run", "embedding", "--input", shard, "--model-name", "nowhere", "--nats", "nats://127.0.0.1:1"],
}

async function reinforce(command: keyof typeof commands, output: string) {
  const err: string[] = []
  const argv = ["reinforce", ...commands[command], "--output", output]
  const code = await main(argv, undefined, { out: () => {}, err: (text) => err.push(text) })
  return { code, err: err.join("") }
}

test.each(Object.keys(commands) as (keyof typeof commands)[])(
  "%s is refused a folder in which another process works, and one with files of no job",
  async (command) => {
    const [held, other] = [join(folder, `held-${command}`), join(folder, `other-${command}`)]
    {
      using _ = await lockFolder(held, "mobileclip train")
      const { code, err } = await reinforce(command, held)
      expect([code, err]).toEqual([1, expect.stringContaining(`${held} is in use: mobileclip train`)])
      expect(readdirSync(held)).toEqual([".lock"])
    }
    mkdirSync(other)
    writeFileSync(join(other, "00000.tar"), "mine")
    const { code, err } = await reinforce(command, other)
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("00000.tar is there already, and is not of a reinforcement"),
    ])
    expect(readdirSync(other)).toEqual(["00000.tar"])
    expect(readFileSync(join(other, "00000.tar"), "utf8")).toBe("mine")
  },
)

test("a store has no lock, and a file's address is its path", async () => {
  expect(await lockOutput("s3://bucket/out", "embed")).toBeNull()
  const out = join(folder, "by address")
  using _ = await lockOutput(pathToFileURL(out).href, "embed")
  expect(readdirSync(out)).toEqual([".lock"])
})
