"""The peer of `swegym-bench train` and `swegym-bench generate`: transformers on
PyTorch's CPU build, same model, same tokens.

    python peer.py train MODEL TOKENS BATCH CONTEXT STEPS THREADS
    python peer.py generate MODEL BATCH PROMPT NEW THREADS
    python peer.py curve MODEL PLAN
    python peer.py prepare MODEL CONVERSATIONS PROCESSES

MODEL is a folder; TOKENS a file of 32-bit ids; PLAN says which rows each step
learns from, and at which rate. Prints one line of JSON.
"""

import hashlib
import json
import resource
import statistics
import sys
import time

import numpy
import torch
from transformers import AutoModelForCausalLM


def load(folder, threads):
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    return model


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def train(folder, tokens, batch, context, steps, threads):
    model = load(folder, threads).train()
    rows = torch.from_numpy(numpy.fromfile(tokens, numpy.int32)).long().view(-1, batch, context + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    seconds, losses = [], []
    for step in range(steps + 2):
        begin = time.perf_counter()
        x = rows[step % len(rows)]
        logits = model(x[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), x[:, 1:].reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds.append(time.perf_counter() - begin)
    median = statistics.median(seconds[2:])
    print(json.dumps({"per_second": batch * context / median, "memory_mib": peak(), "losses": losses}))


def generate(folder, batch, prompt, new, threads):
    model = load(folder, threads).eval()
    ids = torch.randint(0, 256, (batch, prompt))
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        with torch.inference_mode():
            model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new,
                           do_sample=True, temperature=0.8, pad_token_id=0)
        best = min(best, time.perf_counter() - begin)
    print(json.dumps({"per_second": batch * new / best, "memory_mib": peak()}))


def curve(folder, plan):
    with open(plan) as file:
        plan = json.load(file)
    model = load(folder, 2).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=0.0, betas=(0.9, plan["beta2"]), eps=plan["epsilon"], weight_decay=0.0
    )
    losses = []
    for step in plan["steps"]:
        rows = [plan["rows"][index] for index in step["rows"]]
        longest = max(len(row["ids"]) for row in rows)
        ids = torch.tensor([row["ids"] + [0] * (longest - len(row["ids"])) for row in rows])
        there = torch.tensor([[1] * len(row["ids"]) + [0] * (longest - len(row["ids"])) for row in rows])
        learnt = torch.tensor([row["mask"] + [False] * (longest - len(row["ids"])) for row in rows])
        labels = ids.masked_fill(~learnt, -100)[:, 1:]
        logits = model(ids[:, :-1], attention_mask=there[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan["clip"])
        # Decay as ours: matrices alone, norms and biases not.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(1 - step["rate"] * plan["decay"])
        optimizer.param_groups[0]["lr"] = step["rate"]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    print(json.dumps({"losses": losses}))


def prepare(folder, conversations, processes):
    import tempfile
    import datasets
    import trl
    from transformers import AutoTokenizer

    datasets.disable_progress_bars()
    with open(conversations) as file:
        rows = [{"messages": json.loads(line)["messages"]} for line in file]
    dataset = datasets.Dataset.from_list(rows)
    model, tokenizer = load(folder, 2), AutoTokenizer.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as out:
        settings = trl.SFTConfig(
            output_dir=out, assistant_only_loss=True, max_length=None, dataset_num_proc=processes,
            use_cpu=True, bf16=False, report_to="none",
        )
        begin = time.perf_counter()
        trainer = trl.SFTTrainer(model=model, args=settings, train_dataset=dataset, processing_class=tokenizer)
        seconds = time.perf_counter() - begin
        digest = hashlib.sha256()
        for row in trainer.train_dataset:
            ids, labels = numpy.array(row["input_ids"], numpy.uint32), numpy.array(row["labels"])
            digest.update((ids << 1 | (labels != -100)).astype("<u4").tobytes())
    print(json.dumps({"seconds": seconds, "digest": digest.hexdigest(), "version": trl.__version__}))


if __name__ == "__main__":
    verb, folder, *rest = sys.argv[1:]
    if verb == "train":
        tokens, *numbers = rest
        train(folder, tokens, *map(int, numbers))
    elif verb == "curve":
        curve(folder, *rest)
    elif verb == "prepare":
        prepare(folder, rest[0], int(rest[1]))
    else:
        generate(folder, *map(int, rest))
