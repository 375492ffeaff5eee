"""A training step of open_clip's trainer on a GPU, beside bench/cuda-step.ts:

    PYTHONPATH=.../open_clip/src python3 bench/pytorch/open_clip_step.py --model MobileCLIP2-B --batch 1024 --chunk 256

open_clip does the step itself (`_train_step_eager`: gradient caching by accum_freq, ClipLoss, amp_bf16, clipping to 1,
AdamW with its parameter groups); here are only the batch, in pinned memory as its loader gives it, and the clock.
"""
import argparse
import json
import sys
import time
import types

import torch


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="MobileCLIP2-B")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--chunk", type=int, default=256)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--benchmark", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--profile", action="store_true", help="print the kernels that take longest")
    return parser.parse_args()


def stub_missing(*names):
    """Packages that only texts need, which are random numbers here."""
    for name in names:
        try:
            __import__(name)
        except ImportError:
            sys.modules[name] = types.ModuleType(name)


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def main():
    options = arguments()
    stub_missing("ftfy")
    import open_clip
    from open_clip.task import CLIPTask
    from open_clip_train.optim import OptimizerCfg, create_optimizer
    from open_clip_train.precision import get_autocast
    from open_clip_train.train import _train_step_eager

    device = torch.device(options.device)
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True  # as its main.py does
    torch.backends.cudnn.benchmark = options.benchmark
    model = open_clip.create_model(options.model, device=device, output_dict=True)
    if options.channels_last:
        model = model.to(memory_format=torch.channels_last)
    task = CLIPTask(model, device=device)
    task.train()
    args = types.SimpleNamespace(accum_freq=options.batch // options.chunk, grad_clip_norm=1.0, naflex_loss_scale="none")
    optimizer = create_optimizer(task, OptimizerCfg(lr=1e-6, weight_decay=0.2, beta1=0.9, beta2=0.95, eps=1e-8))
    autocast = get_autocast("amp_bf16", device_type=device.type)

    size = model.visual.image_size
    size = size if isinstance(size, tuple) else (size, size)
    pinned = device.type == "cuda"

    def chunk():
        image = torch.rand(options.chunk, 3, *size)
        text = torch.randint(1, 49000, (options.chunk, model.context_length))
        text[:, 0], text[:, -1] = 49406, 49407
        return {"image": image.pin_memory(), "text": text.pin_memory()} if pinned else {"image": image, "text": text}

    chunks = [chunk() for _ in range(args.accum_freq)]

    def step():
        state = ([], {}) if args.accum_freq > 1 else None
        for batch in chunks:
            batch = task.prepare_batch(batch, device=device, input_dtype=None)
            if options.channels_last:
                batch["image"] = batch["image"].contiguous(memory_format=torch.channels_last)
            result = _train_step_eager(task, batch, state, optimizer, None, autocast, args)
        return result[0]["loss"]

    losses = [step().item() for _ in range(3)]
    times = []
    for _ in range(options.steps):
        synchronize(device)
        start = time.perf_counter()
        step()
        synchronize(device)
        times.append(time.perf_counter() - start)
    total = sorted(times)[len(times) // 2]
    print(json.dumps({
        **vars(options), "torch": torch.__version__, "total": total, "imagesPerSecond": options.batch / total,
        "peakMemoryGiB": torch.cuda.max_memory_allocated() / 2**30 if pinned else 0, "losses": losses,
    }))
    if options.profile:
        with torch.profiler.profile() as profile:
            step()
            synchronize(device)
        key = "self_cuda_time_total" if pinned else "self_cpu_time_total"
        print(profile.key_averages().table(sort_by=key, row_limit=25, max_name_column_width=90))


main()
