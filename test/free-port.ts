/** A port of the loopback address for a server that is told its port, or that is started again on the same. */
import { randomInt } from "node:crypto"
import { readFileSync } from "node:fs"
import { createServer } from "node:net"

/**
 * Below those that the system gives to who asks for any: between this answer and the server's start others ask for many, and the
 * port would now and then be one of theirs.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, Math.max(20_000, firstOfSystem()))
    if (await isFree(port)) return port
  }
}

function firstOfSystem(): number {
  try {
    return Number.parseInt(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8"), 10)
  } catch {
    return 32_768
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once("error", () => resolve(false))
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)))
  })
}
