/** CoCa's captioning loss: each token of the caption from the image and the tokens before it. Paper: arXiv 2205.01917. */
import * as torch from "../../torch/index.ts"

/**
 * The mean cross entropy of the labels that are not padding.
 *
 * @param logits [..., vocabSize]
 * @param labels token ids, int64 [...]
 * @param padId the label that does not count; where all are padding the loss is not a number
 * @returns shape []
 */
export function captionLoss(logits: torch.Tensor, labels: torch.Tensor, padId: number): torch.Tensor {
  const vocabSize = logits.shape.at(-1)!
  return crossEntropy(logits.reshape([-1, vocabSize]), labels.reshape([-1]), null, reduceByMean, padId, 0)
}

const reduceByMean = 1

const crossEntropy = torch.operator<
  [torch.Tensor, torch.Tensor, weight: null, reduction: number, ignoreIndex: number, labelSmoothing: number],
  torch.Tensor
>("cross_entropy_loss")
