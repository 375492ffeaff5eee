"""The training step of bench/train-step.ts, written for PyTorch: python3 train_step.py DUMP [--threads T].

DUMP is the file of `train-step.js --dump`: weights under our parameter paths, one batch, hyperparameters. Prints the
same lines of JSON as `train-step.js --paced`, one step for every line of stdin. Only torch and numpy are needed.
"""
import argparse
import json
import re
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class ConvBn(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.bn(self.conv(x))


class MobileOneBlock(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1, groups=1, kernel_branch=True, scale_branch=True):
        super().__init__()
        self.conv_kxk = nn.ModuleList([ConvBn(inputs, outputs, kernel, stride, groups)] if kernel_branch else [])
        self.conv_scale = ConvBn(inputs, outputs, 1, stride, groups) if scale_branch else None
        self.identity = nn.BatchNorm2d(inputs) if inputs == outputs and stride == 1 else None

    def forward(self, x):
        first, *others = [branch for branch in (*self.conv_kxk, self.conv_scale, self.identity) if branch is not None]
        return sum((branch(x) for branch in others), first(x))


class RepMixer(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = MobileOneBlock(dim, dim, 3, groups=dim, kernel_branch=False, scale_branch=False)
        self.mixer = MobileOneBlock(dim, dim, 3, groups=dim)
        self.layer_scale = nn.Parameter(torch.full((dim, 1, 1), 1e-5))

    def forward(self, x):
        return x + self.layer_scale * (self.mixer(x) - self.norm(x))


class ConvFfn(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.conv = ConvBn(dim, dim, 7, groups=dim)
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(self.conv(x))))


class RepMixerBlock(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.token_mixer = RepMixer(dim)
        self.conv_ffn = ConvFfn(dim, hidden)
        self.layer_scale = nn.Parameter(torch.full((dim, 1, 1), 1e-5))

    def forward(self, x):
        x = self.token_mixer(x)
        return x + self.layer_scale * self.conv_ffn(x)


class SqueezeExcite(nn.Module):
    def __init__(self, channels, hidden):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class LargeKernelConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.large = ConvBn(inputs, outputs, 7, stride=2, groups=inputs)
        self.small = ConvBn(inputs, outputs, 3, stride=2, groups=inputs)

    def forward(self, x):
        return self.large(x) + self.small(x)


class Downsample(nn.Module):
    def __init__(self, inputs, outputs, squeeze):
        super().__init__()
        self.large_kernel = LargeKernelConv(inputs, outputs)
        self.se = SqueezeExcite(outputs, outputs // 4) if squeeze else nn.Identity()
        self.pointwise = MobileOneBlock(outputs, outputs, 1, scale_branch=False)

    def forward(self, x):
        return F.gelu(self.pointwise(F.gelu(self.se(self.large_kernel(x)))))


class Stage(nn.Module):
    def __init__(self, inputs, stage):
        super().__init__()
        dim = stage["dim"]
        self.downsample = Downsample(inputs, dim, stage.get("se", False)) if inputs else nn.Identity()
        self.blocks = nn.Sequential(*[RepMixerBlock(dim, dim * stage["mlpRatio"]) for _ in range(stage["depth"])])

    def forward(self, x):
        return self.blocks(self.downsample(x))


class FinalConv(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.block = MobileOneBlock(dim, 2 * dim, 3, groups=dim)
        self.se = SqueezeExcite(2 * dim, dim // 8)

    def forward(self, x):
        return F.gelu(self.se(self.block(x)))


class FastViT(nn.Module):
    def __init__(self, stages, embed_dim):
        super().__init__()
        dims = [stage["dim"] for stage in stages]
        self.stem = nn.ModuleList([
            MobileOneBlock(3, dims[0], 3, stride=2),
            MobileOneBlock(dims[0], dims[0], 3, stride=2, groups=dims[0]),
            MobileOneBlock(dims[0], dims[0], 1, scale_branch=False),
        ])
        self.stages = nn.Sequential(*map(Stage, [None, *dims], stages))
        self.final_conv = FinalConv(dims[-1])
        self.head = nn.Linear(2 * dims[-1], embed_dim)

    def forward(self, x):
        for block in self.stem:
            x = F.gelu(block(x))
        return self.head(self.final_conv(self.stages(x)).mean((2, 3)))


class CausalAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        return self.proj(causal_attention(q, k, v).transpose(1, 2).flatten(2))


def causal_attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    # torch 1.13 has none
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    return (scores + torch.full(scores.shape[-2:], -torch.inf).triu(1)).softmax(-1) @ v


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class TransformerBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = CausalAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class TextTower(nn.Module):
    def __init__(self, text, embed_dim):
        super().__init__()
        width = text["width"]
        self.token_embedding = nn.Parameter(torch.empty(text["vocabSize"], width))
        self.positional_embedding = nn.Parameter(torch.empty(text["contextLength"], width))
        self.blocks = nn.Sequential(*[TransformerBlock(width, text["heads"]) for _ in range(text["layers"])])
        self.final_norm = nn.LayerNorm(width)
        self.projection = nn.Parameter(torch.empty(width, embed_dim))

    def forward(self, tokens):
        end = tokens.argmax(dim=1)
        length = int(end.max()) + 1  # a causal tower does not see what follows
        x = F.embedding(tokens[:, :length], self.token_embedding) + self.positional_embedding[:length]
        x = self.blocks(x)[torch.arange(len(x)), end]
        return self.final_norm(x) @ self.projection


class Clip(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.image = FastViT(config["image"]["stages"], config["embedDim"])
        self.text = TextTower(config["text"], config["embedDim"])
        self.logit_scale = nn.Parameter(torch.zeros(()))

    def loss(self, images, tokens):
        image, text = F.normalize(self.image(images), dim=-1), F.normalize(self.text(tokens), dim=-1)
        return contrastive(self.logit_scale.exp() * image @ text.T)

    def reinforced_loss(self, images, tokens, synthetic, teacher):
        """Two teachers at scales 70 and 60, weights 0.25 and 0.75; both captions go through the text tower at once."""
        image = F.normalize(self.image(images), dim=-1)
        texts = F.normalize(self.text(torch.cat([tokens, synthetic])), dim=-1).chunk(2)
        total = 0
        for text, taught in zip(texts, (teacher["text"], teacher["synthetic"])):
            logits = self.logit_scale.exp() * image @ text.T
            total = total + 0.25 * contrastive(logits) + 0.75 * distillation(logits, teacher["image"], taught)
        return total


def contrastive(logits):
    targets = torch.arange(len(logits))
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def distillation(logits, image, text):
    with torch.no_grad():
        pairs = list(zip(image.chunk(2, dim=1), text.chunk(2, dim=1), (70, 60)))
        per_image = sum((scale * a @ b.T).softmax(-1) for a, b, scale in pairs) / 2
        per_text = sum((scale * b @ a.T).softmax(-1) for a, b, scale in pairs) / 2
    return (F.cross_entropy(logits, per_image) + F.cross_entropy(logits.T, per_text)) / 2


def read_safetensors(path):
    """-> (tensors by name, metadata)"""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = bytearray(file.read())
    metadata, dtypes = header.pop("__metadata__"), {"F32": np.float32, "I64": np.int64}

    def tensor(dtype, shape, data_offsets):
        return torch.from_numpy(np.frombuffer(memoryview(data)[slice(*data_offsets)], dtypes[dtype]).reshape(shape))

    return {name: tensor(**entry) for name, entry in header.items()}, metadata


def snake_case(path):
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dump")
    parser.add_argument("--version", action="version", version=torch.__version__)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--adamw", choices=["default", "foreach", "fused"], default="default")
    parser.add_argument("--channels-last", action="store_true", help="images and convolutions with channels innermost")
    parser.add_argument("--compile", action="store_true", help="torch.compile for both towers, forward and backward")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)

    tensors, metadata = read_safetensors(args.dump)
    config, hyper = json.loads(metadata["config"]), json.loads(metadata["hyperparameters"])
    images, tokens = tensors.pop("batch.images"), tensors.pop("batch.tokens")
    synthetic = tensors.pop("batch.synthetic", None)
    teacher = {name: tensors.pop("batch.teacher." + name, None) for name in ("image", "text", "synthetic")}
    model = Clip(config)
    model.load_state_dict({snake_case(path): tensor for path, tensor in tensors.items()})
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": hyper["weightDecay"]}, {"params": plain, "weight_decay": 0}],
        lr=hyper["learningRate"], betas=(hyper["beta1"], hyper["beta2"]), eps=hyper["eps"],
        **({} if args.adamw == "default" else {args.adamw: True}),
    )

    compute, batch = model.loss, (images, tokens)
    if synthetic is not None:
        compute, batch = model.reinforced_loss, (images, tokens, synthetic, teacher)
    if args.channels_last:
        model.image.to(memory_format=torch.channels_last)
        batch = (images.to(memory_format=torch.channels_last), *batch[1:])
    if args.compile:
        # The towers apart: the length of the longest text is read on the host between them, which would break one graph.
        model.image.compile()
        model.text.blocks.compile()

    def step():
        start = time.perf_counter()
        loss = compute(*batch)
        optimizer.zero_grad()
        loss.backward()
        value = loss.item()
        middle = time.perf_counter()
        nn.utils.clip_grad_norm_(model.parameters(), hyper["gradClipNorm"])
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, np.log(100))
        end = time.perf_counter()
        return value, {"gradients": 1000 * (middle - start), "update": 1000 * (end - middle), "total": 1000 * (end - start)}

    losses = [step()[0] for _ in range(3)]
    start = {"version": torch.__version__, "threads": torch.get_num_threads(), "batch": len(images), "losses": losses}
    print(json.dumps(start), flush=True)
    for _ in sys.stdin:
        print(json.dumps(step()[1]), flush=True)


if __name__ == "__main__":
    main()
