/**
 * Which of the processes of a job this one is, from the variables that `mobileclip train --nproc`, `torchrun` and SLURM's
 * `srun` set.
 */
import { UserError } from "../../core/errors.ts"

export interface RankInfo {
  readonly rank: number
  readonly size: number
  /** Among the ranks of this machine: its CUDA device. */
  readonly localRank: number
  /** Where rank 0 listens. In any case the address tells which network the ranks share. */
  readonly address: string
  readonly port: number
  /** A file through which the ranks of a launcher find each other, in place of the port. */
  readonly file?: string
}

/** What a launcher tells its ranks in place of MASTER_ADDR and MASTER_PORT. */
export const rendezvousVariable = "MOBILECLIP_RENDEZVOUS"

type Environment = Readonly<Record<string, string | undefined>>

const ranked = ["RANK", "WORLD_SIZE", "LOCAL_RANK"] as const
const required = ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"] as const

/**
 * Null when this process is alone: none of the variables is set, or there is one rank. `torchrun`'s take precedence over SLURM's.
 * Without LOCAL_RANK, as in a PyTorchJob of Kubeflow, each rank has a machine of its own.
 *
 * @throws UserError when some of the variables are missing, or one is not a number in its range
 */
export function rankInfoFrom(environment: Environment): RankInfo | null {
  const info = fromLauncher(environment) ?? fromTorchrun(environment) ?? fromSlurm(environment)
  return info && info.size > 1 ? info : null
}

/**
 * The threads of one rank where no option sets them: `torchrun`'s ranks share a machine, and each would take all of it. SLURM
 * binds a task to its processors, so that it sees no others.
 *
 * @param threads those of the machine
 * @throws UserError when LOCAL_WORLD_SIZE is not a number of ranks
 */
export function threadsOfRank(environment: Environment, threads: number): number {
  if (!environment.RANK || !environment.LOCAL_WORLD_SIZE) return threads
  return Math.max(1, Math.floor(threads / integer(environment, "LOCAL_WORLD_SIZE", 1, 1 << 20)))
}

/** All ranks are on this machine and listen on the loopback interface alone. */
function fromLauncher(environment: Environment): RankInfo | null {
  const file = environment[rendezvousVariable]
  if (!file) return null
  return { ...ranksOf(environment), address: "127.0.0.1", port: 0, file }
}

/** MASTER_ADDR and MASTER_PORT alone do not count: a job's script may set them for SLURM's ranks. */
function fromTorchrun(environment: Environment): RankInfo | null {
  if (!ranked.some((name) => environment[name])) return null
  const ranks = { ...environment, LOCAL_RANK: environment.LOCAL_RANK || "0" }
  const missing = required.filter((name) => !environment[name])
  if (missing.length === 0) {
    return { ...ranksOf(ranks), address: environment.MASTER_ADDR!, port: torchrunPort(environment) }
  }
  if (environment.WORLD_SIZE !== "1") throw incomplete(environment, missing)
  // One rank has nobody to meet, and needs no place for that.
  return { ...ranksOf({ ...ranks, RANK: environment.RANK || "0" }), address: "", port: 0 }
}

function incomplete(environment: Environment, missing: readonly string[]): UserError {
  const set = [...required, "LOCAL_RANK"].filter((name) => environment[name])
  return new UserError(
    `${set.join(", ")} ${set.length > 1 ? "are" : "is"} set, but not ${missing.join(", ")}`,
    `set ${required.join(", ")}, and LOCAL_RANK where a machine has several ranks; or none, to train in one process`,
  )
}

function ranksOf(environment: Environment): Pick<RankInfo, "rank" | "size" | "localRank"> {
  const size = integer(environment, "WORLD_SIZE", 1, 1 << 20)
  return {
    size,
    rank: integer(environment, "RANK", 0, size - 1),
    localRank: integer(environment, "LOCAL_RANK", 0, size - 1),
  }
}

/**
 * `torchrun` itself may listen at MASTER_PORT, with the store of its own PyTorch, which other versions of libtorch do not
 * understand. Then rank 0 takes the next port.
 */
function torchrunPort(environment: Environment): number {
  const isTaken = environment.TORCHELASTIC_USE_AGENT_STORE === "True"
  const port = integer(environment, "MASTER_PORT", 1, isTaken ? 65534 : 65535)
  return isTaken ? port + 1 : port
}

/**
 * The variables that `srun` gives each task. The script of a job has most of them too, but not the nodes of a step: a process
 * there runs alone.
 */
function fromSlurm(environment: Environment): RankInfo | null {
  const nodes = environment.SLURM_STEP_NODELIST
  if (!environment.SLURM_PROCID || !nodes) return null
  const missing = ["SLURM_NTASKS", "SLURM_LOCALID"].filter((name) => !environment[name])
  if (missing.length > 0) {
    throw new UserError(`SLURM_PROCID is set, but not ${missing.join(", ")}`, "start the tasks with srun")
  }
  const size = integer(environment, "SLURM_NTASKS", 1, 1 << 20)
  return {
    size,
    rank: integer(environment, "SLURM_PROCID", 0, size - 1),
    localRank: integer(environment, "SLURM_LOCALID", 0, size - 1),
    address: environment.MASTER_ADDR || firstHost(nodes),
    port: environment.MASTER_PORT ? integer(environment, "MASTER_PORT", 1, 65535) : slurmPort(environment),
  }
}

/** The jobs of a machine get different ports, the ranks of a job the same: 20000 to 29999. */
function slurmPort({ SLURM_JOB_ID = "0", SLURM_STEP_ID = "0" }: Environment): number {
  return 20_000 + ((Number.parseInt(SLURM_JOB_ID, 10) * 7 + Number.parseInt(SLURM_STEP_ID, 10)) % 10_000 || 0)
}

/** SLURM's short form of a list of machines: "gpu[004-007,9],big1" -> "gpu004". */
export function firstHost(nodes: string): string {
  const [, prefix = "", first = "", rest = ""] = /^([^,[]*)(?:\[([^\],-]+)[^\]]*\](.*))?/.exec(nodes) ?? []
  return prefix + first + (rest && firstHost(rest))
}

function integer(environment: Environment, name: string, least: number, most: number): number {
  const text = environment[name] ?? ""
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= least && value <= most) return value
  throw new UserError(`${name} is ${JSON.stringify(text)}: expected a whole number from ${least} to ${most}`)
}
