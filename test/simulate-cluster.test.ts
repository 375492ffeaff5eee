/** bench/simulate-cluster.ts in small: workers that die, and a server that is killed. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { text } from "node:stream/consumers"
import { expect, test } from "vitest"
import { compiled } from "./copy-runner.ts"

test("every shard is completed once, whoever dies", async () => {
  const size = ["--shards", "300", "--workers", "20", "--processes", "1"]
  const times = ["--shard-seconds", "0.4", "--life-seconds", "5", "--ack-wait", "2"]
  const child = spawn(process.execPath, [compiled("../bench/simulate-cluster"), ...size, ...times, "--restart"], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, "exit")])
  const figure = (title: string) => Number(new RegExp(`^${title} +(\\d+)$`, "m").exec(output)?.[1])
  expect(figure("completions, each once")).toBe(300)
  expect(figure("parked shards")).toBe(0)
  expect(figure("done twice with other bytes")).toBe(0)
  expect(figure("workers that died")).toBeGreaterThan(0)
  expect(figure("deliveries that began work")).toBeGreaterThan(300)
  expect(code).toBe(0)
}, 60_000)
