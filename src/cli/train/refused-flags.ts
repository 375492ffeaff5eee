/**
 * Flags of open_clip's trainer and of Apple's additions that have no meaning here, with what to do instead: the error for one
 * of them names it. Flags for audio and for NaFlex are not listed.
 */
import { UserError } from "../../core/errors.ts"
import { flagNames } from "./flags.ts"

const leaveOut = "leave it out"
const noOther = "the optimiser is AdamW: leave it out"
const tasks = "name tasks with --evaluate, and --evaluate-every"
const wholeTower = "only whole towers can be locked: --lock-image, --lock-text"
const variantSays = "the model decides how pictures are prepared: leave it out"
const launcher = "torchrun's and SLURM's variables set it: leave it out"

/** By flag, as commander takes it; the flags' values are ignored. */
export const refusedFlags = {
  // Data
  "--dataset-reinforcement-config": "stored views contain their augmentation: leave it out",
  "--dataset-reinforcement-sample-sequential":
    "views in turn, one each epoch, are not done here: leave it out, and they are drawn at random by the seed",
  "--train-data-upsampling-factors": "shards of all sources count equally: leave it out",
  "--image-key": "pictures in shards are found by their endings: leave it out",
  "--text-key": "captions in shards are .txt or in the .json: choose with --caption",
  "--json-text-key": "captions in shards are .txt or in the .json: choose with --caption",
  "--json-text-key-probs": "captions in shards are .txt or in the .json: choose with --caption",
  "--max-image-pixels": leaveOut,
  "--aug-cfg": "for example data.cropScale=[0.9,1]",
  "--cache-dir": "HF_HOME names the cache",
  "--image-mean": variantSays,
  "--image-std": variantSays,
  "--image-interpolation": variantSays,
  "--image-resize-mode": variantSays,
  // Model
  "--pretrained-image": "--pretrained names the weights of both towers; lock one with --lock-image",
  "--lock-image-unlocked-groups": wholeTower,
  "--lock-text-unlocked-layers": wholeTower,
  "--lock-text-freeze-layer-norm": wholeTower,
  "--force-context-length": "choose another --model",
  "--force-image-size": "choose another --model",
  "--force-quick-gelu": "choose a --model whose name ends in quickgelu",
  "--force-patch-dropout": leaveOut,
  "--force-custom-text": leaveOut,
  "--torchcompile": leaveOut,
  "--use-bnb-linear": "choose --precision amp_bf16",
  // Optimiser and rate
  "--opt": noOther,
  "--opt-kwargs": noOther,
  "--opt-fallback-list": noOther,
  "--momentum": noOther,
  "--wd-exclude": "one-dimensional parameters are not decayed: leave it out",
  "--image-layer-decay": "--layer-decay applies to both towers",
  "--visual-layer-decay": "--layer-decay applies to both towers",
  "--text-layer-decay": "--layer-decay applies to both towers",
  "--lr-scheduler": "the rate follows a cosine; schedule.constantSteps=... holds it before that",
  "--skip-scheduler": "schedule.constantSteps=... with all steps of the run holds the rate",
  "--epochs-cooldown": "schedule.constantSteps=... says when the rate begins to fall",
  "--lr-cooldown-end": "--min-lr says where the rate ends",
  "--lr-cooldown-power": "the rate follows a cosine: leave it out",
  "--loss-dist-impl": leaveOut,
  // Along the way
  "--name": "--out names the run's folder",
  "--logs": "--out names the run's folder",
  "--log-local": leaveOut,
  "--log-metric-every-n-steps": "--log-every-n-steps applies to all metrics",
  "--train-loss-ema-samples": leaveOut,
  "--report-to": "metrics.jsonl, tensorboard/ and report.html are always written: leave it out",
  "--wandb-notes": "metrics.jsonl, tensorboard/ and report.html are always written: leave it out",
  "--wandb-project-name": "metrics.jsonl, tensorboard/ and report.html are always written: leave it out",
  "--save-frequency": "--save-every counts steps",
  "--save-most-recent": "the newest checkpoint is always kept: leave it out",
  "--delete-previous-checkpoint": "--keep 1 does so, and is the default",
  "--zeroshot-frequency": "--evaluate-every counts steps",
  "--imagenet-val": tasks,
  "--imagenet-v2": tasks,
  "--val-data": tasks,
  "--val-num-samples": tasks,
  "--val-frequency": tasks,
  "--remote-sync": "copy the run's folder",
  "--copy-codebase": leaveOut,
  "--debug": leaveOut,
  // Processes
  "--dist-url": launcher,
  "--dist-backend": launcher,
  "--ddp-static-graph": leaveOut,
  "--fsdp": "--grad-checkpointing and --chunk-size save memory",
} as const satisfies Readonly<Record<string, string>>

/** Throws UserError for the first of these flags that was given. */
export function refuseFlags(options: Readonly<Record<string, unknown>>): void {
  const given = Object.entries(refusedFlags).find(([flag]) => options[flagNames(flag).option] !== undefined)
  if (given) throw new UserError(`${given[0]} is not a flag of this trainer`, given[1])
}
