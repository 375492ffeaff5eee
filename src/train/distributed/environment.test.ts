import { describe, expect, test } from "vitest"
import { firstHost, rankInfoFrom, threadsOfRank } from "./environment.ts"

const torchrun = { RANK: "3", WORLD_SIZE: "4", LOCAL_RANK: "1", MASTER_ADDR: "10.0.0.1", MASTER_PORT: "29500" }
const slurm = {
  SLURM_PROCID: "5",
  SLURM_NTASKS: "8",
  SLURM_LOCALID: "1",
  SLURM_STEP_NODELIST: "gpu[004-005]",
  SLURM_JOB_ID: "1234567",
  SLURM_STEP_ID: "0",
}

describe("torchrun's variables", () => {
  test("tell rank, size and where rank 0 is", () => {
    const place = { rank: 3, size: 4, localRank: 1, address: "10.0.0.1", port: 29500 }
    expect(rankInfoFrom(torchrun)).toEqual(place)
    expect(rankInfoFrom({ ...slurm, ...torchrun })).toEqual(place)
  })

  test("where torchrun listens at the port itself, rank 0 takes the next one", () => {
    expect(rankInfoFrom({ ...torchrun, TORCHELASTIC_USE_AGENT_STORE: "True" })).toMatchObject({ port: 29501 })
    expect(rankInfoFrom({ ...torchrun, TORCHELASTIC_USE_AGENT_STORE: "False" })).toMatchObject({ port: 29500 })
  })

  test("none, or one rank: this process is alone", () => {
    expect(rankInfoFrom({})).toBeNull()
    expect(rankInfoFrom({ MASTER_ADDR: "10.0.0.1", MASTER_PORT: "29500" })).toBeNull()
    expect(rankInfoFrom({ ...torchrun, RANK: "0", WORLD_SIZE: "1", LOCAL_RANK: "0" })).toBeNull()
    expect(rankInfoFrom({ WORLD_SIZE: "1" })).toBeNull()
    expect(rankInfoFrom({ WORLD_SIZE: "1", RANK: "0", LOCAL_RANK: "0" })).toBeNull()
    expect(() => rankInfoFrom({ WORLD_SIZE: "1", RANK: "2" })).toThrow('RANK is "2"')
    expect(rankInfoFrom({ ...slurm, WORLD_SIZE: "1" })).toBeNull()
  })

  test("without LOCAL_RANK, as Kubeflow sets them, each rank has a machine of its own", () => {
    const { LOCAL_RANK: _, ...kubeflow } = torchrun
    const place = { rank: 3, size: 4, localRank: 0, address: "10.0.0.1", port: 29500 }
    expect(rankInfoFrom(kubeflow)).toEqual(place)
    expect(rankInfoFrom({ ...kubeflow, LOCAL_RANK: "" })).toEqual(place)
  })

  test("half of them is an error that names which", () => {
    expect(() => rankInfoFrom({ RANK: "0", WORLD_SIZE: "2" })).toThrow(
      "RANK, WORLD_SIZE are set, but not MASTER_ADDR, MASTER_PORT",
    )
    expect(() => rankInfoFrom({ WORLD_SIZE: "2" })).toThrow("WORLD_SIZE is set, but not RANK, MASTER_ADDR")
    expect(() => rankInfoFrom({ LOCAL_RANK: "0" })).toThrow("LOCAL_RANK is set, but not RANK")
    expect(() => rankInfoFrom({ ...torchrun, MASTER_PORT: "" })).toThrow("but not MASTER_PORT")
  })

  test("a value out of its range is an error", () => {
    expect(() => rankInfoFrom({ ...torchrun, RANK: "4" })).toThrow('RANK is "4": expected a whole number from 0 to 3')
    expect(() => rankInfoFrom({ ...torchrun, WORLD_SIZE: "two" })).toThrow('WORLD_SIZE is "two"')
    expect(() => rankInfoFrom({ ...torchrun, MASTER_PORT: "70000" })).toThrow("from 1 to 65535")
    expect(() => rankInfoFrom({ ...torchrun, LOCAL_RANK: "-1" })).toThrow('LOCAL_RANK is "-1"')
  })
})

describe("a launcher's variables", () => {
  const launched = { RANK: "1", WORLD_SIZE: "2", LOCAL_RANK: "1", MOBILECLIP_RENDEZVOUS: "/tmp/x/ranks" }

  test("name a file in place of a port, whatever else is set", () => {
    const place = { rank: 1, size: 2, localRank: 1, address: "127.0.0.1", port: 0, file: "/tmp/x/ranks" }
    expect(rankInfoFrom(launched)).toEqual(place)
    expect(rankInfoFrom({ ...slurm, MASTER_ADDR: "10.0.0.1", MASTER_PORT: "29500", ...launched })).toEqual(place)
  })

  test("half of them is an error", () => {
    expect(() => rankInfoFrom({ ...launched, LOCAL_RANK: undefined })).toThrow('LOCAL_RANK is ""')
  })
})

describe("SLURM's variables", () => {
  test("tell the same for a task of srun", () => {
    const place = rankInfoFrom(slurm)
    expect(place).toMatchObject({ rank: 5, size: 8, localRank: 1, address: "gpu004" })
    expect(rankInfoFrom({ ...slurm, SLURM_PROCID: "0" })).toMatchObject({ address: "gpu004", port: place!.port })
    expect(place!.port).toBeGreaterThanOrEqual(20_000)
    expect(place!.port).not.toBe(rankInfoFrom({ ...slurm, SLURM_JOB_ID: "1234568" })!.port)
  })

  test("a script may set where rank 0 listens", () => {
    const place = rankInfoFrom({ ...slurm, MASTER_ADDR: "head", MASTER_PORT: "4000" })
    expect(place).toMatchObject({ address: "head", port: 4000 })
  })

  test("in the job's script itself, without srun, a process is alone", () => {
    const { SLURM_STEP_NODELIST: _, ...script } = slurm
    expect(rankInfoFrom({ ...script, SLURM_JOB_NODELIST: "gpu[004-005]" })).toBeNull()
  })

  test("half of them is an error", () => {
    expect(() => rankInfoFrom({ ...slurm, SLURM_LOCALID: undefined })).toThrow("but not SLURM_LOCALID")
  })
})

test.each([
  ["gpu1", "gpu1"],
  ["gpu1,gpu2", "gpu1"],
  ["gpu[004-007,9],big1", "gpu004"],
  ["gpu[12]", "gpu12"],
  ["rack[1-2]n[03,07-09]-ib,other", "rack1n03-ib"],
])("the first machine of %s is %s", (nodes, first) => {
  expect(firstHost(nodes)).toBe(first)
})

test("torchrun's ranks share the threads of their machine", () => {
  const torchrun = { RANK: "5", LOCAL_WORLD_SIZE: "4" }
  expect(threadsOfRank(torchrun, 18)).toBe(4)
  expect(threadsOfRank({ ...torchrun, LOCAL_WORLD_SIZE: "32" }, 18)).toBe(1)
  expect(threadsOfRank({}, 18)).toBe(18)
  expect(threadsOfRank({ LOCAL_WORLD_SIZE: "4" }, 18)).toBe(18)
  expect(() => threadsOfRank({ ...torchrun, LOCAL_WORLD_SIZE: "0" }, 18)).toThrow('LOCAL_WORLD_SIZE is "0"')
})
