/** A port for a server that is not yet there. */
import { randomInt } from "node:crypto"
import { createServer } from "node:net"

/**
 * One of the loopback address that nobody listens on. It is below those that systems give out, so that no other process
 * is given it before its server listens.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(11_000, 32_000)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once("error", () => resolve(false))
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)))
  })
}
