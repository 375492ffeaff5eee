import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { isMountPoint, mountPointsIn } from "./mount-point.ts"

test("the places of Linux's list", () => {
  const list = [
    "22 27 0:21 / /proc rw,nosuid shared:12 - proc proc rw",
    "31 27 8:1 /home/a /mnt/my\\040disk\\134x rw - ext4 /dev/sda1 rw",
    "",
  ]
  expect(mountPointsIn(list.join("\n"))).toEqual(["/proc", "/mnt/my disk\\x"])
})

test.runIf(process.platform === "linux")("a disk's place is one, a folder on it is not", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mount-point-"))
  try {
    expect([await isMountPoint("/proc"), await isMountPoint(folder)]).toEqual([true, false])
  } finally {
    await rm(folder, { recursive: true })
  }
})
