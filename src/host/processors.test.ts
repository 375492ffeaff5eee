import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { cpuQuota, usableProcessors } from "./processors.ts"

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "processors-"))
})
afterEach(() => rmSync(root, { recursive: true }))

function write(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), `${text}\n`)
  }
}

/** A file of the folder that stands for the system. */
function read(path: string): string | null {
  try {
    return readFileSync(join(root, path), "utf8")
  } catch {
    return null
  }
}

const unified = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw"
const firstVersion = [
  "30 23 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755",
  "31 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
  "32 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
].join("\n")

test("version 2: the tightest group around the process counts, rounded up", () => {
  write({
    "proc/self/cgroup": "0::/pods/pod/box",
    "proc/self/mountinfo": unified,
    "sys/fs/cgroup/pods/cpu.max": "800000 100000",
    "sys/fs/cgroup/pods/pod/cpu.max": "150000 100000",
    "sys/fs/cgroup/pods/pod/box/cpu.max": "max 100000",
  })
  expect(cpuQuota(read)).toEqual({ processors: 1.5, file: "/sys/fs/cgroup/pods/pod/cpu.max" })
  expect(usableProcessors(8, read)).toEqual({
    count: 2,
    reason: "2 processors of 8, by the CPU quota of 1.5 in /sys/fs/cgroup/pods/pod/cpu.max",
  })
})

test("version 2 in a container, which sees its own group as the root", () => {
  write({ "proc/self/cgroup": "0::/", "proc/self/mountinfo": unified, "sys/fs/cgroup/cpu.max": "20000 100000" })
  expect(usableProcessors(4, read)).toEqual({
    count: 1,
    reason: "1 processor of 4, by the CPU quota of 0.2 in /sys/fs/cgroup/cpu.max",
  })
})

test("version 1: quota and period are files of their own, nested groups included", () => {
  write({
    "proc/self/cgroup": "5:memory:/jobs/a\n4:cpu,cpuacct:/jobs/a\n0::/",
    "proc/self/mountinfo": firstVersion,
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
    "sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us": "300000",
    "sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_period_us": "100000",
    "sys/fs/cgroup/cpu,cpuacct/jobs/a/cpu.cfs_quota_us": "200000",
    "sys/fs/cgroup/cpu,cpuacct/jobs/a/cpu.cfs_period_us": "50000",
  })
  expect(cpuQuota(read)).toEqual({ processors: 3, file: "/sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us" })
})

test("version 1 in a container, whose group's path is the host's and is mounted alone", () => {
  write({
    "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc/inner",
    "proc/self/mountinfo": "31 30 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    "sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us": "250000",
    "sys/fs/cgroup/cpu/inner/cpu.cfs_period_us": "100000",
  })
  expect(cpuQuota(read)?.processors).toBe(2.5)
  write({ "proc/self/cgroup": "4:cpu,cpuacct:/elsewhere" })
  expect(cpuQuota(read)?.processors).toBe(4)
})

test("a group outside of what the container sees, damaged files and systems without groups limit nothing", () => {
  write({ "proc/self/cgroup": "0::/../other", "proc/self/mountinfo": unified, "sys/fs/cgroup/other/cpu.max": "1 2" })
  expect(cpuQuota(read)).toBe(null)
  for (const damaged of ["", "max", "0 0", "x y", "-5 100000"]) {
    write({ "proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": damaged })
    expect(cpuQuota(read), damaged).toBe(null)
  }
  expect(usableProcessors(3, () => null)).toEqual({ count: 3, reason: "3 processors" })
})

test("a quota above the processors of the CPU set changes nothing", () => {
  write({ "proc/self/cgroup": "0::/", "proc/self/mountinfo": unified, "sys/fs/cgroup/cpu.max": "1600000 100000" })
  expect(usableProcessors(2, read)).toEqual({ count: 2, reason: "2 processors" })
})

test("this machine gives at least one, and no more than its CPU set", () => {
  const { count, reason } = usableProcessors()
  expect(count).toBeGreaterThanOrEqual(1)
  expect(count).toBeLessThanOrEqual(availableParallelism())
  expect(reason).toContain(`${count} processor`)
})
