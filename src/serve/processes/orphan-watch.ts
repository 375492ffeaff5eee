/** A thread that ends its process when the one that forked it is gone, also while the process computes and cannot see it. */
import { workerData } from "node:worker_threads"

const every = 1000

setInterval(() => {
  if (process.ppid !== workerData) process.kill(process.pid, "SIGKILL")
}, every)
