/** What an export is compared with where libtorch is: the model as it was trained, before fusing. */
import { noGrad, scope, version } from "../../torch/index.ts"
import type { CheckpointModel } from "../model/checkpoint/checkpoint.ts"
import { hostValues, TorchInterpreter } from "../tensor/torch.ts"
import type { Reference, TowerInput } from "./verify.ts"

export function torchReference(model: CheckpointModel): Reference {
  return {
    name: `libtorch ${version()}`,
    async embed(input) {
      const interpreter = new TorchInterpreter(model)
      try {
        return scope(() => noGrad(() => hostValues(interpreter.unwrap(forward(model, interpreter, input)))))
      } finally {
        interpreter.free()
      }
    },
  }
}

function forward(model: CheckpointModel, interpreter: TorchInterpreter, { tower, data, shape }: TowerInput) {
  if (tower === "image") return model.encodeImage(interpreter.images(data, shape))
  return model.encodeText(interpreter.tokens(data, shape))
}
