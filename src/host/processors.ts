/**
 * How many processors this process may use: those of its CPU set (cpuset, taskset), and no more than the CPU quota of its
 * control group or of one around it, which a container's `--cpus` or `resources.limits.cpu` sets.
 */
import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"

export interface Processors {
  readonly count: number
  /** What limits them, for people. */
  readonly reason: string
}

/** The text of a file; null where there is none. */
type ReadText = (path: string) => string | null

/** @param available processors of the CPU set */
export function usableProcessors(available = availableParallelism(), read: ReadText = readSystemFile): Processors {
  const quota = cpuQuota(read)
  // A quota of 1.5 keeps two threads busy for three quarters of the time.
  const count = quota ? Math.max(1, Math.min(available, Math.ceil(quota.processors))) : available
  const of = `${count} ${count === 1 ? "processor" : "processors"}`
  if (!quota || count === available) return { count, reason: of }
  const processors = Number(quota.processors.toFixed(2))
  return { count, reason: `${of} of ${available}, by the CPU quota of ${processors} in ${quota.file}` }
}

interface CpuQuota {
  /** Seconds of processor time a second. */
  readonly processors: number
  /** Where it is set. */
  readonly file: string
}

/** The tightest quota of this process's control group and those around it, in version 1 or 2; null where there is none. */
export function cpuQuota(read: ReadText): CpuQuota | null {
  const groups = groupsIn(read("/proc/self/cgroup") ?? "")
  const mounts = mountsIn(read("/proc/self/mountinfo") ?? "")
  const quotas = mounts.flatMap((mount) =>
    foldersOf(mount, groups[mount.version]).flatMap((folder) => quotaIn[mount.version](folder, read) ?? []),
  )
  return quotas.reduce<CpuQuota | null>(
    (least, one) => (least && least.processors <= one.processors ? least : one),
    null,
  )
}

type Version = "v1" | "v2"

/** The paths of this process's groups: of version 1's processor controller, and of version 2. Null where it is in none. */
function groupsIn(list: string): Readonly<Record<Version, string | null>> {
  const lines = list.split("\n").map((line) => /^\d+:([^:]*):(.*)$/.exec(line))
  const pathWhere = (fits: (controllers: string) => boolean) =>
    lines.find((found) => found && fits(found[1]!))?.[2] ?? null
  return {
    v1: pathWhere((controllers) => controllers.split(",").includes("cpu")),
    v2: pathWhere((controllers) => controllers === ""),
  }
}

interface Mount {
  readonly version: Version
  /** The group that is seen at `point`. */
  readonly root: string
  readonly point: string
}

/** Where processor controllers are mounted, from Linux's list of mounts. */
function mountsIn(list: string): Mount[] {
  return list.split("\n").flatMap((line): Mount[] => {
    const [place = "", type = ""] = line.split(" - ")
    const [, , , root = "", point = ""] = place.split(" ")
    const [kind, , options = ""] = type.split(" ")
    if (kind === "cgroup2") return [{ version: "v2", root, point }]
    return kind === "cgroup" && options.split(",").includes("cpu") ? [{ version: "v1", root, point }] : []
  })
}

/** A group's folder and those around it, as far as they are seen here. */
function foldersOf({ root, point }: Mount, group: string | null): string[] {
  if (group === null) return []
  const below = root === "/" ? group : group.startsWith(`${root}/`) ? group.slice(root.length) : ""
  // A group outside of what this container sees begins with "/..".
  const names = below.split("/").filter((name) => name !== "")
  const seen = names.includes("..") ? [] : names
  return [...seen, ""].map((_, i) => join(point, ...seen.slice(0, seen.length - i)))
}

const quotaIn: Readonly<Record<Version, (folder: string, read: ReadText) => CpuQuota | null>> = {
  v1(folder, read) {
    const file = join(folder, "cpu.cfs_quota_us")
    return quotaOf(file, read(file) ?? "", read(join(folder, "cpu.cfs_period_us")) ?? "")
  },
  v2(folder, read) {
    const file = join(folder, "cpu.max")
    const [quota = "", period = ""] = (read(file) ?? "").split(" ")
    return quotaOf(file, quota, period)
  },
}

/** No quota is written as "max", or -1. */
function quotaOf(file: string, quota: string, period: string): CpuQuota | null {
  const processors = Number.parseInt(quota, 10) / Number.parseInt(period, 10)
  return processors > 0 && Number.isFinite(processors) ? { processors, file } : null
}

function readSystemFile(path: string): string | null {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return null
  }
}
